"""DropConnect: one coin for each weight (Wan et al., 2013)."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.functional import linear

from dropout.coins import active
from dropout.layers.base import CoinLayer, overridable
from dropout.layers.weights import CONVOLUTIONS, reweighted
from dropout.mask import MaskKey, threshold
from dropout.op import drop
from dropout.shard import Shard


@overridable
def drop_connect(
    input: Float[Tensor, "*inputs"],
    weight: Float[Tensor, "*weights"],
    p: float = 0.5,
    training: bool = True,
    *,
    function: Callable[[Tensor, Tensor], Tensor] = linear,
    per_example: bool = False,
    key: MaskKey | None = None,
    generator: Generator | None = None,
    shard: Shard | None = None,
) -> Float[Tensor, "*outputs"]:
    """`function(input, weight)` with each weight dropped with probability p and the others scaled.

    p is the drop rate, survivors are multiplied by 1/(1 - p). The mask has the shape of `weight`,
    one for the whole batch; `per_example`, it is `(examples, *weight.shape)`, as in the source, and
    so is the memory it takes. Coins come from `key`, or from a seed drawn from `generator`
    (default: PyTorch's CPU generator); a `shard` places the mask in a larger one. A bias that
    `function` adds is not dropped; in the source it is. With `training=False` it is the plain
    function, in place of the source's inference by a Gaussian.

    Raises TypeError for weights that are not floating point, ValueError for p outside [0, 1].
    Source: Wan et al. (2013), r = a((M ⋆ W)v).

    >>> x, weight = torch.eye(4), torch.ones(2, 4)
    >>> drop_connect(x, weight, p=0.5, key=MaskKey(seed=1)).T
    tensor([[0., 2., 0., 2.],
            [0., 2., 2., 2.]])
    """
    if not active(training) or (per_example and not len(input)):  # torch.vmap needs an example
        threshold(p)  # a bad rate is refused in evaluation too
        return function(input, weight)
    if per_example:
        weight, function = weight.expand(len(input), *weight.shape), torch.vmap(function)
    return function(input, drop(weight, p, key=key, generator=generator, shard=shard))


class DropConnect(CoinLayer):
    """A Linear or ConvNd with DropConnect: it wraps `layer`, whose weight and bias stay its own.

    All that the layer does (stride, padding, dilation, groups, bias) it does here, and gradients
    reach `layer.weight`, or what it is computed from, as pruning, a normalisation and other hooks
    and parametrisations do. In evaluation the layer runs as it is. An input without a batch axis is
    one example. For rate, coins and `per_example` see `functional.drop_connect`.

    >>> layer = DropConnect(torch.nn.Conv2d(3, 8, 5, stride=2), p=0.5, per_example=True)
    >>> layer(torch.ones(16, 3, 9, 9)).shape
    torch.Size([16, 8, 3, 3])
    """

    settings = ("p", "per_example")

    def __init__(
        self,
        layer: torch.nn.Module,
        p: float = 0.5,
        per_example: bool = False,
        *,
        key: MaskKey | None = None,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(layer, (torch.nn.Linear, *CONVOLUTIONS)):
            raise TypeError(f"layer must be a Linear or a ConvNd, got {type(layer).__name__}")
        super().__init__(p, key, generator)
        self.layer = layer
        self.per_example = per_example

    def forward(self, input: Float[Tensor, "*inputs"]) -> Float[Tensor, "*outputs"]:
        if not active(self.training):
            return self.layer(input)
        once = not self.per_example
        return reweighted(self.layer, ["weight"], self._connect, input, once=once)

    def _connect(self, run: Callable[..., Tensor], input: Tensor) -> Tensor:
        weight, axes = self.layer.weight, self.batched_rank - 2  # those of one example
        each = self.per_example and input.dim() > axes
        return drop_connect(
            input,
            weight,
            self.p,
            function=lambda x, weight: run({"weight": weight}, x),
            per_example=each,
            **self.source(input, (len(input), *weight.shape) if each else weight.shape),
        )

    @property
    def batch_axis(self) -> int | None:  # type: ignore[override]
        return 0 if self.per_example else None

    @property
    def batched_rank(self) -> int:  # type: ignore[override]
        return 3 if isinstance(self.layer, torch.nn.Linear) else len(self.layer.kernel_size) + 3
