"""Penalties of dropout, against every mask, scikit-learn and a general minimiser."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.linear_model import Ridge

from dropout import MaskKey, functional
from dropout.mask import realised_rate
from dropout.theory.ensembles import all_masks, mask_probabilities
from dropout.theory.penalties import (
    expected_logistic_loss,
    expected_softmax_loss,
    factorisation_penalty,
    fit_least_squares,
    glm_penalty,
    noise_variance,
    quadratic_penalty,
    rate_at_width,
    shrink_singular_values,
    softmax_curvature,
    squared_loss_penalty,
)
from tests.statistics import plausible_mean

rates = st.floats(0.0, 0.95)
seeds = st.integers(0, 2**32)


def problem(seed, examples=7, features=4):
    """Features that are correlated, off centre and of different scales; weights and targets."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(examples, features)) @ rng.normal(size=(features, features))
    x = x * np.array([0.1, 1, 3, 10])[:features] + rng.normal(size=features)
    return x, rng.normal(size=examples), rng.normal(size=features)


def expected_loss(loss, x, w, p):
    """The mean over all masks of the sum over the examples of a loss of z = dropped x·w."""
    masks = all_masks(x.shape[1])
    z = masks @ (x * w).T / (1 - p)
    return mask_probabilities(masks, 1 - p) @ loss(z).sum(axis=1)


# ---- squared loss -------------------------------------------------------------------------------


@given(seeds, rates)
def test_squared_loss_gains_its_penalty_whatever_the_features(seed, p):
    x, y, w = problem(seed)
    found = expected_loss(lambda z: (y - 0.7 - z) ** 2, x, w, p)
    expected = ((y - 0.7 - x @ w) ** 2).sum() + squared_loss_penalty(x, w, p)
    assert np.isclose(found, expected, rtol=1e-12)


@given(seeds, st.floats(0.01, 0.95))
def test_the_best_weights_are_ridge_on_features_of_unit_mean_square(seed, p):
    x, y, _ = problem(seed, examples=12)
    scale = np.sqrt((x**2).mean(axis=0))
    ridge = Ridge(alpha=len(x) * noise_variance(p), solver="svd").fit(x / scale, y)
    w, b = fit_least_squares(x, y, p)
    assert np.allclose(w, ridge.coef_ / scale, rtol=1e-6, atol=1e-9)
    assert np.isclose(b, ridge.intercept_, rtol=1e-6, atol=1e-9)


@given(seeds, rates)
def test_no_step_from_the_best_weights_lowers_the_expected_loss(seed, p):
    x, y, step = problem(seed, examples=12)
    w, b = fit_least_squares(x, y, p)
    objective = lambda v: expected_loss(lambda z: (y - b - z) ** 2, x, v, p)  # noqa: E731
    for size in (1e-2, -1e-2):
        assert objective(w + size * step) >= objective(w) * (1 - 1e-12)


def test_without_dropout_the_fit_is_least_squares():
    x, y, _ = problem(0, examples=12)
    w, b = fit_least_squares(x, y, 0.0)
    residual = y - b - x @ w
    assert np.allclose([*(x.T @ residual), residual.sum()], 0, atol=1e-10)
    assert squared_loss_penalty(x, w, 0.0) == 0


def test_weights_that_dropout_leaves_undecided_are_the_shortest():
    w, _ = fit_least_squares(np.ones((3, 1)) * [1.0, 1.0], np.array([0.0, 1.0, 2.0]), 0.0)
    assert np.isfinite(w).all()
    assert np.isclose(w[0], w[1])


def test_more_dropout_shortens_the_weights():
    """‖x w‖ in the penalty's own norm falls as p rises."""
    x, y, _ = problem(3, examples=12)
    lengths = [(x**2 @ fit_least_squares(x, y, p)[0] ** 2).sum() for p in (0.0, 0.2, 0.5, 0.8)]
    assert (np.diff(lengths) < 0).all()


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_the_librarys_dropout_has_this_penalty(p):
    """Within 1e-6's quantile of the mean of 20,000 masks: one false alarm in a million."""
    x, y, w = problem(4)
    dropped = functional.dropout(torch.tensor(x).expand(20_000, *x.shape), p, key=MaskKey(seed=1))
    losses = (torch.tensor(y) - dropped @ torch.tensor(w)).square().sum(dim=1)
    expected = ((y - x @ w) ** 2).sum() + squared_loss_penalty(x, w, realised_rate(p))
    assert plausible_mean(losses.mean().item(), expected, losses.std().item() / 20_000**0.5)


# ---- other losses -------------------------------------------------------------------------------


def test_the_quadratic_penalty_is_exact_for_a_quadratic_loss():
    x, _, w = problem(5)
    curvature = np.full(len(x), 2.0)
    assert np.isclose(glm_penalty(x, w, 0.3, curvature), squared_loss_penalty(x, w, 0.3))


def test_the_quadratic_penalty_sees_the_diagonal_of_the_hessian_only():
    rng = np.random.default_rng(6)
    h, root = rng.normal(size=(1, 4)), rng.normal(size=(4, 4))
    hessian = root @ root.T
    masks = all_masks(4)
    noise = h * (masks / 0.7 - 1)
    exact = mask_probabilities(masks, 0.7) @ np.einsum("mi,ij,mj->m", noise, hessian, noise) / 2
    assert np.isclose(quadratic_penalty(h, np.diag(hessian)[None], 0.3), exact)


@given(seeds, rates)
def test_the_expected_logistic_loss_is_the_mean_over_all_masks(seed, p):
    x, y, w = problem(seed)
    classes = (y > 0).astype(np.int64)
    b = 0.3
    loss = lambda z: np.logaddexp(0, z + b) - classes * (z + b)  # noqa: E731
    assert np.isclose(
        expected_logistic_loss(x, classes, w, b, p), expected_loss(loss, x, w, p), rtol=1e-12
    )


def test_the_penalty_on_logistic_loss_does_not_depend_on_the_classes():
    x, _, w = problem(7)
    gained = []
    for classes in product((0, 1), repeat=3):
        y = np.array(classes)
        without = expected_logistic_loss(x[:3], y, w, 0.2, 0.0)
        gained.append(expected_logistic_loss(x[:3], y, w, 0.2, 0.4) - without)
    assert np.allclose(gained, gained[0], rtol=1e-12)


def test_the_quadratic_penalty_of_logistic_loss_errs_in_the_third_order():
    """Weights a tenth as long: a relative error a tenth as large, as E[noise³] is not 0."""
    x, _, w = problem(8)
    y = np.zeros(len(x), dtype=np.int64)
    errors = []
    for scale in (1e-2, 1e-3):
        z = x @ w * scale + 1.0
        curvature = np.exp(z) / (1 + np.exp(z)) ** 2
        gained = expected_logistic_loss(x, y, scale * w, 1.0, 0.5)
        gained -= expected_logistic_loss(x, y, scale * w, 1.0, 0.0)
        errors.append(glm_penalty(x, scale * w, 0.5, curvature) / gained - 1)
    assert abs(errors[1]) < 0.2 * abs(errors[0]) < 0.2


def classifier(seed, classes=3, units=4):
    """Activations of seven examples, their classes, and the weights and biases above."""
    h, _, _ = problem(seed, features=units)
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=len(h))
    return h, y, rng.normal(size=(classes, units)), rng.normal(size=classes)


@given(seeds, rates)
def test_the_expected_cross_entropy_is_the_mean_over_all_masks(seed, p):
    h, y, weights, biases = classifier(seed)
    noisy = torch.tensor(all_masks(4)[:, None] * h / (1 - p)) @ torch.tensor(weights.T)
    z = (noisy + torch.tensor(biases)).flatten(0, 1)
    targets = torch.tensor(np.tile(y, 16))
    losses = torch.nn.functional.cross_entropy(z, targets, reduction="none").reshape(16, -1)
    expected = mask_probabilities(all_masks(4), 1 - p) @ losses.sum(1).numpy()
    assert np.isclose(expected_softmax_loss(h, y, weights, biases, p), expected, rtol=1e-12)


def test_two_classes_are_logistic_regression():
    x, _, w = problem(9)
    y = np.array([0, 1, 1, 0, 1, 0, 0])
    two = expected_softmax_loss(x, y, np.stack([0 * w, w]), np.array([0.0, 0.3]), 0.4)
    assert np.isclose(two, expected_logistic_loss(x, y, w, 0.3, 0.4), rtol=1e-12)


def test_the_curvature_is_the_second_derivative_of_the_cross_entropy():
    h, y, weights, biases = (torch.tensor(a) for a in classifier(10))

    def loss(row, label):
        return torch.nn.functional.cross_entropy(weights @ row + biases, label)

    hessian = torch.autograd.functional.hessian
    hessians = [
        hessian(lambda row, label=label: loss(row, label), row)
        for row, label in zip(h, y, strict=True)
    ]
    probabilities = (h @ weights.T + biases).softmax(1)
    found = softmax_curvature(probabilities.numpy(), weights.numpy())
    assert np.allclose(found, torch.stack([m.diagonal() for m in hessians]), atol=1e-12)


# ---- matrix factorisation -----------------------------------------------------------------------


def factors(seed, width=3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(5, 4)), rng.normal(size=(5, width)), rng.normal(size=(4, width))


@given(seeds, rates)
def test_a_factorisation_gains_its_penalty_from_dropped_columns(seed, p):
    target, u, v = factors(seed)
    masks = all_masks(3)
    losses = [((target - u * mask / (1 - p) @ v.T) ** 2).sum() for mask in masks]
    expected = ((target - u @ v.T) ** 2).sum() + factorisation_penalty(u, v, p)
    assert np.isclose(mask_probabilities(masks, 1 - p) @ losses, expected, rtol=1e-12)


def test_a_coin_for_each_entry_of_a_factor_has_the_same_mean():
    target, u, v = factors(1)
    target, u = target[:3], u[:3]  # 2⁹ masks
    masks = all_masks(9)
    losses = [((target - u * mask.reshape(3, 3) / 0.6 @ v.T) ** 2).sum() for mask in masks]
    expected = ((target - u @ v.T) ** 2).sum() + factorisation_penalty(u, v, 0.4)
    assert np.isclose(mask_probabilities(masks, 0.6) @ losses, expected, rtol=1e-12)


@given(seeds, rates)
def test_two_linear_layers_gain_their_penalty_from_dropped_hidden_units(seed, p):
    x, (_, u, v) = problem(seed)[0], factors(seed)
    targets = np.random.default_rng(seed).normal(size=(len(x), len(u)))
    masks = all_masks(3)
    losses = [((targets - x @ v * mask / (1 - p) @ u.T) ** 2).sum() for mask in masks]
    expected = ((targets - x @ v @ u.T) ** 2).sum() + factorisation_penalty(u, v, p, x.T @ x)
    assert np.isclose(mask_probabilities(masks, 1 - p) @ losses, expected, rtol=1e-12)


@given(seeds, st.integers(3, 9))
def test_two_linear_layers_are_penalised_by_the_nuclear_norm_on_the_inputs(seed, width):
    """At least ‖Y C^½‖²_* / width, whatever the factors."""
    x, (_, u, v) = problem(seed)[0], factors(seed, width)
    moment = x.T @ x
    values, vectors = np.linalg.eigh(moment)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    nuclear = np.linalg.svd(u @ v.T @ root, compute_uv=False).sum()
    assert factorisation_penalty(u, v, 0.5, moment) >= nuclear**2 / width * (1 - 1e-9)


def test_balanced_columns_reach_it_on_inputs_that_are_not_white():
    target, root = factors(2)[0], np.diag([10.0, 3.0, 2.0, 0.5])
    left, s, right = np.linalg.svd(target @ root, full_matrices=False)
    hadamard = np.kron([[1, 1], [1, -1]], [[1, 1], [1, -1]]) / 2
    u, whitened = (side * np.sqrt(s) @ hadamard for side in (left, right.T))
    v = np.linalg.solve(root, whitened)
    assert np.allclose(u @ v.T, target)
    assert np.isclose(factorisation_penalty(u, v, 0.75, root @ root), 3 * s.sum() ** 2 / 4)


@given(seeds, st.integers(3, 9))
def test_no_factorisation_is_penalised_by_less_than_the_squared_nuclear_norm(seed, width):
    _, u, v = factors(seed, width)
    nuclear = np.linalg.svd(u @ v.T, compute_uv=False).sum()
    assert factorisation_penalty(u, v, 0.5) >= nuclear**2 / width * (1 - 1e-12)


def test_balanced_columns_reach_the_squared_nuclear_norm():
    """u = P √S H, v = Q √S H with a Hadamard matrix H / √d: every column pair has equal norms."""
    left, s, right = np.linalg.svd(factors(2)[0], full_matrices=False)
    hadamard = np.kron([[1, 1], [1, -1]], [[1, 1], [1, -1]]) / 2
    u, v = (side * np.sqrt(s) @ hadamard for side in (left, right.T))
    assert np.allclose(u @ v.T, left * s @ right)
    assert np.isclose(factorisation_penalty(u, v, 0.75), 3 * s.sum() ** 2 / 4)


@given(st.lists(st.floats(0.0, 10.0), min_size=1, max_size=6), st.floats(0.0, 20.0))
def test_shrinking_minimises_squared_error_plus_squared_nuclear_norm(values, strength):
    s = np.sort(np.array(values))[::-1]
    objective = lambda t: ((s - t) ** 2).sum() + strength * t.sum() ** 2  # noqa: E731
    found = shrink_singular_values(s, strength)
    best = minimize(objective, s, bounds=[(0, None)] * len(s), options={"ftol": 1e-14})
    assert objective(found) <= best.fun + 1e-9 * (1 + best.fun)
    assert (found >= 0).all()


def descend(target, gradients):
    """Singular values of u vᵀ after gradient descent on both factors, from a random start."""
    _, u, v = factors(3, width=4)
    u, v = 0.5 * u, 0.5 * v
    for _ in range(20_000):
        residual = target - u @ v.T
        pull_u, pull_v = gradients(u, v)
        u, v = u + 0.02 * (residual @ v - pull_u), v + 0.02 * (residual.T @ u - pull_v)
    return np.linalg.svd(u @ v.T, compute_uv=False)


def test_training_on_the_penalised_loss_ends_at_the_shrunk_singular_values():
    target, noise = factors(3)[0], noise_variance(0.3)
    s = np.linalg.svd(target, compute_uv=False)
    shrunk = shrink_singular_values(s, noise / 4)
    reached = descend(
        target,
        lambda u, v: (noise * u * (v**2).sum(axis=0), noise * v * (u**2).sum(axis=0)),
    )
    assert np.allclose(reached, shrunk, atol=1e-6)
    assert shrunk[-1] < s[-1]


def test_one_weight_decay_ends_at_the_same_product():
    target = factors(3)[0]
    s = np.linalg.svd(target, compute_uv=False)
    shrunk = shrink_singular_values(s, noise_variance(0.3) / 4)
    lowered = s[0] - shrunk[0]
    reached = descend(target, lambda u, v: (lowered * u, lowered * v))
    assert np.allclose(reached, shrunk, atol=1e-6)


@given(rates, st.integers(1, 500))
def test_the_rate_at_a_width_has_that_many_times_the_noise(p, width):
    assert rate_at_width(p, 1) == pytest.approx(p)
    assert noise_variance(rate_at_width(p, width)) == pytest.approx(width * noise_variance(p))


# ---- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, float("nan")])
def test_a_rate_without_a_finite_penalty_is_refused(p):
    x, y, w = problem(0)
    for call in (
        lambda: noise_variance(p),
        lambda: squared_loss_penalty(x, w, p),
        lambda: fit_least_squares(x, y, p),
        lambda: expected_logistic_loss(x, (y > 0).astype(np.int64), w, 0.0, p),
        lambda: expected_softmax_loss(x, (y > 0).astype(np.int64), w[None], np.zeros(1), p),
        lambda: factorisation_penalty(x, x, p),
        lambda: rate_at_width(p, 2),
    ):
        with pytest.raises(ValueError, match=r"p must be in \[0, 1\)"):
            call()


def test_values_that_are_no_singular_values_are_refused():
    for s in ([1.0, 2.0], [1.0, -1.0]):
        with pytest.raises(ValueError, match="s must be singular values"):
            shrink_singular_values(np.array(s), 0.5)
    for strength in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="strength must be at least 0"):
            shrink_singular_values(np.array([1.0]), strength)
    with pytest.raises(ValueError, match="width must be at least 1, got 0"):
        rate_at_width(0.5, 0)
