"""Masked scale and noise in Triton, for CUDA devices: eight coins from each call of Philox.

Without a GPU it runs in Triton's interpreter (TRITON_INTERPRET=1), slowly and with the same bits.
"""

import math
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
SCALE, TURN = tl.constexpr(2.0**-32), tl.constexpr(2 * math.pi)


@triton.jit
def _philox(block, seed, stream, step):
    low, high = block.to(tl.uint32), (block >> 32).to(tl.uint32)
    zero = tl.zeros_like(low)
    stream, step = zero + tl.cast(stream, tl.uint32), zero + tl.cast(step, tl.uint32)
    return tl.philox(seed, low, high, stream, step)


@triton.jit
def _lanes(block, seed, stream, step):
    """The eight 16-bit lanes of each block, in order along the one axis of the result."""
    w0, w1, w2, w3 = _philox(block, seed, stream, step)
    words = tl.join(tl.join(w0, w2), tl.join(w1, w3))
    halves = tl.join(words & 0xFFFF, words >> 16)
    return tl.reshape(halves, [8 * block.shape[0]]).to(tl.int32)


@triton.jit
def _normals(u, v):
    """Box and Muller's pair of normals from a pair of words: see `portable.noise`."""
    radius = tl.sqrt(-2.0 * tl.log((u.to(tl.float64) + 1.0) * SCALE))
    angle = v.to(tl.float64) * (TURN * SCALE)
    return radius * tl.cos(angle), radius * tl.sin(angle)


@triton.jit
def _uniform(w):
    return (2.0 * w.to(tl.float64) + 1.0) * SCALE - 1.0


@triton.jit
def _noise_of(block, seed, stream, step, NORMAL: tl.constexpr):
    """The four normals, or uniforms, of each block, in order along the one axis of the result."""
    w0, w1, w2, w3 = _philox(block, seed, stream, step)
    if NORMAL:
        z0, z1 = _normals(w0, w1)
        z2, z3 = _normals(w2, w3)
    else:
        z0, z1, z2, z3 = _uniform(w0), _uniform(w1), _uniform(w2), _uniform(w3)
    return tl.reshape(tl.join(tl.join(z0, z2), tl.join(z1, z3)), [4 * block.shape[0]])


@triton.jit
def _number(bits):
    return tl.cast(tl.cast(bits, tl.int64), tl.float64, bitcast=True)


@triton.jit
def _tile(x, out, first, outer, width, share, COINS: tl.constexpr, SHARE: tl.constexpr,
          PADDING: tl.constexpr):  # fmt: skip
    """This program's tile: where its row begins in x, out and mask, and its first coin and element.

    A row's first block may begin before the row, by up to PADDING coins: a row has as many more.
    """
    rest = tl.program_id(0).to(tl.int64)
    across, down = tl.cdiv(width + PADDING, COINS), tl.cdiv(share, SHARE)
    w, rest = rest % across * COINS, rest // across
    s, rest = rest % down * SHARE, rest // down
    coin = w + first
    for axis in tl.static_range(len(outer) // 4):
        index, rest = rest % outer[4 * axis], rest // outer[4 * axis]
        x += index * outer[4 * axis + 1]
        out += index * outer[4 * axis + 2]
        coin += index * outer[4 * axis + 3]
    return x, out, coin, w, s


@triton.jit
def _elements(x, out, j, inside, s, wx, wo, share, sx, so, SHARE: tl.constexpr):
    """The elements of the coins j: their places, and which of them there are."""
    x += j * wx
    out += j * wo
    if SHARE > 1:
        k = s + tl.arange(0, SHARE)[None, :]
        x, out = x[:, None] + k * sx, out[:, None] + k * so
        inside = inside[:, None] & (k < share)
    else:
        x += s * sx
        out += s * so
    return x, out, inside


@triton.jit(do_not_specialize=["seed", "stream", "step", "threshold", "scale", "shift", "dropped"])
def _masked_scale(
    x, out, seed, stream, step, threshold, scale, shift, dropped,
    first, outer, width, wx, wo, share, sx, so,
    COINS: tl.constexpr, SHARE: tl.constexpr, ALIGNED: tl.constexpr,
):  # fmt: skip
    PADDING: tl.constexpr = 0 if ALIGNED else 7
    x, out, coin, w, s = _tile(x, out, first, outer, width, share, COINS, SHARE, PADDING)
    lane = _lanes(coin // 8 + tl.arange(0, COINS // 8), seed, stream, step)
    j = w + tl.arange(0, COINS)
    if not ALIGNED:  # the first block has coins of elements before this row
        j -= coin % 8
    inside = (j < width) if ALIGNED else (j >= 0) & (j < width)
    x, out, inside = _elements(x, out, j, inside, s, wx, wo, share, sx, so, SHARE)
    if SHARE > 1:
        lane = lane[:, None]
    exact: tl.constexpr = tl.float64 if x.dtype.element_ty == tl.float64 else tl.float32
    value = tl.load(x, inside).to(exact)
    value = value * _number(scale).to(exact) + _number(shift).to(exact)
    tl.store(out, tl.where(lane >= threshold, value, _number(dropped).to(exact)), inside)


@triton.jit(do_not_specialize=["seed", "stream", "step", "bias", "gain"])
def _noise(
    x, out, seed, stream, step, bias, gain,
    first, outer, width, wx, wo, share, sx, so,
    COINS: tl.constexpr, SHARE: tl.constexpr, ALIGNED: tl.constexpr, NORMAL: tl.constexpr,
):  # fmt: skip
    PADDING: tl.constexpr = 0 if ALIGNED else 3
    x, out, coin, w, s = _tile(x, out, first, outer, width, share, COINS, SHARE, PADDING)
    z = _noise_of(coin // 4 + tl.arange(0, COINS // 4), seed, stream, step, NORMAL)
    j = w + tl.arange(0, COINS)
    if not ALIGNED:
        j -= coin % 4
    inside = (j < width) if ALIGNED else (j >= 0) & (j < width)
    x, out, inside = _elements(x, out, j, inside, s, wx, wo, share, sx, so, SHARE)
    if SHARE > 1:
        z = z[:, None]
    product = tl.load(x, inside).to(tl.float64) * (_number(bias) + _number(gain) * z)
    # To 16 bits by way of float32, as PyTorch rounds.
    exact: tl.constexpr = tl.float64 if x.dtype.element_ty == tl.float64 else tl.float32
    tl.store(out, product.to(exact), inside)


def _run(
    kernel, lanes: int, x: Tensor, out: Tensor, key: tuple, numbers: tuple, whole, start, **flags
) -> None:
    """A kernel over all of x, whose blocks have so many lanes, or words, of a coin each."""
    if not x.numel():
        return
    lay = layout(x.shape, x.stride(), out.stride(), tuple(whole), tuple(start))
    (width, wx, wo, _), (share, sx, so, _) = lay.coins, lay.shared
    aligned = all(coin % lanes == 0 for coin in (lay.first, *(axis.coin for axis in lay.outer)))
    padding = 0 if aligned else lanes - 1
    shared = min(triton.next_power_of_2(share), TILE if sx <= wx else 4)
    coins = max(8, min(triton.next_power_of_2(width + 7), TILE // shared))
    rows = prod(axis.size for axis in lay.outer)
    tiles = triton.cdiv(width + padding, coins) * triton.cdiv(share, shared) * rows
    # Triton takes a float for 32 bits: doubles go as their own.
    bits = [struct.unpack("<q", struct.pack("<d", n))[0] for n in numbers]
    outer = tuple(number for axis in reversed(lay.outer) for number in axis)
    with torch.cuda.device_of(x):
        kernel[(tiles,)](
            x, out, *key, *bits, lay.first, outer, width, wx, wo, share, sx, so,
            COINS=coins, SHARE=shared, ALIGNED=aligned, **flags,
            enable_fp_fusion=False,  # a fused multiply-add would round once less than elsewhere
        )  # fmt: skip


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
    key, numbers = (seed, stream, step, threshold), (scale, shift, dropped)
    _run(_masked_scale, 8, x, out, key, numbers, whole, start)


def noise(
    x: Tensor,
    out: Tensor,
    seed: int,
    stream: int,
    step: int,
    normal: bool,
    bias: float,
    gain: float,
    whole: Sequence[int],
    start: Sequence[int],
) -> None:
    """Write x (bias + gain z) into `out`: `portable.noise`. Any strides, no copies."""
    key = seed, stream, step
    _run(_noise, 4, x, out, key, (bias, gain), whole, start, NORMAL=normal)
