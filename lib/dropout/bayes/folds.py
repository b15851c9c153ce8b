"""Mean, variance and quantiles of samples that are too large to be kept."""

from collections.abc import Callable
from math import ceil, floor
from numbers import Integral
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    """Mean and variance of samples, for each input: `reduce=moments` makes `predict` return it.

    `samples` (inputs) is how many there were. The variance is theirs, divided by their number:
    `outputs.var(0, correction=0)`.

    >>> from dropout.bayes import predict
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Dropout(0.5))
    >>> predict(model, torch.ones(5, 3), samples=1000, reduce=moments).variance.shape
    torch.Size([5, 2])
    """

    samples: Tensor
    mean: Tensor
    variance: Tensor


def moments(state: Moments | None, part: Tensor) -> Moments:
    """The moments of the samples so far and of a part (samples, inputs, ...), in float32.

    In float64 for float64. Source: Chan, Golub and LeVeque (1983), equation 2.1.

    >>> first = moments(None, torch.tensor([[1.0], [2.0]]))
    >>> moments(first, torch.tensor([[6.0]])).mean
    tensor([3.])
    """
    part = part.to(torch.promote_types(part.dtype, torch.float32))
    m, n = 0 if state is None else int(state.samples[0]), len(part)
    mean = part.mean(0)
    variance = (part - mean).square_().mean(0)  # torch.var_mean takes several times as long
    if state is not None:
        step = (mean - state.mean) * (n / (m + n))
        variance = torch.lerp(state.variance, variance, n / (m + n)) + step.square() * (m / n)
        mean = state.mean + step
    return Moments(torch.full(part.shape[1:2], m + n, device=part.device), mean, variance)


def quantiles(*levels: float, samples: int) -> Callable[[Any, Tensor], Any]:
    """`reduce=quantiles(0.05, 0.95, samples=100)`: a quantile (inputs, ...) for each of the levels.

    They are exact, those of `torch.quantile` with its linear interpolation, in float32 or float64.
    Only the least and the greatest samples that they need are kept: for the ends of an interval of
    90 % the 6 least and the 6 greatest of 100, for a median half of all. `samples` is what
    `predict` is told. Raises ValueError for a level outside [0, 1] and for more samples than that;
    `predict` raises TypeError after fewer.

    A map of 512 x 512 pixels and 21 classes has 22 MB: 100 samples would be 2.2 GB, and these are
    .3 GB. Here it is a smaller one:

    >>> from dropout.bayes import predict
    >>> model = torch.nn.Sequential(torch.nn.Dropout2d(0.5), torch.nn.Conv2d(3, 21, 1))
    >>> x = torch.ones(2, 3, 16, 16)
    >>> low, high = predict(model, x, 100, reduce=quantiles(0.05, 0.95, samples=100))
    >>> low.shape, bool((low <= high).all())
    (torch.Size([2, 21, 16, 16]), True)
    """
    if not levels or not all(0 <= level <= 1 for level in levels):
        raise ValueError(f"levels must be numbers in [0, 1], got {levels}")
    if not isinstance(samples, Integral) or samples < 1:
        raise ValueError(f"samples must be a positive integer, got {samples}")

    def fold(state: _Ends | None, part: Tensor) -> Any:
        ends = _Ends(levels, samples) if state is None else state
        if not isinstance(ends, _Ends) or ends.count + len(part) > samples:
            raise ValueError(f"quantiles of samples={samples} got more of them from predict")
        for row in part:
            ends.add(row)
        return ends.quantiles() if ends.count == samples else ends

    return fold


class _Ends:
    """The least and the greatest of the samples so far, sorted, as many as some quantiles need."""

    def __init__(self, levels: tuple[float, ...], samples: int) -> None:
        self.samples, self.count = samples, 0
        self.least: list[Tensor] = []
        self.greatest: list[Tensor] = []
        # Each level is between two ranks, which are counted from the end that is nearer.
        self.places = [level * (samples - 1) for level in levels]
        self.below = max((ceil(a) + 1 for a in self.places if self._low(a)), default=0)
        self.above = max((samples - floor(a) for a in self.places if not self._low(a)), default=0)

    def __repr__(self) -> str:
        return f"quantiles of samples={self.samples} after {self.count}"

    def _low(self, place: float) -> bool:
        return ceil(place) + 1 <= self.samples - floor(place)

    def add(self, row: Tensor) -> None:
        self.count += 1
        _insert(self.least, row, self.below, torch.minimum, torch.maximum)
        _insert(self.greatest, row, self.above, torch.maximum, torch.minimum)

    def quantiles(self) -> tuple[Tensor, ...]:
        found = []
        for place in self.places:
            ranks = floor(place), ceil(place)
            rows = [self._ranked(rank, self._low(place)) for rank in ranks]
            low, high = (row.to(torch.promote_types(row.dtype, torch.float32)) for row in rows)
            found.append(torch.lerp(low, high, place - floor(place)))
        return tuple(found)

    def _ranked(self, rank: int, low: bool) -> Tensor:
        return self.least[rank] if low else self.greatest[self.samples - 1 - rank]


def _insert(kept: list[Tensor], row: Tensor, most: int, first: Any, last: Any) -> None:
    """Put each element of a row in its place among those kept, and lose the last beyond `most`."""
    for j, other in enumerate(kept):
        kept[j], row = first(other, row), last(other, row)
    if len(kept) < most:
        kept.append(row)
