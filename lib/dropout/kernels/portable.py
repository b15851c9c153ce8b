"""Masked scale from plain torch integer operations: any device, the same bits as `dropout.mask`."""

from collections.abc import Sequence

import torch
from jaxtyping import Int64
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
    shape = tuple(min(n, 1) if w == 1 else n for n, w in zip(x.shape, whole, strict=True))
    starts, width = runs(shape, Shard(tuple(whole), tuple(start)))
    lane = lanes(seed, stream, step, torch.from_numpy(starts).to(x.device), width)
    exact = x if x.dtype == torch.float64 else x.float()
    kept = (exact * scale + shift).to(x.dtype)
    out.copy_(kept.masked_fill_(lane.view(shape) < threshold, dropped))
