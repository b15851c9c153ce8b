"""Masked scale and noise from plain torch operations: any device, the bits of `dropout.mask`."""

from collections.abc import Sequence
from math import pi

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from dropout.mask import LANES, MASK32
from dropout.shard import Shard, runs


def philox4x32(
    counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Ten rounds of Philox4x32 on words held in int64: products wrap, but their bits are right."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        a, b = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1 = (b >> 32 & MASK32) ^ c1 ^ k0, b & MASK32
        c2, c3 = (a >> 32 & MASK32) ^ c3 ^ k1, a & MASK32
        k0, k1 = k0 + 0x9E3779B9 & MASK32, k1 + 0xBB67AE85 & MASK32
    return c0, c1, c2, c3


def lanes(
    seed: int, stream: int, step: int, starts: Int64[Tensor, "runs"], width: int
) -> Int64[Tensor, "runs width"]:
    """The 16-bit lane of each of the `width` elements from each start, as `dropout.mask.lanes`."""
    first = starts // LANES
    block = first[:, None] + torch.arange((width + 2 * LANES - 2) // LANES, device=starts.device)
    stream_of, step_of = torch.full_like(block, stream), torch.full_like(block, step)
    counter = (block & MASK32, block >> 32, stream_of, step_of)
    words = torch.stack(philox4x32(counter, (seed & MASK32, seed >> 32 & MASK32)), dim=-1)
    lane = torch.stack((words & 0xFFFF, words >> 16), dim=-1).flatten(1)
    position = (starts % LANES)[:, None] + torch.arange(width, device=starts.device)
    return lane.gather(1, position)


def words(
    seed: int, stream: int, step: int, starts: Int64[Tensor, "runs"], width: int
) -> Int64[Tensor, "runs width"]:
    """The 32-bit word of each of the `width` elements from each start, as `reference.words`."""
    block = (starts // 4)[:, None] + torch.arange((width + 6) // 4, device=starts.device)
    stream_of, step_of = torch.full_like(block, stream), torch.full_like(block, step)
    counter = (block & MASK32, block >> 32, stream_of, step_of)
    four = torch.stack(philox4x32(counter, (seed & MASK32, seed >> 32 & MASK32)), dim=-1)
    place = (starts % 4)[:, None] + torch.arange(width, device=starts.device)
    return four.flatten(1).gather(1, place)


def uniforms(
    seed: int, stream: int, step: int, starts: Int64[Tensor, "runs"], width: int
) -> Float64[np.ndarray, "runs width"]:
    """The same as numbers in (-1, 1): the middles of 2³² equal parts, so that their mean is 0."""
    return (2.0 * words(seed, stream, step, starts, width).numpy() + 1) * 2.0**-32 - 1


def normals(
    seed: int, stream: int, step: int, starts: Int64[Tensor, "runs"], width: int
) -> Float64[np.ndarray, "runs width"]:
    """The same as normals: of each pair of words Box and Muller's method makes a pair of z."""
    odd = starts % 2
    pairs = words(seed, stream, step, starts - odd, (width + 2) // 2 * 2).numpy()
    radius = np.sqrt(-2 * np.log((pairs[:, ::2] + 1) * 2.0**-32))
    angle = pairs[:, 1::2] * (2 * pi * 2.0**-32)
    z = np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=-1).reshape(pairs.shape)
    return np.take_along_axis(z, odd.numpy()[:, None] + np.arange(width), axis=1)


empty_like = torch.empty_like


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
    """Write `dropout.op.masked_scale` of x into `out`, which may be x."""
    shape, starts, width = _runs(x, whole, start)
    lane = lanes(seed, stream, step, starts.to(x.device), width)
    exact = x if x.dtype == torch.float64 else x.float()
    kept = (exact * scale + shift).to(x.dtype)
    out.copy_(kept.masked_fill_(lane.view(shape) < threshold, dropped))


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
    """Write x (bias + gain z) into `out`, with a factor that is rounded once, as the product is.

    z is an element's own: standard normal, or uniform in (-1, 1). Factors are made on the CPU,
    since there are devices that have no float64, and NumPy has what it takes.
    """
    shape, starts, width = _runs(x, whole, start)
    factor = bias + gain * (normals if normal else uniforms)(seed, stream, step, starts, width)
    wide = x.dtype == torch.float64
    factor = factor.reshape(shape).astype(np.float64 if wide else np.float32)
    out.copy_((x if wide else x.float()) * torch.from_numpy(factor).to(x.device))


def _runs(
    x: Tensor, whole: Sequence[int], start: Sequence[int]
) -> tuple[tuple[int, ...], Int64[Tensor, "runs"], int]:
    """The shape of x's coins and the stretches of the mask that they are."""
    shape = tuple(min(n, 1) if w == 1 else n for n, w in zip(x.shape, whole, strict=True))
    starts, width = runs(shape, Shard(tuple(whole), tuple(start)))
    return shape, torch.from_numpy(starts), width
