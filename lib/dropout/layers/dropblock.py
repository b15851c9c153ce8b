"""DropBlock: square blocks of a map drop as one (Ghiasi et al., 2018), at the rate asked for.

A block is named by its top left corner, which may be wherever the block lies inside the map, and
each corner drops its block with probability γ. Element ij lies in n_ij blocks, so that it stays
with probability (1 - γ)^n_ij. The γ that the paper gives counts as if blocks never overlapped;
here it solves: mean over the map of 1 - (1 - γ)^n_ij = p.
"""

from numbers import Integral

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.functional import pad

from dropout.layers.base import CoinLayer, overridable, rank_of
from dropout.mask import MaskKey, block_covers, block_threshold, threshold
from dropout.noise import LAWS, affine, multiply
from dropout.op import idle
from dropout.shard import Shard, place

WORDS = 1 << 32  # γ is a number of these: 16 bits, a coin's, would be coarse for one so small


@overridable
def drop_block2d(
    input: Float[Tensor, "*batch channels height width"],
    p: float,
    block_size: int,
    training: bool = True,
    *,
    per_channel: bool = True,
    key: MaskKey | None = None,
    generator: Generator | None = None,
    shard: Shard | None = None,
) -> Float[Tensor, "*batch channels height width"]:
    """Drop square blocks of each map, on average the part p of it, and scale up what is left.

    The input is (N, C, H, W), or (C, H, W) with no batch. Channels have their own blocks, or with
    `per_channel=False` those of their example. An element that stays is divided by its own
    probability to stay, so that every element keeps its mean, at the border of the map as in the
    middle; the paper divides by the part of the batch that stayed, which ties the examples
    together. `key`, `generator` and `shard` are those of `functional.dropout`. With
    `training=False` or p = 0, the input itself comes back.

    Raises ValueError for p outside [0, 1] and a block that is larger than the map.
    Source: Ghiasi et al. (2018), with another γ than that of equation 1.

    >>> drop_block2d(torch.ones(1, 5, 5), p=0.3, block_size=2, key=MaskKey(seed=1))
    tensor([[[1.1554, 1.3350, 1.3350, 1.3350, 1.1554],
             [1.3350, 1.7823, 1.7823, 1.7823, 1.3350],
             [1.3350, 1.7823, 1.7823, 1.7823, 1.3350],
             [1.3350, 0.0000, 0.0000, 0.0000, 0.0000],
             [1.1554, 0.0000, 0.0000, 0.0000, 0.0000]]])
    """
    threshold(p)
    _check_size(block_size)
    if rank_of(input) not in (3, 4):
        raise ValueError(f"x must be (N, C, H, W) or (C, H, W), got shape {tuple(input.shape)}")
    whole, start = place(input.shape, shard, () if per_channel else (-3,))
    if block_size > min(whole[-2:]):
        raise ValueError(
            f"block_size must be at most the map's height and width, got {block_size} for a map "
            f"of {whole[-2]} x {whole[-1]}"
        )
    if idle(input, p, training):
        return input
    return multiply(input, "blocks", [float(p), float(block_size)], whole, start, key, generator)


def _check_size(block_size: int) -> None:
    if not isinstance(block_size, Integral) or isinstance(block_size, bool) or block_size < 1:
        raise ValueError(f"block_size must be a positive integer, got {block_size!r}")


def _blocks(x, seed, stream, step, numbers, whole, start):
    p, size = numbers[0], int(numbers[1])
    t = block_threshold(p, whole[-2], whole[-1], size)
    # The corners of all blocks that reach into x, and where x begins in what they reach.
    first = [max(0, s - size + 1) for s in start[-2:]]
    corners = [w - size + 1 for w in whole[-2:]]
    ends = [min(c, s + n) for c, s, n in zip(corners, start[-2:], x.shape[-2:], strict=True)]
    shape = [1 if w == 1 else n for n, w in zip(x.shape[:-2], whole[:-2], strict=True)]
    shape += [end - a for a, end in zip(first, ends, strict=True)]
    grid = (*whole[:-2], *corners), (*start[:-2], *first)
    # A word w comes as (2w + 1) / 2^32 - 1. Made a number that is below 0 where w is below t, and
    # never 0, it may be rounded: not all devices have float64.
    one = x.new_ones((), dtype=torch.float32).expand(shape)
    below = affine(one, seed, stream, step, False, 1 - 2 * t / WORDS, 1.0, *grid) < 0
    dropped = pad(below, [size - 1] * 4)
    for axis, a, s, n in zip((-2, -1), first, start[-2:], x.shape[-2:], strict=True):
        dropped = _windows(dropped, size, axis).narrow(axis, s - a, n)
    exact = x if x.dtype == torch.float64 else x.float()
    out = exact * _scale(t, size, whole, start, exact)
    return torch.empty_like(x).copy_(out.masked_fill_(dropped, 0.0))


def _windows(hit, size, axis):
    """Of each stretch of `size` places along an axis, whether it holds a hit."""
    reach = 1
    while reach < size:
        step = min(reach, size - reach)
        n = hit.shape[axis] - step
        hit = hit.narrow(axis, 0, n) | hit.narrow(axis, step, n)
        reach += step
    return hit


def _scale(t, size, whole, start, x):
    """1 over the probability to stay of each element of a map; 0 where none can stay."""
    by_axis = [
        block_covers(w, size)[s : s + n]
        for w, s, n in zip(whole[-2:], start[-2:], x.shape[-2:], strict=True)
    ]
    stays = (1 - t / WORDS) ** np.outer(*by_axis)
    scale = np.divide(1.0, stays, out=np.zeros_like(stays), where=stays > 0)
    number = np.float64 if x.dtype == torch.float64 else np.float32
    return torch.from_numpy(scale.astype(number)).to(x.device)


LAWS["blocks"] = _blocks


class DropBlock2d(CoinLayer):
    """`functional.drop_block2d` as a module: the identity in evaluation.

    p is the drop rate, the part of the map that drops on average. `key` and `generator` are as in
    `nn.Dropout`.

    >>> DropBlock2d(p=0.3, block_size=2, key=MaskKey(seed=1))(torch.ones(1, 5, 5))
    tensor([[[1.1554, 1.3350, 1.3350, 1.3350, 1.1554],
             [1.3350, 1.7823, 1.7823, 1.7823, 1.3350],
             [1.3350, 1.7823, 1.7823, 1.7823, 1.3350],
             [1.3350, 0.0000, 0.0000, 0.0000, 0.0000],
             [1.1554, 0.0000, 0.0000, 0.0000, 0.0000]]])
    """

    function = staticmethod(drop_block2d)
    settings = ("p", "block_size", "per_channel")
    batched_rank = 4

    def __init__(
        self,
        p: float,
        block_size: int,
        *,
        per_channel: bool = True,
        key: MaskKey | None = None,
        generator: Generator | None = None,
    ) -> None:
        _check_size(block_size)
        super().__init__(p, key, generator)
        self.block_size = block_size
        self.per_channel = per_channel
