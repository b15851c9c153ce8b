"""The gap of weight scaling: where it is 0, where it is not, and two ways to find it."""

import numpy as np
import pytest

from dropout.experiments import depth
from dropout.training.data import digits


@pytest.mark.parametrize(("layers", "activation"), [(1, "ReLU"), (1, "tanh"), (3, "linear")])
def test_without_a_nonlinearity_above_a_dropped_unit_there_is_no_gap(layers, activation):
    gap, size = depth.counted(*depth.random_network(layers, 3, activation, 0.5, seed=0))
    assert gap < 1e-20 < size


def test_the_sampled_gap_is_the_counted_one():
    """Twenty networks; false alarms and misses are those of four standard errors."""
    pairs = [depth.random_network(2, 4, "tanh", 0.5, seed) for seed in range(20)]
    exact = np.array([depth.counted(*pair) for pair in pairs])
    drawn = np.array([depth.sampled(*pair, seed) for seed, pair in enumerate(pairs)])
    assert np.allclose(drawn[:, 1], exact[:, 1])
    off = drawn[:, 0] - exact[:, 0]
    error = off.std(ddof=1) / len(off) ** 0.5
    assert abs(off.mean()) < 4 * error
    assert 4 * error < 0.5 * exact[:, 0].mean()


def test_the_gap_is_relative_and_its_error_that_of_a_mean_over_networks():
    gap, error = depth.relative_gap([(4.0, 100.0)] * 5)
    assert (gap, error) == (0.2, 0.0)
    rng = np.random.default_rng(0)
    squares = [(square, 1.0) for square in 0.04 + 0.01 * rng.standard_normal(400)]
    gap, error = depth.relative_gap(squares)
    assert abs(gap - 0.2) < 0.01
    assert error == pytest.approx(0.01 / (2 * 0.2) / 400**0.5, rel=0.15)  # d√g = dg / 2√g


def test_what_is_trained_is_tuned_and_its_gap_measured(monkeypatch):
    for name, value in {"LRS": (0.1, 0.2), "EPOCHS": 4, "EVERY": 2, "SEEDS": range(2)}.items():
        monkeypatch.setattr(depth, name, value)
    train, validation, test = digits(train=50)
    found = depth.trained(2, "tanh", (train, validation, test))
    assert set(found) == {"without", "with", "untrained"}
    assert len(found["with"]["squares"]) == len(found["with"]["test_loss"]) == 2
    assert {found[arm]["chosen"]["epochs"] for arm in ("with", "without")} <= {2, 4}
    assert depth.relative_gap(found["untrained"]["squares"])[0] > 0
    without, with_dropout, untrained = depth.summary("tanh", 2, found)
    assert with_dropout["least"] <= with_dropout["gap"] <= with_dropout["greatest"]
    assert without["loss"] == np.mean(found["without"]["test_loss"])
    assert "loss" not in untrained
