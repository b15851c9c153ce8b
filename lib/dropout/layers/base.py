"""What the layers are built on: a checked rate, and a say in where their coins come from."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Generator, Tensor
from torch.fx import Proxy, Tracer
from torch.overrides import handle_torch_function, has_torch_function

from dropout.coins import active, sampler
from dropout.mask import LEVELS, MaskKey, threshold
from dropout.op import check
from dropout.shard import Rows, Shard

F = TypeVar("F", bound=Callable[..., Any])
TORCH_DROPOUTS = (
    torch.nn.Dropout,
    torch.nn.Dropout1d,
    torch.nn.Dropout2d,
    torch.nn.Dropout3d,
    torch.nn.AlphaDropout,
    torch.nn.FeatureAlphaDropout,
)


def overridable(function: F) -> F:
    """A function that arguments may take over by `__torch_function__`, as those of PyTorch are.

    So torch.fx, whose stand-ins for tensors have it, writes a call of it into a graph.
    """

    @wraps(function)
    def open_function(*args, **kwargs):
        everything = *args, *kwargs.values()
        if has_torch_function(everything):
            return handle_torch_function(open_function, everything, *args, **kwargs)
        return function(*args, **kwargs)

    return open_function  # type: ignore[return-value]


def rank_of(x: Tensor) -> int:
    """The number of a tensor's axes. Raises TypeError for what is no tensor."""
    check(x, idle=True)
    return x.dim()


def behind(coins: int, x: Tensor, p: float, training: bool) -> tuple[int, ...]:
    """The axes of x behind its first `coins`, which alone have coins.

    Raises TypeError for what is no tensor, RuntimeError for one of fewer axes whose coins matter.
    """
    rank = rank_of(x)
    if rank < coins and active(training) and 0 < threshold(p) < LEVELS and x.numel():
        raise RuntimeError(
            f"Feature dropout requires at least {coins} dimensions in the input, got {rank}"
        )
    return tuple(range(coins, rank))


def whole(forward: F) -> F:
    """The forward of a layer that torch.fx takes as a whole, as it takes the layers of torch.nn.

    So the layer stands in the graph, and heeds its mode, rather than what it does in one mode.
    """

    @wraps(forward)
    def traced(self, *args, **kwargs):
        for x in (*args, *kwargs.values()):
            tracer = x.tracer if isinstance(x, Proxy) else None
            if isinstance(tracer, Tracer) and self is not tracer.root:
                path = tracer.path_of_module(self)
                return tracer.create_proxy("call_module", path, args, kwargs)
        return forward(self, *args, **kwargs)

    return traced  # type: ignore[return-value]


class Coins:
    """A layer that draws coins: by a key, or by a generator of seeds, by default PyTorch's own.

    A layer that is a function with settings says which, and has its forward from here. Those with
    a forward of their own pass `source` on to whatever draws.

    The defaults are the class's, so that an object that has become one of ours has them too.
    """

    key: MaskKey | None = None
    generator: Generator | None = None
    rows: Rows | None = None  # those of the whole batch that come here: set by `seeding.set_step`
    batch_axis: int | None = 0  # of what has coins; None where the batch has no part in it
    batched_rank: int = 1  # with fewer axes than these there is no batch
    elementwise: bool = False  # any axis may be the batch's: `batch_axis` can be set
    function: Callable[..., Any]
    training: bool
    arguments: tuple[str, ...]
    settings: tuple[str, ...] = ("p",)  # the rate, or what else drops nothing at 0, comes first

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        cls.arguments = (*cls.settings, "training", "key", "generator")
        if "forward" in vars(cls):
            cls.forward = whole(cls.forward)  # type: ignore[method-assign]

    @whole
    def forward(self, input):
        return self.function(input, **self.source(input, names=self.arguments))

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)}" for name in self.settings)

    def drops(self) -> bool:
        """Whether anything drops in training."""
        return getattr(self, self.settings[0]) != 0

    def source(
        self,
        x: Tensor,
        shape: Sequence[int] | None = None,
        names: Sequence[str] = ("key", "generator"),
    ) -> dict[str, Any]:
        """Where the coins of x come from, or those of a shape that x leads to, as arguments."""
        arguments = {name: getattr(self, name) for name in names}
        if self.rows is not None and self.drops():
            arguments["shard"] = self.shard(x, x.shape if shape is None else shape)
        return arguments

    def shard(self, x: Any, shape: Sequence[int]) -> Shard | None:
        """Where the coins of a shape lie in the mask of the whole batch, by the layer's rows.

        An axis that is longer than the rows by a whole factor, as that of (batch x time, features)
        is, has so many elements to a row. Raises ValueError for rows that the shape cannot have.
        """
        rows, axis, rank = self.rows, self.batch_axis, len(shape)
        if rows is None or axis is None or not self.training or sampler() is not None:
            return None
        if rank < self.batched_rank or not -rank <= axis < rank:
            raise ValueError(self._misfit(shape, "it has no batch axis"))
        axis %= rank
        if type(x).__module__ == "torch.distributed.tensor" and any(
            placement.is_shard(axis) for placement in x.placements
        ):
            raise ValueError(self._misfit(shape, "a DTensor in parts knows its rows: set none"))
        n, count = shape[axis], rows.count
        each = n // count if count else 1
        if n != each * count:
            why = f"the {n} along axis {axis} are no multiple of {count}"
            raise ValueError(self._misfit(shape, f"{why}: set its batch_axis (None: no batch)"))
        if each != 1 and self.elementwise and "batch_axis" not in vars(self) and count in shape:
            why = f"is axis {axis} or axis {list(shape).index(count)} the batch's?"
            raise ValueError(self._misfit(shape, f"{why} Set its batch_axis"))
        whole, start = list(shape), [0] * rank
        whole[axis], start[axis] = each * rows.total, each * rows.start
        return Shard(tuple(whole), tuple(start))

    def _misfit(self, shape: Sequence[int], why: str) -> str:
        return f"{type(self).__name__} cannot drop shape {tuple(shape)} by {self.rows}: {why}"


class CoinLayer(Coins, torch.nn.Module):
    """A module with a drop rate p and a source of coins: a key, or a generator of seeds."""

    def __init__(self, p: float, key: MaskKey | None, generator: Generator | None) -> None:
        threshold(p)  # refuses a bad rate here rather than at the first forward
        super().__init__()
        self.p = p
        self.key = key
        self.generator = generator


class Keyed(Coins):
    """The same for the layers that torch.nn has: its arguments first, then the source of coins.

    Stands before the class of `torch.nn` among the bases of ours.
    """

    settings = ("p", "inplace")

    def __init__(
        self,
        p: float = 0.5,
        inplace: bool = False,
        *,
        key: MaskKey | None = None,
        generator: Generator | None = None,
    ) -> None:
        threshold(p)
        super().__init__(p, inplace)  # type: ignore[call-arg]
        self.key = key
        self.generator = generator


def draws_coins(layer: torch.nn.Module) -> bool:
    """Whether a layer draws coins as ours do: any of ours, or one with a key and a generator.

    Those of torch.nn, TORCH_DROPOUTS, do so only where `bayes.predict` samples.
    """
    return isinstance(layer, Coins) or {"key", "generator"} <= vars(layer).keys()
