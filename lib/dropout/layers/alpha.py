"""Alpha dropout: dropped units take SELU's lowest value, and mean and variance stay.

With α' = -λα and q = 1 - p, y = a(x m + α'(1 - m)) + b for a coin m of mean q, where
a = (q + α'² p q)^(-1/2) and b = -a p α' keep E = 0 and Var = 1 where x has them.
"""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from dropout.layers.base import Keyed, behind, overridable
from dropout.mask import MaskKey, realised_rate
from dropout.op import drop
from dropout.shard import Shard

SATURATION = -1.7580993408473769  # α' = -λα of SELU


@overridable
def alpha_dropout(
    input: Float[Tensor, "*shape"],
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    key: MaskKey | None = None,
    generator: Generator | None = None,
    shard: Shard | None = None,
) -> Float[Tensor, "*shape"]:
    """Set each element to SELU's lowest value with probability p, then scale and shift all.

    Of an input with mean 0 and variance 1 the result has mean 0 and variance 1. It drops with
    `training=True` only, which is not the default, as in PyTorch. p, `key`, `generator` and `shard`
    are those of `functional.dropout`, as is what comes back when there is nothing to drop. At p = 1
    every element is 0, the limit.

    Source: Klambauer et al. (2017), section "New dropout technique", whose q is ours.

    >>> alpha_dropout(torch.zeros(4), p=0.5, training=True, key=MaskKey(seed=1))
    tensor([-0.7792,  0.7792, -0.7792,  0.7792])
    """
    return _drop(input, (), p, training, inplace, key, generator, shard)


@overridable
def feature_alpha_dropout(
    input: Float[Tensor, "batch channels *map"],
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    key: MaskKey | None = None,
    generator: Generator | None = None,
    shard: Shard | None = None,
) -> Float[Tensor, "batch channels *map"]:
    """`alpha_dropout` with one coin for each channel of each example.

    Raises RuntimeError for an input of rank below 2, where p is not 0 or 1.

    >>> x = torch.zeros(1, 4, 2)
    >>> feature_alpha_dropout(x, p=0.5, training=True, key=MaskKey(seed=1))[0].T
    tensor([[-0.7792,  0.7792, -0.7792,  0.7792],
            [-0.7792,  0.7792, -0.7792,  0.7792]])
    """
    shared = behind(2, input, p, training)
    return _drop(input, shared, p, training, inplace, key, generator, shard)


def affine(p: float) -> tuple[float, float, float]:
    """a, b and the value of a dropped unit, a α' + b, at the realised rate; zeros at p = 1."""
    p = realised_rate(p)
    if p == 1:
        return 0.0, 0.0, 0.0
    q = 1 - p
    a = (q + SATURATION * SATURATION * p * q) ** -0.5
    return a, -a * p * SATURATION, a * q * SATURATION  # the sum itself would cancel near p = 1


def _drop(x, shared, p, training, inplace, key, generator, shard):
    a, b, dropped = affine(p)
    coins = {"key": key, "generator": generator, "shard": shard}
    return drop(x, p, shared, training, scale=a, shift=b, dropped=dropped, inplace=inplace, **coins)


class AlphaDropout(Keyed, torch.nn.AlphaDropout):
    """`torch.nn.AlphaDropout` with the library's masks; it heeds `inplace`, which PyTorch does not.

    p, `key` and `generator` are as in `nn.Dropout`.

    >>> AlphaDropout(p=0.5, key=MaskKey(seed=1))(torch.zeros(4))
    tensor([-0.7792,  0.7792, -0.7792,  0.7792])
    """

    function = staticmethod(alpha_dropout)
    elementwise = True


class FeatureAlphaDropout(Keyed, torch.nn.FeatureAlphaDropout):
    """`torch.nn.FeatureAlphaDropout`, whole channels of (N, C, ...), with the library's masks.

    p, `inplace`, `key` and `generator` are as in `nn.AlphaDropout`.

    >>> FeatureAlphaDropout(p=0.5, key=MaskKey(seed=1))(torch.zeros(1, 4, 1)).flatten()
    tensor([-0.7792,  0.7792, -0.7792,  0.7792])
    """

    function = staticmethod(feature_alpha_dropout)
    batched_rank = 2
