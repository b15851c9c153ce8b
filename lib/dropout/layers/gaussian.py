"""Gaussian dropout: noise of mean 1 and variance p/q, not coins (Srivastava et al., 2014)."""

from math import pi

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from dropout.layers.base import CoinLayer
from dropout.mask import MaskKey, threshold
from dropout.noise import LAWS, multiply, words
from dropout.op import active, check
from dropout.shard import Shard, place, runs


def gaussian_dropout(
    x: Float[Tensor, "*shape"],
    p: float = 0.5,
    training: bool = True,
    *,
    key: MaskKey | None = None,
    generator: Generator | None = None,
    shard: Shard | None = None,
) -> Float[Tensor, "*shape"]:
    """Multiply each element by its own number from N(1, p/(1 - p)), the variance that dropout has.

    p is the drop rate of the dropout that it stands for. `key`, `generator` and `shard` are those
    of `functional.dropout`. With `training=False` or p = 0, x itself comes back.

    Raises TypeError for a tensor that is not floating point, ValueError for p outside [0, 1): at
    p = 1 the variance has no value. Source: Srivastava et al. (2014), section 10.

    >>> gaussian_dropout(torch.ones(4), p=0.5, key=MaskKey(seed=1))
    tensor([ 1.3804,  0.7037,  0.7508, -0.0038])
    """
    deviation = _deviation(p)
    check(x)
    if not active(training) or deviation == 0:
        return x
    return multiply(x, "normal", [deviation], *place(x.shape, shard), key, generator)


def _deviation(p: float) -> float:
    threshold(p)  # refuses what is no rate at all
    if p == 1:
        raise ValueError(f"p must be in [0, 1) for Gaussian noise of variance p/(1 - p), got {p}")
    return (p / (1 - p)) ** 0.5


def _normal(x, seed, stream, step, numbers, whole, start):
    """x (1 + σ z), z normal: of each pair of words Box and Muller's method makes a pair of z."""
    shape = tuple(1 if w == 1 else n for n, w in zip(x.shape, whole, strict=True))
    numpy_starts, width = runs(shape, Shard(whole, start))
    starts = torch.from_numpy(numpy_starts).to(x.device)
    odd = starts % 2
    pairs = words(seed, stream, step, starts - odd, (width + 2) // 2 * 2).double()
    radius = torch.sqrt(-2 * torch.log((pairs[:, ::2] + 1) * 2.0**-32))
    angle = pairs[:, 1::2] * (2 * pi * 2.0**-32)
    z = torch.stack((radius * torch.cos(angle), radius * torch.sin(angle)), dim=-1).flatten(1)
    z = z.gather(1, odd[:, None] + torch.arange(width, device=x.device)).view(shape)
    return x.double() * (1 + numbers[0] * z)


LAWS["normal"] = _normal


class GaussianDropout(CoinLayer):
    """`functional.gaussian_dropout` as a module: the identity in evaluation.

    p, `key` and `generator` are as in `nn.Dropout`, but p = 1 is refused.

    >>> GaussianDropout(p=0.5, key=MaskKey(seed=1))(torch.ones(4))
    tensor([ 1.3804,  0.7037,  0.7508, -0.0038])
    """

    def __init__(
        self,
        p: float = 0.5,
        *,
        key: MaskKey | None = None,
        generator: Generator | None = None,
    ) -> None:
        _deviation(p)
        super().__init__(p, key, generator)

    def forward(self, input: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return gaussian_dropout(
            input, self.p, self.training, key=self.key, generator=self.generator
        )
