"""How a tensor and its coins lie in memory, reduced to few axes for an engine to loop over."""

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import NamedTuple


class Axis(NamedTuple):
    """A loop: its length, and what one step adds to an element's place in x, in out, in the mask.

    Where the elements of an axis share a coin, a step adds nothing to the place in the mask.
    """

    size: int
    x: int
    out: int
    coin: int


class Layout(NamedTuple):
    """Loops that visit every element: `outer` ones, then `coins` (next element, next coin), then
    `shared` (next element, same coin). `first` is the coin of the first element."""

    first: int
    outer: tuple[Axis, ...]
    coins: Axis
    shared: Axis


@lru_cache(maxsize=4096)
def layout(
    shape: Sequence[int],
    x_strides: Sequence[int],
    out_strides: Sequence[int],
    whole: Sequence[int],
    start: Sequence[int],
) -> Layout:
    """The loops over a tensor at `start` in a mask of shape `whole`, 1 where coins are shared."""
    strides = [prod(whole[axis + 1 :]) if n > 1 else 0 for axis, n in enumerate(whole)]
    first = sum(s * stride for s, stride in zip(start, strides, strict=True))
    loops = [Axis(*a) for a in zip(shape, x_strides, out_strides, strides, strict=True)]
    axes = _merged(sorted((a for a in loops if a.size != 1), key=lambda a: (-a.coin, -a.out)))
    shared = axes.pop() if axes and axes[-1].coin == 0 else Axis(1, 0, 0, 0)
    last = next((a for a in axes if a.coin == 1), Axis(1, 0, 0, 1))
    return Layout(first, tuple(a for a in axes if a is not last), last, shared)


def _merged(axes: list[Axis]) -> list[Axis]:
    """The same loops with each axis joined to the one before it wherever they make one stretch."""
    merged: list[Axis] = []
    for axis in axes:
        span = tuple(axis.size * stride for stride in axis[1:])
        if merged and merged[-1][1:] == span:
            merged[-1] = Axis(merged[-1].size * axis.size, *axis[1:])
        else:
            merged.append(axis)
    return merged
