"""Noise that is more than a coin: x times a factor, drawn by a law from 32-bit words of the key.

Word i of a mask is word i % 4 of Philox block i // 4, the same words whose halves are the coins'
lanes. Whatever the law, the product is linear in x with a diagonal matrix: its derivative is the
operator again, to any order, and no factor is stored.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

from dropout.coins import coins
from dropout.dispatch import diagonal, readable
from dropout.kernels.engines import engine_of
from dropout.mask import MaskKey

# By name: (x, seed, stream, step, numbers, whole, start) -> x times its factors, laid out as x.
# A module that is loaded anew keeps them: layers enter their own only when they are loaded.
LAWS: dict[str, Callable[..., Tensor]] = globals().get("LAWS", {})


def multiply(
    x: Tensor,
    law: str,
    numbers: Sequence[float],
    whole: Sequence[int],
    start: Sequence[int],
    key: MaskKey | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """x times the factors that a law with certain numbers draws by the key, or by a new seed.

    `whole` is the shape of the mask that x is at `start` of, 1 where factors are shared.
    """
    drawn = coins(key, generator, x)
    return _apply(x, (*drawn, law, numbers, whole, start), False, readable(x))


def affine(
    x: Tensor,
    seed: int,
    stream: int,
    step: int,
    normal: bool,
    bias: float,
    gain: float,
    whole: tuple[int, ...],
    start: tuple[int, ...],
) -> Tensor:
    """x (bias + gain z) for a z that is an element's own, `normal` or uniform in (-1, 1)."""
    engine = engine_of(x.device)
    out = engine.empty_like(x)
    engine.noise(x, out, seed, stream, step, normal, bias, gain, whole, start)
    return out


def _run(x: Tensor, coins: tuple, inplace: bool) -> Tensor:
    seed, stream, step, law, *rest = coins
    return LAWS[law](x, seed, stream, step, *rest) if x.numel() else torch.empty_like(x)


_apply = diagonal("multiply", "str law, float[] numbers", _run, lambda coins: coins)
