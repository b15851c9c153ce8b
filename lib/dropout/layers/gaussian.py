"""Gaussian dropout: noise of mean 1 and variance p/q, not coins (Srivastava et al., 2014)."""

from jaxtyping import Float
from torch import Generator, Tensor

from dropout.layers.base import CoinLayer, overridable
from dropout.mask import MaskKey, threshold
from dropout.noise import LAWS, affine, multiply
from dropout.op import idle
from dropout.shard import Shard, place


@overridable
def gaussian_dropout(
    input: Float[Tensor, "*shape"],
    p: float = 0.5,
    training: bool = True,
    *,
    key: MaskKey | None = None,
    generator: Generator | None = None,
    shard: Shard | None = None,
) -> Float[Tensor, "*shape"]:
    """Multiply each element by its own number from N(1, p/(1 - p)), the variance that dropout has.

    p is the drop rate of the dropout that it stands for. `key`, `generator` and `shard` are those
    of `functional.dropout`. With `training=False` or p = 0, the input itself comes back.

    Raises TypeError for a tensor that is to change and not dense and floating point, ValueError for
    p outside [0, 1): at p = 1 the variance has no value. Source: Srivastava et al. (2014), section
    10.

    >>> from torch import ones
    >>> gaussian_dropout(ones(4), p=0.5, key=MaskKey(seed=1))
    tensor([ 1.3804,  0.7037,  0.7508, -0.0038])
    """
    deviation = _deviation(p)
    if idle(input, deviation, training):
        return input
    return multiply(input, "normal", [deviation], *place(input.shape, shard), key, generator)


def _deviation(p: float) -> float:
    threshold(p)  # refuses what is no rate at all
    if p == 1:
        raise ValueError(f"p must be in [0, 1) for Gaussian noise of variance p/(1 - p), got {p}")
    return (p / (1 - p)) ** 0.5


def _normal(x, seed, stream, step, numbers, whole, start):
    """x (1 + σ z), z normal."""
    return affine(x, seed, stream, step, True, 1.0, numbers[0], whole, start)


LAWS["normal"] = _normal


class GaussianDropout(CoinLayer):
    """`functional.gaussian_dropout` as a module: the identity in evaluation.

    p, `key` and `generator` are as in `nn.Dropout`, but p = 1 is refused.

    >>> from torch import ones
    >>> GaussianDropout(p=0.5, key=MaskKey(seed=1))(ones(4))
    tensor([ 1.3804,  0.7037,  0.7508, -0.0038])
    """

    function = staticmethod(gaussian_dropout)
    elementwise = True

    def __init__(
        self,
        p: float = 0.5,
        *,
        key: MaskKey | None = None,
        generator: Generator | None = None,
    ) -> None:
        _deviation(p)
        super().__init__(p, key, generator)
