"""The variance shift: what batch norm is told in training is not what it meets in evaluation.

Batch normalisation collects the variance of its input while dropout adds noise to it, and divides
by it when the noise is gone. The shift is the ratio evaluation / training of that variance: 1 is
harmless, and at 0.25 what leaves the layer has half the scale it had in training. Layer
normalisation collects nothing; there it is the mean of what leaves that shifts. Dropout is
inverted, p the drop rate and q = 1 - p.

Li, Chen, Hu and Yang, "Understanding the disharmony between dropout and batch normalization by
variance shift", CVPR 2019, whose p is the probability to keep.
"""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from dropout.theory.penalties import noise_variance

BATCH_NORMS = nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm


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


def before_layer_norm(
    x: Float64[np.ndarray, "examples inputs"],
    p: float,
    weight: Float64[np.ndarray, "units inputs"] | None = None,
    bias: Float64[np.ndarray, "units"] | float = 0.0,
) -> Float64[np.ndarray, "examples"]:
    """Each example's variance over the units without dropout, over the mean of it with dropout.

    Dropout on x, then the layer norm, or first a linear layer of this weight and bias. Right
    before it v / (v + (p/q) (1 - 1/d) (c² + v)), c and v the mean and the variance of the
    example's d units; with weights clean / (clean + (p/q) Σ_k x_k² s_k²), s_k² the variance over
    the units of the weights of input k. Layer norm divides by the root of the noisy variance in
    training and of the clean one in evaluation. Where many units make the noisy variance nearly
    the same for all masks, the mean over masks of what leaves is therefore what evaluation sends,
    times the root of this ratio: √q at c = 0. NaN where nothing varies. Raises ValueError for p
    outside [0, 1).

    >>> before_layer_norm(np.array([[1.0, -1.0], [3.0, 1.0]]), p=0.5)
    array([0.66666667, 0.28571429])
    """
    d = x.shape[1]
    if weight is None:
        clean, spread = x.var(axis=1), (x**2).sum(axis=1) * (1 - 1 / d) / d
    else:
        clean, spread = (x @ weight.T + bias).var(axis=1), x**2 @ weight.var(axis=0)
    return _shift(clean, noise_variance(p) * spread)


@dataclass(frozen=True)
class Shift:
    """The variance and the mean of each feature at the input of one batch norm, in both modes."""

    training: Float[Tensor, "features"]
    evaluation: Float[Tensor, "features"]
    training_mean: Float[Tensor, "features"]
    evaluation_mean: Float[Tensor, "features"]

    @property
    def ratio(self) -> float:
        """Evaluation over training, both summed over the features: 1 if there is no shift."""
        return (self.evaluation.sum() / self.training.sum()).item()

    @property
    def mean_gap(self) -> float:
        """How far the means of a feature lie apart, in its standard deviations in training.

        The root of the mean square over the features that vary. Of n examples with one mask each,
        the noise of the masks alone makes it about sqrt((1 - ratio) / n).
        """
        varies = self.training > 0
        gap = (self.evaluation_mean - self.training_mean)[varies].square()
        return (gap / self.training[varies]).mean().sqrt().item()


@torch.no_grad()
def measure(model: nn.Module, x: Float[Tensor, "examples *shape"]) -> dict[str, Shift]:
    """Variance and mean at the input of every batch norm of a model, by name, in both modes.

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
    norms = _batch_norms(twin)
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for name, norm in norms.items():
        norm.register_forward_pre_hook(partial(_note, found, name))
    with torch.random.fork_rng(devices=[]):
        twin.eval()(x)  # first: training moves the statistics
        clean = dict(found)
        found.clear()
        twin.train()(x)
    return {
        name: Shift(found[name][0], clean[name][0], found[name][1], clean[name][1])
        for name in norms
        if name in clean and name in found
    }


def _note(
    found: dict[str, tuple[Tensor, Tensor]], name: str, _: nn.Module, inputs: tuple[Tensor]
) -> None:
    features_first = _wide(inputs[0]).transpose(0, 1).flatten(1)
    variance, mean = torch.var_mean(features_first, dim=1, correction=0)
    found[name] = variance, mean


def _wide(x: Tensor) -> Tensor:
    """x in float32 at least: sums over all examples would pass float16's 65504."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


@torch.no_grad()
def layer_norm_slopes(
    model: nn.Module, x: Float[Tensor, "examples *shape"], passes: int = 50
) -> dict[str, float]:
    """How much of what each layer norm sends in evaluation is left of it in training, on average.

    By name: the slope of its normalised values, before γ and β, averaged over `passes` draws of
    masks, on its values in evaluation, over all examples and units; 1 if there is no shift. The
    model is left as it is, and so is PyTorch's generator, from which the masks are drawn. Raises
    ValueError for a model without a layer norm that has weights.

    >>> from dropout.nn import Dropout
    >>> model = nn.Sequential(Dropout(0.5), nn.LayerNorm(512))
    >>> x = torch.randn(50, 512, generator=torch.Generator().manual_seed(1))
    >>> round(layer_norm_slopes(model, x)["1"], 1)  # the root of q
    0.7
    """
    twin = deepcopy(model)
    norms = {
        name: m
        for name, m in twin.named_modules()
        if isinstance(m, nn.LayerNorm) and m.weight is not None
    }
    if not norms:
        raise ValueError(f"model must have a layer norm, got {type(model).__name__} without one")
    sent: dict[str, Tensor] = {}
    for name, norm in norms.items():
        norm.register_forward_hook(partial(_note_normalised, sent, name))
    twin.eval()(x)
    clean, noisy = dict(sent), {name: torch.zeros_like(z) for name, z in sent.items()}
    twin.train()
    with torch.random.fork_rng(devices=[]):
        for _ in range(passes):
            twin(x)
            for name, z in sent.items():
                noisy[name] += z / passes
    return {name: ((noisy[name] * z).sum() / z.square().sum()).item() for name, z in clean.items()}


def _note_normalised(
    sent: dict[str, Tensor], name: str, norm: nn.LayerNorm, _: tuple[Tensor], output: Tensor
) -> None:
    output = _wide(output)
    sent[name] = (output if norm.bias is None else output - norm.bias) / norm.weight


@torch.no_grad()
def reestimate(model: nn.Module, batches: Iterable[Float[Tensor, "batch *shape"]]) -> nn.Module:
    """Collect the statistics of all batch norms anew, with dropout off, and give the model back.

    In place, and in evaluation mode. The statistics become the means over the batches, which should
    be of the training data and of the size used in training. `torch.optim.swa_utils.update_bn` does
    the same with dropout on, and so keeps the shift. Raises ValueError for a model without batch
    norm and where there is no batch. Source: Hendrycks and Gimpel (2016).

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


def _batch_norms(model: nn.Module) -> dict[str, Any]:
    norms = {name: m for name, m in model.named_modules() if isinstance(m, BATCH_NORMS)}
    if not norms:
        raise ValueError(f"model must have a batch norm, got {type(model).__name__} without one")
    return norms
