"""Where the elements of an array lie in a mask: whole, in part, or several to a coin."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from numbers import Integral
from typing import Any

import numpy as np
from jaxtyping import Int64


@dataclass(frozen=True)
class Shard:
    """Where an array lies in a mask: the mask's whole `shape` and the array's `start` in it.

    Raises TypeError for lengths that are no integers.
    """

    shape: tuple[int, ...]
    start: tuple[int, ...]

    def __post_init__(self):
        if {*map(type, self.shape), *map(type, self.start)} <= {int}:  # a layer's rows: in haste
            return
        for name in ("shape", "start"):
            lengths = tuple(_length(name, n) for n in getattr(self, name))
            object.__setattr__(self, name, lengths)


def _length(name: str, n: Any) -> int:
    """An integer as Python's own, which does not wrap; a symbol that a tracer counts by, as is."""
    if type(n) is int or type(n).__name__ == "SymInt":
        return n
    if not isinstance(n, Integral) or isinstance(n, bool):
        raise TypeError(f"a shard's {name} must be integers, got {n!r}")
    return int(n)


@dataclass(frozen=True)
class Rows:
    """Which rows of a whole batch a process has: `count` of its `total`, from row `start` on."""

    start: int
    count: int
    total: int

    def __post_init__(self):
        for name in ("start", "count", "total"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool):
                raise TypeError(f"{name} must be an integer, got {value!r}")
            object.__setattr__(self, name, int(value))
        if not 0 <= self.start <= self.start + self.count <= self.total:
            raise ValueError(f"rows must lie inside the whole batch, got {self}")


def place(
    shape: tuple[int, ...], shard: Shard | None = None, shared: Sequence[int] = ()
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The whole mask's shape and where in it an array of a shape starts.

    The mask has length 1 along the axes `shared`, all of whose elements toss one coin: NumPy's
    rules of broadcasting say which.

    >>> place((16, 3, 8, 8), shared=(-2, -1))
    ((16, 3, 1, 1), (0, 0, 0, 0))
    """
    shape, rank = tuple(shape), len(shape)
    if shard is None:  # nothing to ask of lengths, which may be symbols
        whole, start = shape, (0,) * rank
    else:
        whole, start = _window(shape, shard)
    if not shared:
        return whole, start
    if any(not -rank <= axis < rank for axis in shared):
        raise ValueError(f"shared axes must be in [{-rank}, {rank}), got {tuple(shared)}")
    axes = {axis % rank for axis in shared}
    return (
        tuple(1 if axis in axes else n for axis, n in enumerate(whole)),
        tuple(0 if axis in axes else n for axis, n in enumerate(start)),
    )


def _window(shape: tuple[int, ...], shard: Shard) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shard's whole and start, if an array of the shape lies there."""
    if not isinstance(shard, Shard):
        raise TypeError(f"shard must be a Shard, got {shard!r}")
    whole, start = shard.shape, shard.start
    if not len(shape) == len(whole) == len(start) or any(
        not 0 <= s <= s + n <= w for n, s, w in zip(shape, start, whole, strict=True)
    ):
        raise ValueError(f"a shard of shape {shape} at {start} does not lie inside {whole}")
    if prod(whole) >= 1 << 63:
        raise ValueError(f"a shard's whole must have less than 2**63 elements, got {whole}")
    return tuple(whole), tuple(start)


def runs(
    shape: tuple[int, ...], shard: Shard | None = None
) -> tuple[Int64[np.ndarray, "runs"], int]:
    """The stretches of consecutive element numbers an array covers: their starts, their one width.

    A whole array is one run. A shard has one for each index of its axes left of the last one that
    the sharding cuts.
    """
    whole, start = place(shape, shard)
    cut = max((axis for axis, n in enumerate(shape) if n != whole[axis]), default=0)
    starts = np.zeros(1, np.int64)
    for axis in range(len(shape)):
        index = np.arange(shape[axis] if axis < cut else 1) + start[axis]
        starts = (starts[:, None] + index * prod(whole[axis + 1 :])).ravel()
    return starts, prod(shape[cut:])
