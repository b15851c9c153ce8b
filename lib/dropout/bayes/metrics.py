"""What samples of predictions say: how uncertain, of which kind, and whether rightly so.

Logarithms are natural, so that entropies are in nats. Half precision is taken in float32, and so is
what comes back: sums and squares on the way would pass the largest float16, 65504. Nothing is
broadcast: ValueError is raised for tensors of other shapes than are said.
"""

from collections.abc import Callable
from functools import wraps
from math import log, pi
from typing import ParamSpec, TypeVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.special import entr

P = ParamSpec("P")
R = TypeVar("R")


def _at_least_single(measure: Callable[P, R]) -> Callable[P, R]:
    """A measure that takes tensors in half precision in float32."""

    def widened(value):
        half = isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16)
        return value.float() if half else value

    @wraps(measure)
    def wide(*args: P.args, **kwargs: P.kwargs) -> R:
        return measure(*map(widened, args), **{n: widened(a) for n, a in kwargs.items()})

    return wide


def _check_samples(probabilities: Tensor) -> None:
    if probabilities.dim() != 3:
        raise ValueError(
            "probabilities must have shape (samples, inputs, classes), "
            f"got {tuple(probabilities.shape)}"
        )


def _check_labels(probabilities: Tensor, labels: Tensor) -> None:
    if probabilities.dim() != 2 or labels.shape != probabilities.shape[:1]:
        raise ValueError(
            "probabilities must have shape (inputs, classes) and labels (inputs), got "
            f"{tuple(probabilities.shape)} and {tuple(labels.shape)}"
        )


def _check_targets(samples: Tensor, y: Tensor) -> None:
    if y.shape != samples.shape[1:]:
        raise ValueError(
            f"y must have the shape of one sample, {tuple(samples.shape[1:])}, got "
            f"{tuple(y.shape)} for samples {tuple(samples.shape)}"
        )


# --- How uncertain ------------------------------------------------------------------------------


@_at_least_single
def predictive_entropy(
    probabilities: Float[Tensor, "samples inputs classes"],
) -> Float[Tensor, "inputs"]:
    """H[E p], the entropy of the mean prediction: all the uncertainty that there is.

    >>> predictive_entropy(torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]))
    tensor([0.6931])
    """
    _check_samples(probabilities)
    return entr(probabilities.mean(0)).sum(-1)


@_at_least_single
def expected_entropy(
    probabilities: Float[Tensor, "samples inputs classes"],
) -> Float[Tensor, "inputs"]:
    """E H[p], the mean entropy of the samples: what is uncertain to every one of them, aleatoric.

    >>> expected_entropy(torch.tensor([[[0.5, 0.5]], [[0.5, 0.5]]]))
    tensor([0.6931])
    """
    _check_samples(probabilities)
    return entr(probabilities).sum(-1).mean(0)


@_at_least_single
def mutual_information(
    probabilities: Float[Tensor, "samples inputs classes"],
) -> Float[Tensor, "inputs"]:
    """H[E p] - E H[p], what knowing the network would tell of the class: epistemic, or BALD.

    Source: Houlsby, Huszár, Ghahramani and Lengyel (2011), equation 2.

    >>> mutual_information(torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]))
    tensor([0.6931])
    """
    return predictive_entropy(probabilities) - expected_entropy(probabilities)


@_at_least_single
def variation_ratio(
    probabilities: Float[Tensor, "samples inputs classes"],
) -> Float[Tensor, "inputs"]:
    """The part of the samples whose class is not the one that most of them choose.

    >>> variation_ratio(torch.tensor([[[0.9, 0.1]], [[0.6, 0.4]], [[0.8, 0.2]], [[0.3, 0.7]]]))
    tensor([0.2500])
    """
    _check_samples(probabilities)
    votes = torch.nn.functional.one_hot(probabilities.argmax(-1), probabilities.shape[-1])
    return 1 - votes.to(probabilities.dtype).mean(0).amax(-1)


# --- Whether rightly so: classes ----------------------------------------------------------------


@_at_least_single
def nll(
    probabilities: Float[Tensor, "inputs classes"], labels: Int64[Tensor, "inputs"]
) -> Float[Tensor, ""]:
    """The mean of -log p(label).

    >>> nll(torch.tensor([[0.5, 0.5], [0.25, 0.75]]), torch.tensor([0, 0]))
    tensor(1.0397)
    """
    _check_labels(probabilities, labels)
    return -probabilities.gather(1, labels[:, None]).log().mean()


@_at_least_single
def brier(
    probabilities: Float[Tensor, "inputs classes"], labels: Int64[Tensor, "inputs"]
) -> Float[Tensor, ""]:
    """The mean of Σ_c (p_c - [c is the label])², from 0 to 2.

    Source: Brier (1950).

    >>> brier(torch.tensor([[0.5, 0.5], [0.25, 0.75]]), torch.tensor([0, 0]))
    tensor(0.8125)
    """
    _check_labels(probabilities, labels)
    truth = torch.nn.functional.one_hot(labels, probabilities.shape[-1])
    return (probabilities - truth).square().sum(-1).mean()


@_at_least_single
def calibration_error(
    probabilities: Float[Tensor, "inputs classes"],
    labels: Int64[Tensor, "inputs"],
    bins: int = 15,
    *,
    adaptive: bool = False,
) -> Float[Tensor, ""]:
    """ECE: how far accuracy is from confidence, by bins of confidence, averaged over the inputs.

    The bins are equally wide, open on the left, or, `adaptive`, hold equally many inputs, one more
    in the first where they do not divide.

    Raises ValueError unless there is at least one bin.
    Source: Guo, Pleiss, Sun and Weinberger (2017), equation 3; adaptive: Nguyen and O'Connor
    (2015).

    >>> calibration_error(torch.tensor([[0.5, 0.5], [0.25, 0.75]]), torch.tensor([0, 0]))
    tensor(0.6250)
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    _check_labels(probabilities, labels)
    confidence, choice = probabilities.max(-1)
    gap = (choice == labels).to(confidence.dtype) - confidence
    if adaptive:
        parts = gap[confidence.argsort(stable=True)].tensor_split(bins)
        return torch.stack([part.sum().abs() for part in parts]).sum() / len(gap)
    edges = torch.linspace(0, 1, bins + 1, dtype=confidence.dtype, device=gap.device)[1:-1]
    sums = gap.new_zeros(bins).index_add_(0, torch.bucketize(confidence, edges), gap)
    return sums.abs().sum() / len(gap)


# --- Whether rightly so: numbers ----------------------------------------------------------------


@_at_least_single
def log_likelihood(
    samples: Float[Tensor, "samples inputs *outputs"],
    y: Float[Tensor, "inputs *outputs"],
    tau: float,
) -> Float[Tensor, "inputs"]:
    """log of the mean over samples of N(y; sample, 1/τ), for each input.

    Source: Gal and Ghahramani (2016), equation 8, for outputs of any number.

    >>> log_likelihood(torch.zeros(3, 1), torch.zeros(1), tau=1.0)
    tensor([-0.9189])
    """
    if not tau > 0:
        raise ValueError(f"tau must be positive, got {tau}")
    _check_targets(samples, y)
    squares = (samples - y).square().reshape(*samples.shape[:2], -1)
    each = -0.5 * tau * squares.sum(-1) + 0.5 * squares.shape[-1] * (log(tau) - log(2 * pi))
    return each.logsumexp(0) - log(len(samples))


@_at_least_single
def interval(
    samples: Float[Tensor, "samples inputs"], level: float = 0.95
) -> tuple[Float[Tensor, "inputs"], Float[Tensor, "inputs"]]:
    """The central interval that holds the part `level` of the samples, by linear interpolation.

    >>> interval(torch.linspace(0, 1, 101)[:, None], level=0.9)
    (tensor([0.0500]), tensor([0.9500]))
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=samples.dtype)
    low, high = samples.quantile(ends.to(samples.device), dim=0)
    return low, high


@_at_least_single
def coverage(
    samples: Float[Tensor, "samples inputs"], y: Float[Tensor, "inputs"], level: float = 0.95
) -> Float[Tensor, ""]:
    """The part of the y that lie in the central interval of their samples: `level`, if all is well.

    Samples of the network alone do not hold the noise in y: add it to them first.

    >>> coverage(torch.linspace(0, 1, 101)[:, None].expand(101, 2), torch.tensor([0.5, 1.2]))
    tensor(0.5000)
    """
    _check_targets(samples, y)
    low, high = interval(samples, level)
    return ((low <= y) & (y <= high)).to(samples.dtype).mean()


@_at_least_single
def crps(
    samples: Float[Tensor, "samples inputs"], y: Float[Tensor, "inputs"]
) -> Float[Tensor, "inputs"]:
    """∫ (F(z) - [y ≤ z])² dz for the samples' own distribution F: ``E|X - y| - ½ E|X - X'|``.

    In the units of y; for a single sample it is the absolute error.
    Source: Gneiting and Raftery (2007), equation 21.

    >>> crps(torch.tensor([[0.0], [2.0]]), torch.tensor([1.0]))
    tensor([0.5000])
    """
    _check_targets(samples, y)
    n = len(samples)
    rank = 2 * torch.arange(1, n + 1, dtype=samples.dtype, device=samples.device) - n - 1
    spread = torch.einsum("s,si->i", rank, samples.sort(0).values) / n**2  # ½ E|X - X'|
    return (samples - y).abs().mean(0) - spread
