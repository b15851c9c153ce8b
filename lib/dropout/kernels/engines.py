"""Which engine serves a device, and why it is the portable one where its compiled one cannot."""

import os
import threading
import warnings
from functools import lru_cache
from importlib import import_module
from types import ModuleType

import torch

from dropout.kernels import portable

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


@lru_cache
def engine_of(device: torch.device) -> ModuleType:
    """The module of `dropout.kernels` for a device."""
    if device.type not in COMPILERS:
        return portable
    try:
        with preparing:
            return import_module(f"dropout.kernels.{device.type}")
    except Exception as error:  # some compilers raise more than ImportError where they do not fit
        use_portable(device.type, error)
        return portable


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
