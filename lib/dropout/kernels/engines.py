"""What an engine offers, which one serves a device, and why its compiled one does not."""

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from dropout.kernels import portable


class Engine(Protocol):
    """A module of `dropout.kernels`, named for the type of device that it serves.

    x is a tensor in float64, float32, bfloat16 or float16 with any strides, none of which is
    copied; `out` has its shape, type and device, and may be x itself. `whole` is the shape of the
    mask that x is at `start` of, with a length for each axis of x: 1 where the elements along it
    share. An element's place in the mask, in C order, and the key are all that its bits depend on:
    `seed` is the key's 64 bits as a signed number, `stream` and `step` are of 32.

    An engine is right if it writes the bits of `portable` in all of tests/kernels/cases.py (noise:
    within a few units in the last place).
    """

    def empty_like(self, x: Tensor, /) -> Tensor:
        """`torch.empty_like`: the memory for a result."""

    def masked_scale(
        self,
        x: Tensor,
        out: Tensor,
        seed: int,
        stream: int,
        step: int,
        threshold: int,
        scale: float,
        shift: float,
        dropped: float,
        whole: tuple[int, ...],
        start: tuple[int, ...],
    ) -> None:
        """Write x · scale + shift where an element's lane reaches `threshold`, else `dropped`.

        The threshold is from 0 to 65536, as `dropout.mask.threshold` gives it. Product and sum are
        each rounded in float32, or float64 for float64; the sum is then rounded to x's type.
        """

    def noise(
        self,
        x: Tensor,
        out: Tensor,
        seed: int,
        stream: int,
        step: int,
        normal: bool,
        bias: float,
        gain: float,
        whole: tuple[int, ...],
        start: tuple[int, ...],
    ) -> None:
        """Write x (bias + gain z), where z is made of an element's 32-bit word.

        z is standard normal, as in `dropout.reference.standard_normal`, or uniform in (-1, 1).
        """


if TYPE_CHECKING:
    from dropout.kernels import cpu, cuda

    _engines: tuple[Engine, ...] = cpu, cuda, portable

COMPILERS = {"cpu": "Numba", "cuda": "Triton"}
# Held while an engine is imported or compiled. A fork waits for it: else a child of another thread
# would wait for ever, for locks that nobody there will release.
preparing = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=preparing.acquire,
        after_in_parent=preparing.release,
        after_in_child=preparing.release,
    )
_portable_because: dict[str, str] = {}  # by the type of device
_forced: str | None = None


@lru_cache
def engine_of(device: torch.device) -> Engine:
    """The engine for a device."""
    name = _forced or device.type
    if name not in COMPILERS:
        return portable
    if name == "cpu" != device.type:  # it would read the memory of another device as its own
        raise ValueError(f"the engine cpu cannot be forced on a tensor on {device}")
    try:
        with preparing:
            engine: Any = import_module(f"dropout.kernels.{name}")
            return engine
    except Exception as error:  # some compilers raise more than ImportError where they do not fit
        use_portable(device.type, error)
        return portable


@contextmanager
def forced(name: str) -> Iterator[None]:
    """All work by one engine, in all threads: "cpu", "cuda" or "portable". For tests and debugging.

    Triton's takes tensors on the CPU where its interpreter runs (TRITON_INTERPRET=1).

    >>> from dropout import MaskKey, functional
    >>> with forced("portable"):
    ...     functional.dropout(torch.ones(4), key=MaskKey(seed=1))
    tensor([0., 2., 0., 2.])
    """
    global _forced
    if name not in (*COMPILERS, "portable"):
        raise ValueError(f"engine must be cpu, cuda or portable, got {name!r}")
    before, _forced = _forced, name
    engine_of.cache_clear()
    try:
        yield
    finally:
        _forced = before
        engine_of.cache_clear()


def use_portable(device: str, error: Exception) -> None:
    """Say, once, why the compiled engine of a type of device does not serve."""
    if device not in _portable_because:
        reason = _portable_because[device] = f"{type(error).__name__}: {error}".splitlines()[0]
        warnings.warn(
            f"dropout on {device} is slow, and right: it runs without its compiler ({reason})",
            stacklevel=3,
        )


def serving(device: str) -> str:
    """The compiler whose engine serves a type of device, or why none does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        engine = engine_of(torch.device(device))
        if device == "cpu":  # only the first call compiles
            one = torch.ones(())
            engine.masked_scale(one, one, 0, 0, 0, 0, 1.0, 0.0, 0.0, (), ())
    reason = _portable_because.get(device)
    return f"portable ({reason})" if reason else COMPILERS.get(device, "portable")
