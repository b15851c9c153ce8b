"""The variance shift: the formulas against sampled and counted noise, and real models."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim.swa_utils import update_bn

from dropout import MaskKey, functional
from dropout.nn import Dropout, Uout
from dropout.theory.ensembles import all_masks, mask_probabilities
from dropout.theory.variance_shift import (
    before_batch_norm,
    before_layer_norm,
    layer_norm_slopes,
    measure,
    reestimate,
    through_weights,
)

RNG = np.random.default_rng(0)
DATA = RNG.normal(size=(40, 5)) @ RNG.normal(size=(5, 5)) + RNG.normal(size=5)
WEIGHT = RNG.normal(size=(3, 5))


def counted(p, weight):
    """Var evaluation / Var training of units above five inputs: over all data and all masks."""
    masks = all_masks(5)
    noisy = (masks[:, None] * DATA / (1 - p)) @ weight.T
    chance = mask_probabilities(masks, 1 - p)[:, None, None] / len(DATA)
    mean = (chance * noisy).sum((0, 1))
    return (DATA @ weight.T).var(axis=0) / (chance * (noisy - mean) ** 2).sum((0, 1))


# ---- the formulas -------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
def test_right_before_batch_norm_the_shift_is_the_one_over_all_masks(p):
    found = before_batch_norm(DATA.mean(0), DATA.var(0), p)
    assert np.allclose(found, counted(p, np.eye(5)), rtol=1e-12)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
def test_through_weights_the_shift_is_the_one_over_all_masks(p):
    covariance = np.cov(DATA.T, bias=True)
    found = through_weights(DATA.mean(0), covariance, WEIGHT, p)
    assert np.allclose(found, counted(p, WEIGHT), rtol=1e-12)


@given(st.floats(-3, 3), st.floats(0.1, 3), st.floats(0, 1), st.floats(0, 0.95))
def test_for_equal_units_it_is_the_formula_of_the_paper(c, v, rho, p):
    d, w, keep = 5, WEIGHT[0], 1 - p
    covariance = v * (rho + (1 - rho) * np.eye(d))
    shared = v * rho * (w.sum() ** 2 / (w @ w) - 1)  # v ρ (d cos²θ - 1)
    paper = (v + shared) / ((c**2 + v) / keep - c**2 + shared)
    found = through_weights(np.full(d, c), covariance, w[None], p)[0]
    assert found == pytest.approx(paper, rel=1e-9)


def test_identity_weights_are_no_weights():
    mean, covariance = DATA.mean(0), np.cov(DATA.T, bias=True)
    direct = before_batch_norm(mean, np.diag(covariance), 0.3)
    assert np.allclose(through_weights(mean, covariance, np.eye(5), 0.3), direct, rtol=1e-12)


@pytest.mark.parametrize("beta", [0.1, 1.0])
def test_uniform_noise_shifts_as_dropout_of_equal_variance_does(beta):
    """Of 2^20 draws each; the variances' standard errors are below 0.002, the bound is six."""
    x = torch.from_numpy(np.random.default_rng(1).normal(1, 1, 1 << 20))
    p = beta**2 / (3 + beta**2)
    shifts = [
        (x.var() / noisy.var()).item()
        for noisy in (
            functional.uout(x, beta, key=MaskKey(1)),
            functional.dropout(x, p, key=MaskKey(2)),
        )
    ]
    expected = before_batch_norm(np.ones(1), np.ones(1), p)[0]
    assert np.allclose(shifts, expected, rtol=0.012)


def test_a_unit_that_never_varies_has_no_shift_to_speak_of():
    zero = np.zeros(1)
    assert np.isnan(before_batch_norm(zero, zero, 0.5)).all()
    assert before_batch_norm(np.ones(1), zero, 0.5).tolist() == [0.0]  # all variance is noise


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_before_layer_norm_it_is_the_variance_over_units_averaged_over_all_masks(p, weight):
    bias = 0.0 if weight is None else np.array([0.5, -1.0, 2.0])
    matrix = np.eye(5) if weight is None else weight
    masks = all_masks(5)
    noisy = (masks[:, None] * DATA / (1 - p)) @ matrix.T + bias
    expected = mask_probabilities(masks, 1 - p) @ noisy.var(axis=2)
    clean = (DATA @ matrix.T + bias).var(axis=1)
    found = before_layer_norm(DATA, p, weight, bias)
    assert np.allclose(found, clean / expected, rtol=1e-12)


def test_before_layer_norm_of_many_centred_units_it_is_q():
    x = np.random.default_rng(0).normal(size=(3, 100_000))
    assert np.allclose(before_layer_norm(x - x.mean(1, keepdims=True), 0.3), 0.7, rtol=1e-4)


# ---- real models --------------------------------------------------------------------------------


def network():
    torch.manual_seed(1)
    layers = [nn.Linear(5, 8), nn.ReLU(), Dropout(0.5), nn.Linear(8, 6), nn.BatchNorm1d(6)]
    return nn.Sequential(*layers, Dropout(0.2), nn.Linear(6, 4), nn.BatchNorm1d(4)).double()


X = torch.from_numpy(np.random.default_rng(2).normal(1, 1, (20_000, 5)))


def test_what_is_measured_is_what_the_formula_says():
    """20,000 examples: the variances' relative standard errors are near 1 %, the bound is six."""
    model = network()
    h = model[:2](X).detach().numpy()
    predicted = through_weights(
        h.mean(0), np.cov(h.T, bias=True), model[3].weight.detach().numpy(), 0.5
    )
    shift = measure(model, X)["4"]
    assert np.allclose((shift.evaluation / shift.training).numpy(), predicted, rtol=0.06)


def test_measured_in_evaluation_is_what_evaluation_meets():
    model = network()
    inputs = model[:4].eval()(X)
    assert torch.allclose(measure(model, X)["4"].evaluation, inputs.var(0, correction=0))


def test_without_noise_there_is_no_shift_at_the_first_batch_norm():
    model = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6)).double()
    shift = measure(model, X)["1"]
    assert torch.equal(shift.training, shift.evaluation)
    assert shift.ratio == 1


@pytest.mark.parametrize("training", [True, False])
def test_measuring_leaves_model_and_generator_as_they_were(training):
    model = network().train(training)
    before, state = deepcopy(model.state_dict()), torch.get_rng_state()
    measure(model, X)
    assert all(torch.equal(a, before[name]) for name, a in model.state_dict().items())
    assert all(module.training == training for module in model.modules())
    assert all(not module._forward_pre_hooks for module in model.modules())
    assert torch.equal(torch.get_rng_state(), state)


def test_a_batch_norm_that_is_not_used_is_left_out():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.BatchNorm1d(5), nn.BatchNorm1d(5)

        def forward(self, x):
            return self.used(x)

    assert measure(Unused().double(), X).keys() == {"used"}


def test_a_batch_norm_that_is_kept_frozen_is_measured_in_both_modes():
    class Frozen(nn.Sequential):
        def train(self, mode=True):
            super().train(mode)
            self[1].eval()
            return self

    shift = measure(Frozen(Dropout(0.5), nn.BatchNorm1d(5)).double(), X)["1"]
    assert torch.allclose(shift.evaluation, X.var(0, correction=0))
    assert (shift.training > shift.evaluation).all()


def test_in_half_precision_sums_over_the_examples_do_not_overflow():
    x = 30 * torch.randn(300, 512)
    for kind, model in (("batch", nn.BatchNorm1d(512)), ("layer", nn.LayerNorm(512))):
        half = nn.Sequential(Dropout(0.5), model).half()
        if kind == "batch":
            assert measure(half, x.half())["1"].ratio == pytest.approx(0.5, abs=0.02)
        else:
            assert layer_norm_slopes(half, x.half(), 20)["1"] == pytest.approx(0.7071, abs=0.02)


def test_the_channels_of_a_convolution_are_its_features():
    model = nn.Sequential(Uout(0.5), nn.Conv2d(1, 3, 2), nn.BatchNorm2d(3)).double()
    shift = measure(model, X[:, None, :4].reshape(-1, 1, 2, 2).expand(-1, -1, 2, 2))["2"]
    assert shift.training.shape == (3,)


def test_reestimated_statistics_are_those_of_evaluation():
    model = reestimate(network(), [X])
    inputs = model[:4](X)
    assert torch.allclose(model[4].running_mean, inputs.mean(0))
    assert torch.allclose(model[4].running_var, inputs.var(0))
    # The second batch norm is told what the first one really sends. (That one divides by the
    # variance over n in training and over n - 1 in evaluation.)
    expected = model[:7](X).var(0) * len(X) / (len(X) - 1)
    assert torch.allclose(model[7].running_var, expected, rtol=1e-6)


def test_reestimating_twice_is_reestimating_once_and_leaves_the_momentum():
    model = reestimate(network(), X.split(500))
    once = deepcopy(model.state_dict())
    reestimate(model, X.split(500))
    assert all(torch.equal(a, once[name]) for name, a in model.state_dict().items())
    assert model[4].momentum == 0.1
    assert not any(module.training for module in model.modules())


def test_the_mean_is_kept_at_the_first_batch_norm_above_dropout_and_lost_at_the_next():
    """The noise of 20,000 masks alone would make the gap about sqrt((1 - ratio) / 20,000)."""
    model = nn.Sequential(Dropout(0.5), nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU())
    model.extend([Dropout(0.5), nn.Linear(6, 6), nn.BatchNorm1d(6)]).double()
    update_bn(X.split(1000), model)
    first, second = measure(model, X).values()
    assert first.mean_gap < 4 * np.sqrt((1 - first.ratio) / len(X))
    assert second.mean_gap > 0.05


def test_update_bn_of_pytorch_keeps_the_shift():
    model = network()
    update_bn([X], model)
    shift = measure(model, X)["4"]
    assert torch.allclose(model[4].running_var, shift.training, rtol=0.05)
    assert not torch.allclose(model[4].running_var, shift.evaluation, rtol=0.2)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_the_mean_of_what_leaves_a_layer_norm_is_the_root_of_the_ratio_of_variances(p):
    x = torch.from_numpy(np.random.default_rng(1).normal(1, 1, (100, 512)))
    model = nn.Sequential(Dropout(p), nn.LayerNorm(512)).double()
    predicted = np.sqrt(before_layer_norm(x.numpy(), p)).mean()
    assert layer_norm_slopes(model, x)["1"] == pytest.approx(predicted, rel=0.02)


def test_without_noise_the_slope_is_one_whatever_the_weights():
    model = nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6)).double()
    nn.init.normal_(model[1].weight)
    nn.init.normal_(model[1].bias)
    assert layer_norm_slopes(model, X[:50])["1"] == pytest.approx(1)


@pytest.mark.unchecked
def test_what_cannot_be_done_is_said():
    plain = nn.Sequential(nn.Linear(5, 5))
    for call in (lambda: measure(plain, X), lambda: reestimate(plain, [X])):
        with pytest.raises(ValueError, match=r"model must have a batch norm, got Sequential"):
            call()
    with pytest.raises(ValueError, match=r"batches must hold at least one"):
        reestimate(network(), [])
    with pytest.raises(ValueError, match=r"p must be in \[0, 1\).*got 1"):
        before_batch_norm(np.ones(1), np.ones(1), 1.0)
    with pytest.raises(ValueError, match=r"variance must be at least 0, got -1"):
        before_batch_norm(np.ones(1), -np.ones(1), 0.5)
    with pytest.raises(ValueError, match=r"model must have a layer norm, got Sequential"):
        layer_norm_slopes(plain, X)
