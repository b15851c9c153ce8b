"""Measures of uncertainty: against closed forms, definitions and scikit-learn."""

import re
from functools import partial
from math import log

import numpy as np
import pytest
import torch
from scipy.stats import norm
from sklearn.metrics import brier_score_loss, log_loss

from dropout.bayes import metrics


@pytest.fixture
def classes():
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(40, 500, 4, dtype=torch.float64, generator=generator)
    labels = torch.randint(4, (500,), generator=generator)
    return (2 * scores).softmax(-1), labels


def test_entropies_add_up_and_are_those_of_the_definition(classes):
    p = classes[0].numpy()
    mean = p.mean(axis=0)
    total = -(mean * np.log(mean)).sum(axis=-1)
    aleatoric = -(p * np.log(p)).sum(axis=-1).mean(axis=0)
    assert np.allclose(metrics.predictive_entropy(classes[0]), total, rtol=1e-12)
    assert np.allclose(metrics.expected_entropy(classes[0]), aleatoric, rtol=1e-12)
    assert np.allclose(metrics.mutual_information(classes[0]), total - aleatoric, atol=1e-12)


def test_samples_that_agree_hold_no_mutual_information(classes):
    same = classes[0][:1].expand(40, 500, 4)
    assert metrics.mutual_information(same).abs().max() < 1e-14
    assert metrics.predictive_entropy(same).min() > 0


def test_sure_samples_that_disagree_hold_nothing_else():
    """T sure votes, one for each of T classes: log T, all of it epistemic."""
    votes = torch.eye(5)[:, None]
    assert metrics.mutual_information(votes).item() == pytest.approx(log(5))
    assert metrics.expected_entropy(votes).item() == 0
    assert metrics.variation_ratio(votes).item() == pytest.approx(4 / 5)


def test_variation_ratio_counts_votes(classes):
    votes = classes[0].argmax(-1).numpy()
    expected = [1 - np.bincount(column).max() / 40 for column in votes.T]
    assert np.allclose(metrics.variation_ratio(classes[0]), expected)


def test_nll_and_brier_equal_scikit_learn(classes):
    p, y = classes[0].mean(0), classes[1]
    assert metrics.nll(p, y).item() == pytest.approx(log_loss(y, p))
    theirs = brier_score_loss(y, p, scale_by_half=False, labels=range(4))
    assert metrics.brier(p, y).item() == pytest.approx(theirs)


@pytest.mark.parametrize("adaptive", [False, True])
def test_calibration_error_equals_a_count_by_bins(classes, adaptive):
    p, y = classes[0][0].numpy(), classes[1].numpy()
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    if adaptive:
        bins = np.array_split(np.argsort(confidence), 7)
    else:
        number = np.ceil(confidence * 7)
        bins = [np.flatnonzero(number == k) for k in range(1, 8)]
    expected = sum(
        len(b) / len(y) * abs(right[b].mean() - confidence[b].mean()) for b in bins if len(b)
    )
    found = metrics.calibration_error(*(classes[0][0], classes[1]), 7, adaptive=adaptive)
    assert found.item() == pytest.approx(expected)


def test_confidence_at_an_edge_belongs_to_the_bin_below():
    p = torch.tensor([[0.6, 0.4], [0.61, 0.39]], dtype=torch.float64)
    error = metrics.calibration_error(p, torch.tensor([0, 1]), bins=5)
    assert error.item() == pytest.approx((0.4 + 0.61) / 2)


def test_calibrated_predictions_have_a_small_error_and_overconfident_ones_their_excess():
    """Labels drawn from the probabilities themselves. False alarms: the sum over 10 bins of the
    absolute errors has mean below 10 σ and σ < sqrt(n/4)/n each; 5e-3 is 10 times that."""
    generator = torch.Generator().manual_seed(0)
    q = torch.rand(1_000_000, dtype=torch.float64, generator=generator) / 2 + 0.5
    y = (torch.rand(len(q), dtype=torch.float64, generator=generator) > q).long()
    right = metrics.calibration_error(torch.stack([q, 1 - q], -1), y, bins=10)
    sure = metrics.calibration_error(torch.tensor([[1.0, 0.0]]).expand(len(q), 2), y)
    assert right < 5e-3
    assert sure.item() == pytest.approx(0.25, abs=5e-3)


@pytest.mark.parametrize("outputs", [(), (1,), (3,)])
def test_log_likelihood_is_the_density_of_the_mixture(outputs):
    generator = torch.Generator().manual_seed(2)
    samples = torch.randn(20, 6, *outputs, dtype=torch.float64, generator=generator)
    y = torch.randn(6, *outputs, dtype=torch.float64, generator=generator)
    density = norm.pdf(y.numpy(), samples.numpy(), 1 / np.sqrt(3.0))
    joint = density.reshape(20, 6, -1).prod(axis=-1).mean(axis=0)
    assert np.allclose(metrics.log_likelihood(samples, y, 3.0), np.log(joint), rtol=1e-12)


def test_log_likelihood_does_not_underflow():
    value = metrics.log_likelihood(torch.zeros(2, 1), torch.full((1,), 1e3), tau=1.0)
    assert value.item() == pytest.approx(-5e5, rel=1e-5)


def test_crps_of_normal_samples_is_the_closed_form():
    """At the normal quantiles, whose distribution is N(0, 1) but for O(1/T): no sampling."""
    quantiles = torch.from_numpy(norm.ppf((np.arange(4000) + 0.5) / 4000))
    y = torch.tensor([-2.0, 0.0, 0.7], dtype=torch.float64)
    z = y.numpy()
    closed = z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi)
    assert np.allclose(metrics.crps(quantiles[:, None].expand(-1, 3), y), closed, atol=1e-3)


def test_crps_is_the_integral_of_its_definition():
    samples = torch.tensor([[0.3], [-1.2], [2.0], [0.4], [0.4]], dtype=torch.float64)
    grid = np.linspace(-4, 4, 800_001)
    steps = (samples.numpy() <= grid).mean(axis=0) - (grid >= 0.9)
    integral = (steps**2).sum() * (grid[1] - grid[0])
    found = metrics.crps(samples, torch.tensor([0.9], dtype=torch.float64))
    assert found.item() == pytest.approx(integral, abs=1e-4)


def test_intervals_of_the_right_samples_cover_what_they_should():
    """10,000 y against intervals of their law: within 5 binomial σ (0.2 %) and the 1/T of ends."""
    generator = torch.Generator().manual_seed(3)
    samples = torch.randn(2000, 1, dtype=torch.float64, generator=generator).expand(2000, 10_000)
    y = torch.randn(10_000, dtype=torch.float64, generator=generator)
    assert metrics.coverage(samples, y, level=0.9).item() == pytest.approx(0.9, abs=0.02)
    assert metrics.coverage(samples / 4, y, level=0.9).item() < 0.4


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, y: metrics.interval(s, 1.0), "level must be between 0 and 1, got 1.0"),
        (lambda s, y: metrics.log_likelihood(s, y, 0.0), "tau must be positive, got 0.0"),
    ],
)
def test_bad_numbers_are_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.zeros(3, 2), torch.zeros(2))


def test_no_bins_are_refused():
    with pytest.raises(ValueError, match="bins must be at least 1, got 0"):
        metrics.calibration_error(torch.ones(1, 2), torch.tensor([0]), bins=0)


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("measure", "samples", "y"),
    [
        (partial(metrics.log_likelihood, tau=1.0), (50, 7, 1), (7,)),
        (partial(metrics.log_likelihood, tau=1.0), (7, 7), (7, 1)),
        (metrics.coverage, (50, 7, 1), (7,)),
        (metrics.coverage, (50, 7), (7, 1)),
        (metrics.crps, (7, 7), (7, 1)),
        (metrics.crps, (50, 7), (1,)),
    ],
)
def test_targets_are_not_broadcast_against_samples(measure, samples, y):
    one = re.escape(f"y must have the shape of one sample, {samples[1:]}, got {y} for")
    with pytest.raises(ValueError, match=one):
        measure(torch.zeros(samples), torch.zeros(y))


@pytest.mark.unchecked
@pytest.mark.parametrize("shape", [(6, 3), (5, 3, 4, 4)], ids=str)
@pytest.mark.parametrize(
    "measure",
    [
        metrics.predictive_entropy,
        metrics.expected_entropy,
        metrics.mutual_information,
        metrics.variation_ratio,
    ],
)
def test_entropies_are_of_samples_of_probabilities(measure, shape):
    with pytest.raises(ValueError, match=r"\(samples, inputs, classes\), got \("):
        measure(torch.full(shape, 0.25))


@pytest.mark.unchecked
@pytest.mark.parametrize("shapes", [((6, 3), (6, 1)), ((3,), (3,)), ((2, 6, 3), (2, 6))], ids=str)
@pytest.mark.parametrize(
    "measure", [metrics.nll, metrics.brier, partial(metrics.calibration_error, adaptive=True)]
)
def test_labels_have_one_axis_and_probabilities_two(measure, shapes):
    with pytest.raises(ValueError, match=re.escape("got {} and {}".format(*shapes))):
        measure(torch.full(shapes[0], 1 / 3), torch.zeros(shapes[1], dtype=torch.int64))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_taken_in_single(dtype):
    """As many samples and numbers as large as pass 65504 where they are squared or summed."""
    generator = torch.Generator().manual_seed(4)
    p = torch.rand(3, 5000, 4, generator=generator).softmax(-1).to(dtype)
    labels = torch.randint(4, (5000,), generator=generator)
    samples = (300 * torch.randn(5000, 6, generator=generator)).to(dtype)
    y = samples[0] + 400
    for found, wide in (
        (metrics.predictive_entropy(p), metrics.predictive_entropy(p.float())),
        (metrics.variation_ratio(p), metrics.variation_ratio(p.float())),
        (metrics.nll(p[0], labels), metrics.nll(p[0].float(), labels)),
        (metrics.calibration_error(p[0], labels), metrics.calibration_error(p[0].float(), labels)),
        (
            metrics.log_likelihood(samples, y, 1e-5),
            metrics.log_likelihood(samples.float(), y, 1e-5),
        ),
        (metrics.crps(samples, y), metrics.crps(samples.float(), y.float())),
        (metrics.interval(samples)[1], metrics.interval(samples.float())[1]),
        (metrics.coverage(samples, y=y), metrics.coverage(samples.float(), y.float())),
    ):
        assert found.isfinite().all()
        assert torch.equal(found, wide)
