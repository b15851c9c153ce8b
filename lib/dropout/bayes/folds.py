"""Mean and variance of samples that are too large to be kept."""

from typing import NamedTuple

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
    variance, mean = torch.var_mean(part, 0, correction=0)
    if state is not None:
        step = (mean - state.mean) * (n / (m + n))
        variance = torch.lerp(state.variance, variance, n / (m + n)) + step.square() * (m / n)
        mean = state.mean + step
    return Moments(torch.full(part.shape[1:2], m + n, device=part.device), mean, variance)
