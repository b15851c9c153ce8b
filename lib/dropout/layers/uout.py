"""Uout: uniform noise, a milder dropout for networks with batch normalisation (Li et al., 2018)."""

from numbers import Real

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from dropout.layers.base import Coins, overridable
from dropout.mask import MaskKey
from dropout.noise import LAWS, affine, multiply
from dropout.op import idle
from dropout.shard import Shard, place


@overridable
def uout(
    input: Float[Tensor, "*shape"],
    beta: float = 0.1,
    training: bool = True,
    *,
    key: MaskKey | None = None,
    generator: Generator | None = None,
    shard: Shard | None = None,
) -> Float[Tensor, "*shape"]:
    """input · (1 + r) for r from U(-beta, beta), one r for each element.

    There is no drop rate: `beta` in [0, 1] says how strong the noise is. `key`, `generator` and
    `shard` are those of `functional.dropout`. With `training=False` or beta = 0, the input itself
    comes back.

    Raises TypeError for a tensor that is to change and not dense and floating point, ValueError for
    beta outside [0, 1].
    Source: Li et al. (2018), "Change Dropout into a more variance-stable form".

    >>> uout(torch.ones(4), beta=0.1, key=MaskKey(seed=1))
    tensor([1.0781, 1.0789, 1.0171, 1.0423])
    """
    _check_beta(beta)
    if idle(input, beta, training):
        return input
    return multiply(input, "uniform", [float(beta)], *place(input.shape, shard), key, generator)


def _check_beta(beta: float) -> None:
    if not isinstance(beta, Real) or isinstance(beta, bool):
        raise TypeError(f"beta must be a number in [0, 1], got {beta!r}")
    if not 0 <= beta <= 1:
        raise ValueError(f"beta must be in [0, 1], got {beta}")


def _uniform(x, seed, stream, step, numbers, whole, start):
    """x (1 + β z), z uniform."""
    return affine(x, seed, stream, step, False, 1.0, numbers[0], whole, start)


LAWS["uniform"] = _uniform


class Uout(Coins, torch.nn.Module):
    """`functional.uout` as a module: the identity in evaluation.

    `key` and `generator` are as in `nn.Dropout`.

    >>> Uout(beta=0.1, key=MaskKey(seed=1))(torch.ones(4))
    tensor([1.0781, 1.0789, 1.0171, 1.0423])
    """

    function = staticmethod(uout)
    settings = ("beta",)
    elementwise = True

    def __init__(
        self,
        beta: float = 0.1,
        *,
        key: MaskKey | None = None,
        generator: Generator | None = None,
    ) -> None:
        _check_beta(beta)
        super().__init__()
        self.beta = beta
        self.key = key
        self.generator = generator
