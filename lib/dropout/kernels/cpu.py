"""Masked scale on the CPU, compiled by Numba: vector instructions, and a thread for each part.

A stretch of coins is drawn into a small buffer that stays in the nearest cache, then applied, so
that both loops vectorise. Compiled code is kept on disk, so that only the first process waits.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from math import prod

import numba
import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from torch import Tensor

from dropout.kernels.layout import layout
from dropout.kernels.memory import empty_like

__all__ = ["empty_like", "masked_scale"]

COINS = 1 << 12  # at most so many in a tile: 8 KiB of lanes
TILE = 1 << 16  # elements, about
PART = 1 << 18  # elements, about: for fewer, waking a thread costs more than it saves
# NumPy has no bfloat16 and Numba no float16: both come as their bits, told apart by the sign.
# The second type is the one to compute in.
STORAGE = {
    torch.float64: (types.float64, types.float64),
    torch.float32: (types.float32, types.float32),
    torch.bfloat16: (types.int16, types.float32),
    torch.float16: (types.uint16, types.float32),
}


@intrinsic
def _widen(typingctx, stored):
    """A stored number in the precision it is computed in: float64, or else float32."""
    if stored in (types.float64, types.float32):
        return stored(stored), lambda context, builder, signature, args: args[0]

    def codegen(context, builder, signature, args):
        if stored == types.uint16:
            return builder.fpext(builder.bitcast(args[0], ir.HalfType()), ir.FloatType())
        word = builder.shl(builder.zext(args[0], ir.IntType(32)), ir.Constant(ir.IntType(32), 16))
        return builder.bitcast(word, ir.FloatType())

    return types.float32(stored), codegen


@intrinsic
def _narrow(typingctx, value, stored):
    """A computed number rounded to nearest, ties to even, to the type of `stored`."""
    if stored in (types.float64, types.float32):
        return stored(value, stored), lambda context, builder, signature, args: args[0]

    def codegen(context, builder, signature, args):
        i16, i32 = ir.IntType(16), ir.IntType(32)
        if stored == types.uint16:
            return builder.bitcast(builder.fptrunc(args[0], ir.HalfType()), i16)
        word = builder.bitcast(args[0], i32)
        odd = builder.and_(builder.lshr(word, ir.Constant(i32, 16)), ir.Constant(i32, 1))
        rounded = builder.add(word, builder.add(odd, ir.Constant(i32, 0x7FFF)))
        # Rounding would carry a NaN's bits over into infinity: keep it one, and quiet.
        isnan = builder.fcmp_unordered("uno", args[0], args[0])
        word = builder.select(isnan, ir.Constant(i32, 0x7FC00000), rounded)
        return builder.trunc(builder.lshr(word, ir.Constant(i32, 16)), i16)

    return stored(value, stored), codegen


@numba.njit
def _draw(words, block, seed, stream, step):
    """Fill `words` with Philox4x32-10 of consecutive blocks, two words to each of its 64 bits."""
    low, high = np.uint64(0xFFFFFFFF), np.uint64(32)
    for b in range(words.size // 2):
        number = np.uint64(block) + np.uint64(b)
        c0, c1, c2, c3 = number, number >> high, np.uint64(stream), np.uint64(step)
        k0, k1 = seed & low, seed >> high
        for _ in range(10):
            # High halves hold rubbish until the end: the products read the low ones only.
            u, v = (c0 & low) * np.uint64(0xD2511F53), (c2 & low) * np.uint64(0xCD9E8D57)
            c0, c1 = (v >> high) ^ c1 ^ k0, v
            c2, c3 = (u >> high) ^ c3 ^ k1, u
            k0 = (k0 + np.uint64(0x9E3779B9)) & low
            k1 = (k1 + np.uint64(0xBB67AE85)) & low
        words[2 * b] = (c0 & low) | c1 << high
        words[2 * b + 1] = (c2 & low) | c3 << high


@numba.njit(inline="always")
def _select(x, i, dx, out, o, do, lanes, n, threshold, scale, shift, dropped):
    """A row of elements that each have their own coin."""
    for j in range(n):
        stored = x[i + j * dx]
        kept = _narrow(_widen(stored) * scale + shift, stored)
        out[o + j * do] = kept if np.int32(lanes[j]) >= threshold else dropped


@numba.njit(inline="always")
def _stretch(x, i, dx, out, o, do, n, keep, scale, shift, dropped):
    """A row of elements that share one coin."""
    if keep:
        for k in range(n):
            stored = x[i + k * dx]
            out[o + k * do] = _narrow(_widen(stored) * scale + shift, stored)
    else:
        for k in range(n):
            out[o + k * do] = dropped


@numba.njit
def _tiles(
    x, out, in_place, seed, stream, step, threshold, scale, shift, dropped, plan, begin, end
):
    one = np.uint64(1)
    first, width, wx, wo, share, sx, so = (
        plan[0],
        plan[1],
        plan[2],
        plan[3],
        plan[4],
        plan[5],
        plan[6],
    )
    coins, elements, depth = plan[7], plan[8], plan[9]
    words = np.empty(coins // 4 + 4, np.uint64)
    lanes = words.view(np.uint16)
    none = _narrow(dropped, x[0])
    for tile in range(begin, end):
        across = (width + coins - one) // coins
        w, rest = tile % across * coins, tile // across
        down = (share + elements - one) // elements
        s, rest = rest % down * elements, rest // down
        coin, i, o = first + w, w * wx + s * sx, w * wo + s * so
        for axis in range(depth):
            at = np.uint64(10) + axis * np.uint64(4)
            index, rest = rest % plan[at], rest // plan[at]
            i += index * plan[at + one]
            o += index * plan[at + np.uint64(2)]
            coin += index * plan[at + np.uint64(3)]
        n, m = min(coins, width - w), min(elements, share - s)
        offset = coin % np.uint64(8)
        blocks = (offset + n + np.uint64(7)) // np.uint64(8)
        _draw(words[: 2 * blocks], coin // np.uint64(8), seed, stream, step)
        row = lanes[offset:]
        unit = (sx if sx <= wx and share > one else wx) == one
        if sx <= wx and share > one:
            for j in range(n):
                a, b, keep = i + j * wx, o + j * wo, np.int32(row[j]) >= threshold
                if in_place and unit:
                    _stretch(out, b, one, out, b, one, m, keep, scale, shift, none)
                elif unit and so == one:
                    _stretch(x, a, one, out, b, one, m, keep, scale, shift, none)
                else:
                    _stretch(x, a, sx, out, b, so, m, keep, scale, shift, none)
            continue
        for k in range(m):
            a, b = i + k * sx, o + k * so
            if in_place and unit:
                _select(out, b, one, out, b, one, row, n, threshold, scale, shift, none)
            elif unit and wo == one:
                _select(x, a, one, out, b, one, row, n, threshold, scale, shift, none)
            else:
                _select(x, a, wx, out, b, wo, row, n, threshold, scale, shift, none)


@intrinsic
def _pointer(typingctx, address, kind):
    """A number as the address of elements of a kind."""

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return types.CPointer(kind.dtype)(address, kind), codegen


_integers, _floats, _plan_type = (
    [types.int64] * 6,
    [types.float64] * 3,
    types.Array(types.uint64, 1, "C"),
)


@lru_cache
def _compiled(dtype):
    """The machine code for a data type. While it runs it holds no lock on the interpreter."""
    stored, number = STORAGE[dtype]
    everything = (1 << 44,)  # a bound Numba wants: nothing checks it

    # Of Python's own types, which are the quickest to pass.
    @numba.njit(
        [types.void(*_integers, *_floats, _plan_type, types.int64, types.int64)],
        nogil=True,
        cache=True,
    )
    def run(x, out, seed, stream, step, threshold, scale, shift, dropped, plan, begin, end):
        _tiles(
            numba.carray(_pointer(x, stored), everything),
            numba.carray(_pointer(out, stored), everything),
            x == out,
            np.uint64(seed),
            np.uint32(stream),
            np.uint32(step),
            np.int32(threshold),
            number(scale),
            number(shift),
            number(dropped),
            plan,
            np.uint64(begin),
            np.uint64(end),
        )

    return run


@lru_cache(maxsize=4096)
def _plan(dtype, shape, x_strides, out_strides, whole, start):
    """The code for a data type, what it reads of a layout, and the number of tiles."""
    lay = layout(shape, x_strides, out_strides, whole, start)
    (width, wx, wo, _), (share, sx, so, _) = lay.coins, lay.shared
    elements = min(share, TILE)
    coins = min(width, COINS, max(8, TILE // elements // 8 * 8))
    numbers = [lay.first, width, wx, wo, share, sx, so, coins, elements, len(lay.outer)]
    numbers += [number for axis in reversed(lay.outer) for number in axis]
    tiles = -(-width // coins) * -(-share // elements) * prod(axis.size for axis in lay.outer)
    return _compiled(dtype), np.array(numbers, np.uint64), tiles


@lru_cache
def _pool():
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="dropout")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork


def _parts(run, x: Tensor, out: Tensor, rest: tuple, parts: Iterator[tuple[int, int]]) -> None:
    """Parts, until there are no more: a thread that is held up leaves them to the others."""
    # Holds the tensors, so that their memory outlives a caller who is interrupted.
    source, target = x.data_ptr(), out.data_ptr()
    for begin, end in parts:
        run(source, target, *rest, begin, end)


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
    whole: Sequence[int],
    start: Sequence[int],
) -> None:
    """Write `dropout.op.masked_scale` of x into `out`, which may be x. Any strides, no copies."""
    if not x.numel():
        return
    if not isinstance(whole, tuple):  # the dispatcher makes them lists
        whole, start = tuple(whole), tuple(start)
    run, plan, tiles = _plan(x.dtype, x.shape, x.stride(), out.stride(), whole, start)
    rest = (seed, stream, step, threshold, scale, shift, dropped, plan)
    threads = torch.get_num_threads() if tiles > 1 else 1
    pieces = min(tiles, x.numel() // PART, 8 * threads) if threads > 1 else 1
    if pieces < 2:
        run(x.data_ptr(), out.data_ptr(), *rest, 0, tiles)
        return
    parts = iter([(tiles * n // pieces, tiles * (n + 1) // pieces) for n in range(pieces)])
    helpers = range(min(threads, pieces) - 1)
    others = [_pool().submit(_parts, run, x, out, rest, parts) for _ in helpers]
    _parts(run, x, out, rest, parts)
    for other in others:
        other.result()
