"""Masked scale from plain torch integer operations: any device, the same bits as `dropout.mask`."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dropout.mask import LANES, MASK32, Shard, runs


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


def masked_scale(
    x: Float[Tensor, "*shape"],
    seed: int,
    stream: int,
    step: int,
    threshold: int,
    scale: float,
    shard: Shard,
) -> Float[Tensor, "*shape"]:
    """x · scale where the lane reaches the threshold, exactly 0 elsewhere whatever x is there."""
    starts, width = runs(tuple(x.shape), shard)
    lane = lanes(seed, stream, step, torch.from_numpy(starts).to(x.device), width)
    return (x * scale).masked_fill_(lane.view(x.shape) < threshold, 0)
