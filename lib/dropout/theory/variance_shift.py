"""The variance shift: what batch norm is told in training is not what it meets in evaluation.

Batch normalisation collects the variance of its input while dropout adds noise to it, and divides
by it when the noise is gone. The shift is the ratio evaluation / training of that variance: 1 is
harmless, and at 0.25 what leaves the layer has half the scale it had in training. Dropout is
inverted, p the drop rate and q = 1 - p.

Li, Chen, Hu and Yang, "Understanding the disharmony between dropout and batch normalization by
variance shift", CVPR 2019, whose p is the probability to keep.
"""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dropout.theory.penalties import noise_variance


def before_batch_norm(
    mean: Float64[np.ndarray, "*units"], variance: Float64[np.ndarray, "*units"], p: float
) -> Float64[np.ndarray, "*units"]:
    """The shift of units of this mean and variance with dropout right before the batch norm.

    v / (v + (p/q) (c² + v)), mean c and variance v taken over the data before dropout; NaN where
    both are 0. Raises ValueError for p outside [0, 1) and for a negative variance.
    Source: Li et al. (2019), case (a), where x̂ = a x / p is normalised.

    >>> before_batch_norm(np.array([0.0, 1.0]), np.array([1.0, 1.0]), p=0.5)
    array([0.5       , 0.33333333])
    """
    if (variance < 0).any():
        raise ValueError(f"variance must be at least 0, got {variance.min()}")
    return _shift(variance, noise_variance(p) * (mean**2 + variance))


def through_weights(
    mean: Float64[np.ndarray, "inputs"],
    covariance: Float64[np.ndarray, "inputs inputs"],
    weight: Float64[np.ndarray, "units inputs"],
    p: float,
) -> Float64[np.ndarray, "units"]:
    """The shift of each unit of a linear layer between dropout and the batch norm.

    wᵀΣw / (wᵀΣw + (p/q) Σ_j w_j² (c_j² + Σ_jj)), mean c and covariance Σ of the layer's inputs
    over the data before dropout; NaN where a unit is constant. Raises ValueError for p outside
    [0, 1). Source: Li et al. (2019), case (b), where all c, v and correlations ρ are equal: there
    wᵀΣw = v ‖w‖² (1 + ρ (d cos²θ - 1)), cos²θ = (Σ_j w_j)² / (d ‖w‖²).

    >>> mean, covariance = np.array([1.0, 1.0]), np.array([[1.0, 0.5], [0.5, 1.0]])
    >>> through_weights(mean, covariance, np.array([[1.0, 1.0], [1.0, -1.0]]), p=0.5)
    array([0.42857143, 0.2       ])
    """
    clean = np.einsum("ui,ij,uj->u", weight, covariance, weight)
    return _shift(clean, noise_variance(p) * (weight**2 @ (mean**2 + np.diag(covariance))))


def _shift(clean, noise):
    total = clean + noise
    return np.divide(clean, total, out=np.full_like(total, np.nan), where=total > 0)


@dataclass(frozen=True)
class Shift:
    """The variance of each feature at the input of one batch norm, in both modes."""

    training: Float[Tensor, "features"]
    evaluation: Float[Tensor, "features"]

    @property
    def ratio(self) -> float:
        """Evaluation over training, both summed over the features: 1 if there is no shift."""
        return (self.evaluation.sum() / self.training.sum()).item()


@torch.no_grad()
def measure(model: nn.Module, x: Float[Tensor, "examples *shape"]) -> dict[str, Shift]:
    """The variance at the input of every batch norm of a model, by name, in both modes.

    Over all of x at once, which should be some hundreds of examples that the model is used for. The
    model is left as it is, its statistics and its mode; so is PyTorch's generator, from which the
    masks are drawn. Raises ValueError for a model without batch norm.

    >>> from dropout.nn import Dropout
    >>> model = nn.Sequential(Dropout(0.5), nn.BatchNorm1d(2))
    >>> shift = measure(model, torch.randn(10_000, 2, generator=torch.Generator().manual_seed(1)))
    >>> round(shift["1"].ratio, 1)
    0.5
    """
    twin = deepcopy(model)
    found: dict[str, dict[bool, Tensor]] = {}
    for name, norm in _batch_norms(twin).items():
        norm.register_forward_pre_hook(partial(_note, found.setdefault(name, {})))
    with torch.random.fork_rng(devices=[]):
        for training in (False, True):  # evaluation first: training moves the statistics
            twin.train(training)(x)
    return {name: Shift(seen[True], seen[False]) for name, seen in found.items() if seen}


def _note(seen: dict[bool, Tensor], norm: nn.Module, inputs: tuple[Tensor]) -> None:
    features_first = inputs[0].transpose(0, 1).flatten(1)
    seen[norm.training] = features_first.var(dim=1, correction=0)


@torch.no_grad()
def reestimate(model: nn.Module, batches: Iterable[Float[Tensor, "batch *shape"]]) -> nn.Module:
    """Collect the statistics of all batch norms anew, with dropout off, and give the model back.

    In place, and in evaluation mode. The statistics become the means over the batches, which should
    be of the training data and of the size used in training. Raises ValueError for a model without
    batch norm and where there is no batch. Source: Hendrycks and Gimpel (2016).

    >>> from dropout.nn import Dropout
    >>> model = nn.Sequential(Dropout(0.5), nn.BatchNorm1d(1)).train()
    >>> batches = torch.tensor([[0.0], [4.0]]), torch.tensor([[0.0], [8.0]])
    >>> reestimate(model, batches)[1].running_mean
    tensor([3.])
    """
    norms = _batch_norms(model)
    rates = {name: norm.momentum for name, norm in norms.items()}
    model.eval()
    batches = list(batches)
    if not batches:
        raise ValueError("batches must hold at least one batch, got none")
    for norm in norms.values():
        norm.reset_running_stats()
        norm.momentum = None  # to PyTorch: the mean over all batches
        norm.train()
    try:
        for x in batches:
            model(x)
    finally:
        for name, norm in norms.items():
            norm.momentum = rates[name]
            norm.eval()
    return model


def _batch_norms(model: nn.Module) -> dict[str, _BatchNorm]:
    norms = {name: m for name, m in model.named_modules() if isinstance(m, _BatchNorm)}
    if not norms:
        raise ValueError(f"model must have a batch norm, got {type(model).__name__} without one")
    return norms
