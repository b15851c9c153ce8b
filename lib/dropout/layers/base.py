"""What the layers are built on: a checked rate, and a say in where their coins come from."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Generator, Tensor
from torch.fx import Proxy, Tracer
from torch.nn.modules.dropout import _DropoutNd
from torch.overrides import handle_torch_function, has_torch_function

from dropout.coins import active
from dropout.mask import LEVELS, MaskKey, threshold
from dropout.op import check

F = TypeVar("F", bound=Callable[..., Any])


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
    """Where a layer's coins come from: a key, or a generator of seeds, by default PyTorch's own.

    The defaults are the class's, so that an object that has become one of ours has them too.
    """

    key: MaskKey | None = None
    generator: Generator | None = None

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        if "forward" in vars(cls):
            cls.forward = whole(cls.forward)  # type: ignore[attr-defined]


class CoinLayer(Coins, torch.nn.Module):
    """A module with a drop rate p and a source of coins: a key, or a generator of seeds."""

    def __init__(self, p: float, key: MaskKey | None, generator: Generator | None) -> None:
        threshold(p)  # refuses a bad rate here rather than at the first forward
        super().__init__()
        self.p = p
        self.key = key
        self.generator = generator

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Keyed(Coins, _DropoutNd):
    """The same for the layers that torch.nn has: its arguments first, then the source of coins.

    Stands before the class of `torch.nn` among the bases of ours.
    """

    def __init__(
        self,
        p: float = 0.5,
        inplace: bool = False,
        *,
        key: MaskKey | None = None,
        generator: Generator | None = None,
    ) -> None:
        threshold(p)
        super().__init__(p, inplace)
        self.key = key
        self.generator = generator


def draws_coins(layer: torch.nn.Module) -> bool:
    """Whether a layer draws coins as ours do: any of ours, or one with a key and a generator.

    Those of torch.nn, `_DropoutNd`, do so only where `bayes.predict` samples.
    """
    return isinstance(layer, Coins) or {"key", "generator"} <= vars(layer).keys()
