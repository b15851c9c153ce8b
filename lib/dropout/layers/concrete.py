"""Concrete dropout: a drop rate that is learned, through a relaxed coin (Gal et al., 2017)."""

from collections.abc import Sequence
from math import log
from numbers import Real

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.functional import logsigmoid

from dropout.coins import active
from dropout.layers.base import Coins, overridable
from dropout.layers.weights import CONVOLUTIONS
from dropout.mask import MaskKey, threshold
from dropout.noise import multiply
from dropout.op import check
from dropout.shard import Shard, place


@overridable
def concrete_dropout(
    input: Float[Tensor, "*shape"],
    logit: Float[Tensor, "*rates"],
    temperature: float = 0.1,
    training: bool = True,
    *,
    shared: Sequence[int] = (),
    key: MaskKey | None = None,
    generator: Generator | None = None,
    shard: Shard | None = None,
) -> Float[Tensor, "*shape"]:
    """Dropout whose rate p = sigmoid(logit) has a gradient.

    Each element is multiplied by (1 - z) / (1 - p). Here z = sigmoid((logit + log u/(1 - u)) / t)
    with u uniform in (0, 1) and t the temperature: a relaxed coin, above one half with probability
    p, which tends to a coin as t tends to 0. The mean of z is p in that limit, and where p = 1/2;
    otherwise it lies between p and 1/2, so that the mean of what is sent is not quite the input.

    `logit` broadcasts to the input; with `shared` axes, all elements along them have one number.
    `key`, `generator` and `shard` are those of `functional.dropout`. With `training=False` the
    input itself comes back. The relaxed mask is kept for backward.

    Raises TypeError for a tensor that is to change and not dense and floating point, ValueError for
    a temperature outside (0, inf). Source: Gal, Hron and Kendall (2017), "Concrete dropout".

    >>> logit = torch.tensor(0.0, requires_grad=True)  # p = 1/2
    >>> out = concrete_dropout(torch.ones(4), logit, temperature=0.5, key=MaskKey(seed=1))
    >>> out.sum().backward()
    >>> out.detach(), logit.grad
    (tensor([0.0299, 0.0273, 0.6669, 0.2829]), tensor(-0.9842))
    """
    _check_temperature(temperature)
    if not active(training):
        return input
    check(input)
    wide = torch.promote_types(input.dtype, torch.float32)
    whole, start = place(input.shape, shard, shared)
    rank = input.dim()
    axes = {axis % rank for axis in shared}
    shape = [1 if axis in axes else n for axis, n in enumerate(input.shape)]
    ones = torch.ones(shape, dtype=wide, device=input.device)
    uniform = multiply(ones, "uniform", [1.0], whole, start, key, generator) / 2
    lost = (logit + uniform.log() - torch.log1p(-uniform)) / temperature
    logit = logit.to(torch.promote_types(logit.dtype, torch.float32))
    kept = torch.sigmoid(-logit).clamp(min=torch.finfo(logit.dtype).tiny)  # it may round to 0
    return (input * (torch.sigmoid(-lost) / kept)).to(input.dtype)


def _check_temperature(temperature: float) -> None:
    if not isinstance(temperature, Real) or isinstance(temperature, bool):
        raise TypeError(f"temperature must be a number in (0, inf), got {temperature!r}")
    if not 0 < temperature < float("inf"):
        raise ValueError(f"temperature must be in (0, inf), got {temperature}")


class ConcreteDropout(Coins, torch.nn.Module):
    """A Linear or ConvNd on inputs that drop at a rate p which is learned with the weights.

    It wraps `layer`: before a Linear each element has a number of its own, before a convolution
    each channel of an example. `p` is where the rate begins, strictly between 0 and 1; the layer
    has it as the parameter `logit`, and tells it as `layer.p`. In evaluation the layer runs as it
    is. For the relaxed coin see `functional.concrete_dropout`; `key` and `generator` are as in
    `nn.Dropout`.

    Without a regulariser the loss of the data drives the rate to 0. Add `kl`, once for each
    training set::

        kl = sum(m.kl() for m in model.modules() if isinstance(m, ConcreteDropout))
        loss = negative_log_likelihood.mean() + kl / examples_in_the_training_set

    Source: Gal, Hron and Kendall (2017), "Concrete dropout".

    >>> layer = ConcreteDropout(torch.nn.Linear(3, 2), p=0.2)
    >>> layer(torch.ones(4, 3)).shape, round(layer.p, 3)
    (torch.Size([4, 2]), 0.2)
    """

    settings = ("temperature",)

    def __init__(
        self,
        layer: torch.nn.Module,
        p: float = 0.1,
        temperature: float = 0.1,
        *,
        key: MaskKey | None = None,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(layer, (torch.nn.Linear, *CONVOLUTIONS)):
            raise TypeError(f"layer must be a Linear or a ConvNd, got {type(layer).__name__}")
        threshold(p)  # refuses what is no rate at all
        if not 0 < p < 1:
            raise ValueError(f"p must be strictly between 0 and 1 to be learned, got {p}")
        _check_temperature(temperature)
        super().__init__()
        weight = layer.weight
        self.layer = layer
        self.logit = torch.nn.Parameter(weight.new_tensor(log(p / (1 - p))))
        self.temperature = temperature
        self.key = key
        self.generator = generator

    def forward(self, input: Float[Tensor, "*inputs"]) -> Float[Tensor, "*outputs"]:
        source = self.source(input, names=("temperature", "training", "key", "generator"))
        spatial = range(-self._maps, 0)
        return self.layer(concrete_dropout(input, self.logit, shared=tuple(spatial), **source))

    @property
    def p(self) -> float:
        """The drop rate as it is now."""
        return self.logit.sigmoid().item()

    def kl(self, length: float = 1.0) -> Float[Tensor, ""]:
        """length² ‖W‖² / (2 (1 - p)) - K H(p): the price of this layer's weights and of its rate.

        W is the weight, K the number of inputs (for a convolution of channels) and H(p) the entropy
        of a coin, in nats. Up to a constant it is the approximate Kullback-Leibler divergence
        from a prior of independent N(0, 1/length²) on the weights W / (1 - p) of vanilla dropout. A
        bias is not dropped and has no part in it. Divide it by the number of training examples
        where the loss is the mean negative log-likelihood in nats.

        >>> layer = ConcreteDropout(torch.nn.Linear(3, 2), p=0.5)
        >>> round(layer.kl(length=0.0).item(), 4)  # -3 log 2
        -2.0794
        """
        wide = torch.promote_types(self.logit.dtype, torch.float32)  # float16 ends at 65504
        weight, logit = self.layer.weight.to(wide), self.logit.to(wide)
        p = logit.sigmoid()
        entropy = -p * logsigmoid(logit) - (1 - p) * logsigmoid(-logit)
        squares = weight.square().sum() * (1 + logit.exp())  # over 1 - p, which may round to 0
        return length**2 / 2 * squares - self._inputs * entropy

    def extra_repr(self) -> str:
        return f"p={self.p:.3g}, temperature={self.temperature}"

    @property
    def _inputs(self) -> int:
        layer = self.layer
        return layer.in_features if isinstance(layer, torch.nn.Linear) else layer.in_channels

    @property
    def _maps(self) -> int:
        """The axes that a channel has."""
        layer = self.layer
        return 0 if isinstance(layer, torch.nn.Linear) else len(layer.kernel_size)

    @property
    def batched_rank(self) -> int:  # type: ignore[override]
        return self._maps + 2
