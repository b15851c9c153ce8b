"""Masked scale in Triton, for CUDA devices: eight coins from each call of Philox.

Without a GPU it runs in Triton's interpreter (TRITON_INTERPRET=1), slowly and with the same bits.
"""

import struct
from collections.abc import Sequence
from math import prod

import torch
import triton
import triton.language as tl
from torch import Tensor

from dropout.kernels.layout import layout

empty_like = torch.empty_like
TILE = 1024  # elements of one program


@triton.jit
def _lanes(block, seed, stream, step):
    """The eight 16-bit lanes of each block, in order along the one axis of the result."""
    low, high = block.to(tl.uint32), (block >> 32).to(tl.uint32)
    zero = tl.zeros_like(low)
    stream, step = zero + tl.cast(stream, tl.uint32), zero + tl.cast(step, tl.uint32)
    w0, w1, w2, w3 = tl.philox(seed, low, high, stream, step)
    words = tl.join(tl.join(w0, w2), tl.join(w1, w3))
    halves = tl.join(words & 0xFFFF, words >> 16)
    return tl.reshape(halves, [8 * block.shape[0]]).to(tl.int32)


@triton.jit
def _number(bits):
    return tl.cast(tl.cast(bits, tl.int64), tl.float64, bitcast=True)


@triton.jit(do_not_specialize=["seed", "stream", "step", "threshold", "scale", "shift", "dropped"])
def _masked_scale(
    x, out, seed, stream, step, threshold, scale, shift, dropped,
    first, outer, width, wx, wo, share, sx, so,
    COINS: tl.constexpr, SHARE: tl.constexpr, ALIGNED: tl.constexpr,
):  # fmt: skip
    rest = tl.program_id(0).to(tl.int64)
    across = tl.cdiv(width if ALIGNED else width + 7, COINS)
    down = tl.cdiv(share, SHARE)
    w, rest = rest % across * COINS, rest // across
    s, rest = rest % down * SHARE, rest // down
    coin = w + first
    for axis in tl.static_range(len(outer) // 4):
        index, rest = rest % outer[4 * axis], rest // outer[4 * axis]
        x += index * outer[4 * axis + 1]
        out += index * outer[4 * axis + 2]
        coin += index * outer[4 * axis + 3]
    lane = _lanes(coin // 8 + tl.arange(0, COINS // 8), seed, stream, step)
    j = w + tl.arange(0, COINS)
    if not ALIGNED:  # the first block has coins of elements before this row
        j -= coin % 8
    inside = (j < width) if ALIGNED else (j >= 0) & (j < width)
    x += j * wx
    out += j * wo
    if SHARE > 1:
        k = s + tl.arange(0, SHARE)[None, :]
        x, out, lane = x[:, None] + k * sx, out[:, None] + k * so, lane[:, None]
        inside = inside[:, None] & (k < share)
    else:
        x += s * sx
        out += s * so
    exact: tl.constexpr = tl.float64 if x.dtype.element_ty == tl.float64 else tl.float32
    value = tl.load(x, inside).to(exact)
    value = value * _number(scale).to(exact) + _number(shift).to(exact)
    tl.store(out, tl.where(lane >= threshold, value, _number(dropped).to(exact)), inside)


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
    lay = layout(x.shape, x.stride(), out.stride(), tuple(whole), tuple(start))
    (width, wx, wo, _), (share, sx, so, _) = lay.coins, lay.shared
    aligned = all(coin % 8 == 0 for coin in (lay.first, *(axis.coin for axis in lay.outer)))
    shared = min(triton.next_power_of_2(share), TILE if sx <= wx else 4)
    coins = max(8, min(triton.next_power_of_2(width + 7), TILE // shared))
    rows = prod(axis.size for axis in lay.outer)
    tiles = triton.cdiv(width + (0 if aligned else 7), coins) * triton.cdiv(share, shared) * rows
    # Triton takes a float for 32 bits: doubles go as their own.
    numbers = [struct.unpack("<q", struct.pack("<d", n))[0] for n in (scale, shift, dropped)]
    outer = tuple(number for axis in reversed(lay.outer) for number in axis)
    with torch.cuda.device_of(x):
        _masked_scale[(tiles,)](
            x, out, seed, stream, step, threshold, *numbers,
            lay.first, outer, width, wx, wo, share, sx, so,
            COINS=coins, SHARE=shared, ALIGNED=aligned,
            enable_fp_fusion=False,  # a fused multiply-add would round once less than elsewhere
        )  # fmt: skip
