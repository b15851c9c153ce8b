"""Spatial dropout: one coin for each channel of a map (Tompson et al., 2015)."""

import warnings

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from dropout.layers.base import Keyed, behind, overridable, rank_of
from dropout.mask import MaskKey
from dropout.op import drop
from dropout.shard import Shard


@overridable
def dropout1d(
    input: Float[Tensor, "*batch channels length"],
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: MaskKey | None = None,
    generator: Generator | None = None,
    shard: Shard | None = None,
) -> Float[Tensor, "*batch channels length"]:
    """Drop each channel of each example with probability p and multiply the others by 1/(1 - p).

    The input is (N, C, L), or (C, L) with no batch. p, `key`, `generator` and `shard` are those of
    `functional.dropout`. With nothing to drop, the input itself comes back.

    Raises RuntimeError for an input of another rank, as PyTorch does.
    Source: Tompson et al. (2015), SpatialDropout.

    >>> dropout1d(torch.ones(4, 2), p=0.5, key=MaskKey(seed=1))
    tensor([[0., 0.],
            [2., 2.],
            [0., 0.],
            [2., 2.]])
    """
    rank = rank_of(input)
    if rank not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {rank}D input: it must be (C, L) "
            f"or (N, C, L), got shape {tuple(input.shape)}"
        )
    return _drop_channels(input, rank - 1, p, training, inplace, key, generator, shard)


@overridable
def dropout2d(
    input: Float[Tensor, "*shape"],
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: MaskKey | None = None,
    generator: Generator | None = None,
    shard: Shard | None = None,
) -> Float[Tensor, "*shape"]:
    """Drop each channel of each example with probability p and multiply the others by 1/(1 - p).

    The input is (N, C, H, W). As in PyTorch the first two axes have coins and the rest share them,
    whatever the rank: one of rank 3 is read as (N, C, L), not as (C, H, W), and warned of, as is
    every rank but 3 and 4. The rest is as in `functional.dropout`.

    Raises RuntimeError for an input of rank below 2, where p is not 0 or 1.
    Source: Tompson et al. (2015), SpatialDropout.

    >>> dropout2d(torch.ones(1, 4, 3, 3), p=0.5, key=MaskKey(seed=1)).sum(dim=(2, 3))
    tensor([[ 0., 18.,  0., 18.]])
    """
    rank = rank_of(input)
    if rank == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D "
            "dropout behavior is desired: (N, C, L). Use dropout1d to say so; for (C, H, W) add "
            "a batch axis",
            stacklevel=3,
        )
    elif rank != 4:
        warnings.warn(
            f"dropout2d: Received a {rank}-D input to dropout2d, which is made for (N, C, H, W)",
            stacklevel=3,
        )
    return _drop_channels(input, 2, p, training, inplace, key, generator, shard)


@overridable
def dropout3d(
    input: Float[Tensor, "*shape"],
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: MaskKey | None = None,
    generator: Generator | None = None,
    shard: Shard | None = None,
) -> Float[Tensor, "*shape"]:
    """Drop each channel of each example with probability p and multiply the others by 1/(1 - p).

    The input is (N, C, D, H, W), or (C, D, H, W) with no batch. Every other rank is warned of and,
    as in PyTorch, has coins along its first axis only. The rest is as in `functional.dropout`.

    Source: Tompson et al. (2015), SpatialDropout.

    >>> dropout3d(torch.ones(4, 2, 2, 2), p=0.5, key=MaskKey(seed=1)).sum(dim=(1, 2, 3))
    tensor([ 0., 16.,  0., 16.])
    """
    rank = rank_of(input)
    if rank not in (4, 5):
        warnings.warn(
            f"dropout3d: Received a {rank}-D input to dropout3d, which is made for "
            "(N, C, D, H, W) and (C, D, H, W)",
            stacklevel=3,
        )
    coins = 2 if rank == 5 else 1
    return _drop_channels(input, coins, p, training, inplace, key, generator, shard)


def _drop_channels(x, coins, p, training, inplace, key, generator, shard):
    """Dropout with coins along the first axes only, `coins` of them."""
    rest = behind(coins, x, p, training)
    return drop(x, p, rest, training, key=key, generator=generator, shard=shard, inplace=inplace)


class Dropout1d(Keyed, torch.nn.Dropout1d):
    """`torch.nn.Dropout1d`, whole channels of (N, C, L) or (C, L), with the library's masks.

    p, `inplace`, `key` and `generator` are as in `nn.Dropout`.

    >>> Dropout1d(p=0.5, key=MaskKey(seed=1))(torch.ones(2, 3, 1)).flatten(1)
    tensor([[0., 2., 0.],
            [2., 0., 2.]])
    """

    function = staticmethod(dropout1d)
    batched_rank = 3


class Dropout2d(Keyed, torch.nn.Dropout2d):
    """`torch.nn.Dropout2d`, whole channels of (N, C, H, W), with the library's masks.

    p, `inplace`, `key` and `generator` are as in `nn.Dropout`.

    >>> Dropout2d(p=0.5, key=MaskKey(seed=1))(torch.ones(2, 3, 1, 1)).flatten(1)
    tensor([[0., 2., 0.],
            [2., 0., 2.]])
    """

    function = staticmethod(dropout2d)
    batched_rank = 2


class Dropout3d(Keyed, torch.nn.Dropout3d):
    """`torch.nn.Dropout3d`, whole channels of (N, C, D, H, W) or (C, D, H, W), with our masks.

    p, `inplace`, `key` and `generator` are as in `nn.Dropout`.

    >>> Dropout3d(p=0.5, key=MaskKey(seed=1))(torch.ones(2, 3, 1, 1, 1)).flatten(1)
    tensor([[0., 2., 0.],
            [2., 0., 2.]])
    """

    function = staticmethod(dropout3d)
    batched_rank = 5
