"""Stochastic depth: one coin for each example's way through a branch (Huang et al., 2016)."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn import Module

from dropout.layers.base import CoinLayer, overridable
from dropout.mask import MaskKey, inverted_scale, threshold
from dropout.op import check, drop, idle
from dropout.shard import Shard


@overridable
def drop_path(
    input: Float[Tensor, "batch *shape"],
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: MaskKey | None = None,
    generator: Generator | None = None,
    shard: Shard | None = None,
) -> Float[Tensor, "batch *shape"]:
    """Drop each example whole with probability p and multiply the others by 1/(1 - p).

    The input is what a branch of a residual network adds to its input. p, `key`, `generator` and
    `shard` are those of `functional.dropout`. With nothing to drop, the input itself comes back.

    Raises ValueError for an input with no axis of examples, where anything drops.
    Source: Huang et al. (2016), equation 2, scaled as inverted dropout is.

    >>> drop_path(torch.ones(4, 2), p=0.5, key=MaskKey(seed=1))
    tensor([[0., 0.],
            [2., 2.],
            [0., 0.],
            [2., 2.]])
    """
    if idle(input, threshold(p), training):
        return input
    _check_examples(input)
    rest = range(1, input.dim())
    return drop(
        input, p, rest, training, key=key, generator=generator, shard=shard, inplace=inplace
    )


def _check_examples(x: Tensor) -> None:
    if x.dim() == 0:
        raise ValueError("x must have a first axis, of examples, got a tensor of shape ()")


class DropPath(CoinLayer):
    """`functional.drop_path` as a module: the identity in evaluation.

    p, `key` and `generator` are as in `nn.Dropout`.

    >>> DropPath(p=0.5, key=MaskKey(seed=1))(torch.ones(4, 1)).flatten()
    tensor([0., 2., 0., 2.])
    """

    function = staticmethod(drop_path)
    settings = ("p", "inplace")

    def __init__(
        self,
        p: float = 0.5,
        inplace: bool = False,
        *,
        key: MaskKey | None = None,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(p, key, generator)
        self.inplace = inplace


class StochasticDepth(CoinLayer):
    """x + drop_path(branch(x)), with the branch run on those examples alone that do not drop.

    In evaluation, and at p = 0, it is x + branch(x). p, `key` and `generator` are as in
    `nn.Dropout`. How many examples the branch gets changes from call to call, so that torch.compile
    breaks the graph here, and batch normalisation in the branch sees those examples only. Where all
    drop, the branch is not run; but with `seeding.set_step(..., rows=...)` it is, on no example, so
    that its weights have a gradient, of 0, on each of the data-parallel processes that wait for it.
    Source: Huang et al. (2016), equation 2, scaled as inverted dropout is.

    >>> layer = StochasticDepth(torch.nn.Identity(), p=0.5, key=MaskKey(seed=1))
    >>> layer(torch.ones(4, 1)).flatten()
    tensor([1., 3., 1., 3.])
    """

    def __init__(
        self,
        branch: Module,
        p: float = 0.5,
        *,
        key: MaskKey | None = None,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(p, key, generator)
        self.branch = branch

    def forward(self, input: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
        if not self.training or threshold(self.p) == 0:
            return input + self.branch(input)
        check(input)
        _check_examples(input)
        # On the CPU, so that counting the kept ones waits for no device.
        ones = torch.ones(len(input), device="cpu")
        kept = drop(ones, self.p, scale=1.0, **self.source(ones)).nonzero()[:, 0].to(input.device)
        if not len(kept) and self.rows is None:
            return input.clone()
        out = self.branch(input.index_select(0, kept)).to(input.dtype)
        return input.index_add(0, kept, out, alpha=inverted_scale(self.p))
