"""Where coins come from: a key, a generator of seeds, or a sampler that has charge of them all."""

import threading
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import torch
from torch import Generator, Tensor
from torch.compiler import is_compiling
from torch.jit import is_tracing

from dropout.mask import MaskKey
from dropout.torch_private import in_transform, modes

LOWEST = -(2**63)  # of the 2⁶⁴ signed numbers that a seed may be
SAMPLER: ContextVar[Any] = ContextVar("sampler", default=None)  # set by `bayes.predict`


def sampler() -> Any:
    """What has charge of all coins while `bayes.predict` samples; else None."""
    return None if is_compiling() else SAMPLER.get()


def active(training: bool) -> bool:
    """Whether to drop: in training, and wherever `bayes.predict` samples."""
    if training is not True and training is not False:  # such as a key by position
        raise TypeError(f"training must be True or False, got {training!r}")
    dropping = training or sampler() is not None
    if dropping and not is_compiling() and is_tracing():
        raise RuntimeError(
            "torch.jit.trace cannot record dropout in training: trace in evaluation, or use "
            "torch.export"
        )
    return dropping


def watched() -> bool:
    """Whether somebody looks on: a compiler, tracer, transform of torch.func, mode or sampler."""
    return (
        is_compiling() or in_transform() or modes() > 0 or is_tracing() or SAMPLER.get() is not None
    )


def coins(
    key: MaskKey | None, generator: Generator | None = None, x: Tensor | None = None
) -> tuple[Tensor | int, int, int]:
    """Seed, stream and step for x: those of the key, or of a new one whose seed is drawn.

    The seed is a signed number, or a 0-d int64 tensor where PyTorch would take a number for a
    constant. It is drawn on the CPU, so that nothing waits for another device.
    """
    if (sampling := sampler()) is not None:
        return sampling.coins()
    if type(x).__module__ == "torch.distributed.tensor":
        import dropout.dtensor  # noqa: F401  (it takes most of a second: for those who need it)

        if key is None:
            raise ValueError("a DTensor needs a key: its processes would each draw their own seed")
    return own_coins(key, generator, watched())


def own_coins(
    key: MaskKey | None, generator: Generator | None, as_tensor: bool
) -> tuple[Tensor | int, int, int]:
    """The same where nothing but the key and the generator has a say."""
    if generator is not None and not isinstance(generator, Generator):
        raise TypeError(f"generator must be a torch.Generator, got {generator!r}")
    if key is None:
        if as_tensor:
            return draw_seed(generator), 0, 0
        slot = _slot
        if generator is None:
            slot.seed.random_(LOWEST, None)
        else:
            filled(slot.seed, generator)
        return int(slot.number), 0, 0
    if not isinstance(key, MaskKey):
        raise TypeError(f"key must be a MaskKey, got {key!r}")
    if generator is not None:
        raise ValueError("give a key or a generator, not both: a key needs no generator")
    seed = key.seed - 2**64 if key.seed >= 2**63 else key.seed
    return seed_tensor(seed) if as_tensor else seed, key.stream, key.step


def seed_tensor(seed: Tensor | int) -> Tensor:
    """A seed as the operators take it."""
    return seed if isinstance(seed, Tensor) else torch.tensor(seed, dtype=torch.int64, device="cpu")


def draw_seed(generator: Generator | None = None) -> Tensor:
    """64 random bits from a CPU generator (default: PyTorch's own), as a 0-d tensor."""
    if not watched():
        return filled(empty_seeds(), generator)
    if generator is None and not (in_transform() and not is_compiling()):
        # Nothing is drawn for its argument; but vmap makes it one for each example, or refuses.
        carrier = torch.rand(0, device="cpu") if in_transform() else None
        return torch.ops.dropout.draw_seed(carrier)
    _check_on_cpu(generator)
    options: Any = {"dtype": torch.int64, "device": "cpu", "generator": generator}
    # The bits that `random_` draws, but for one number of 2⁶⁴.
    return torch.randint(LOWEST, -LOWEST - 1, (), **options) ^ LOWEST


def filled(seeds: Tensor, generator: Generator | None = None) -> Tensor:
    """The tensor, filled with random bits."""
    _check_on_cpu(generator)
    return seeds.random_(LOWEST, None, generator=generator)


def _check_on_cpu(generator: Generator | None) -> None:
    if generator is not None and generator.device.type != "cpu":
        raise ValueError(f"generator must be on the CPU, got one on {generator.device}")


def empty_seeds(shape: Sequence[int] = ()) -> Tensor:
    """Room for seeds, on the CPU whatever the default device."""
    return torch.empty(shape, dtype=torch.int64, device="cpu")


class _SeedSlot(threading.local):
    """A place to draw a seed in, for each thread its own."""

    def __init__(self):
        with torch.inference_mode(False):
            self.seed = empty_seeds()
        self.number = self.seed.numpy()  # the same place, quicker to read


_slot = _SeedSlot()
