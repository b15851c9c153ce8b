"""Masked scale and noise on the CPU, compiled by Numba: vector instructions, a thread a part.

Where a loop cannot be compiled for a type, the portable engine does its work.
"""

from functools import lru_cache
from math import prod

import numpy as np
import torch
from torch import Tensor

from dropout.kernels import loops, portable
from dropout.kernels.engines import preparing, use_portable
from dropout.kernels.layout import layout
from dropout.kernels.memory import empty_like
from dropout.kernels.threads import spread

__all__ = ["code", "empty_like", "masked_scale", "noise"]

COINS = {  # at most so many in a tile: 8 KiB of lanes, or 12 KiB of words and noise
    loops.masked_scale: 1 << 12,
    loops.noise: 1 << 10,
}
ACROSS = 1 << 7  # and so many where a tile lies across the order of memory
TILE = 1 << 16  # elements, about
COST = {loops.masked_scale: 4, loops.noise: 20}  # of a draw, in reads and writes of an element
PART = 1 << 20  # of these, about: for fewer, waking a thread costs more than it saves


def _nothing(*_) -> None:
    """The code for no elements."""


@lru_cache
def code(loop, dtype):
    """The code of a loop for a data type, or None where there is no way to compile it."""
    try:
        with preparing:
            (compiled,) = loop(dtype).overloads.values()
    except Exception as error:
        use_portable("cpu", error)
        return None
    return compiled.entry_point


@lru_cache(maxsize=4096)
def _plan(loop, dtype, shape, x_strides, out_strides, whole, start):
    """The code of a loop for a data type, what it reads of a layout, its tiles and its parts."""
    if 0 in shape:
        return _nothing, None, 0, 0
    lay = layout(shape, x_strides, out_strides, whole, start)
    (width, wx, wo, _), (share, sx, so, _) = lay.coins, lay.shared
    # Where neighbours in memory are far apart in the mask, their axis is the rows of a tile.
    near = (a for a in lay.outer if a.x == a.out == 1 and wo != 1 and share == 1)
    rows = next(near, None) if loop is loops.masked_scale else None
    outer = [axis for axis in reversed(lay.outer) if axis is not rows]
    size, apart = (rows.size, rows.coin) if rows else (1, 0)
    elements = min(share, TILE)
    coins = min(width, COINS[loop], ACROSS if rows else max(8, TILE // elements // 8 * 8))
    numbers = [lay.first, width, wx, wo, share, sx, so, coins, elements, size, apart, len(outer)]
    numbers += [number for axis in outer for number in axis]
    tiles = -(-width // coins) * -(-share // elements) * -(-size // int(loops.ROWS))
    tiles *= prod(axis.size for axis in outer)
    parts = prod(shape) // share * (share + COST[loop]) // PART
    return code(loop, dtype), np.array(numbers, np.uint64), tiles, parts


def _spread(x: Tensor, out: Tensor, numbers: tuple, run, plan, tiles: int, parts: int) -> None:
    """A loop over all of x, whose parts threads share where there is enough to do."""
    source, target = x.data_ptr(), out.data_ptr()

    def some(begin: int, end: int, tensors=(x, out)) -> None:  # which live until threads are done
        run(source, target, *numbers, plan, begin, end)

    spread(some, tiles, min(parts, 8 * torch.get_num_threads()))


def masked_scale(
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
    """Write `dropout.op.masked_scale` of x into `out`, which may be x. Any strides, no copies."""
    numbers = seed, stream, step, threshold, scale, shift, dropped
    run, plan, tiles, parts = _plan(
        loops.masked_scale, x.dtype, x.shape, x.stride(), out.stride(), whole, start
    )
    if run is None:
        portable.masked_scale(x, out, *numbers, whole, start)
    elif tiles == 1:
        run(x.data_ptr(), out.data_ptr(), *numbers, plan, 0, 1)
    elif tiles:
        _spread(x, out, numbers, run, plan, tiles, parts)


def noise(
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
    """Write x (bias + gain z) into `out`: `portable.noise`. Any strides, no copies."""
    numbers = seed, stream, step, normal, bias, gain
    run, plan, tiles, parts = _plan(
        loops.noise, x.dtype, x.shape, x.stride(), out.stride(), whole, start
    )
    if run is None:
        portable.noise(x, out, *numbers, whole, start)
    elif tiles:
        _spread(x, out, numbers, run, plan, tiles, parts)
