"""Arms are tuned on validation data, and judged on seeds and data that took no part."""

import numpy as np
import pytest

from dropout.experiments.tuned import compare
from dropout.training.data import digits
from dropout.training.loops import evaluate, fit, mlp

GRID = {"lrs": (1e-4, 0.2), "epochs": 20, "every": 10, "tuning_seeds": (0, 1), "seeds": (5, 6)}


@pytest.fixture(scope="module")
def data():
    return digits(train=100)


@pytest.mark.parametrize("by", ["loss", "accuracy"])
def test_the_better_learning_rate_is_chosen(data, by):
    found = compare({"plain": lambda: mlp(64, 16, 10)}, data, by=by, report=lambda s: None, **GRID)
    assert found["plain"]["chosen"]["lr"] == 0.2
    assert found["plain"]["edge"]


def test_what_is_reported_is_what_fit_gives(data):
    train, validation, test = data
    build = lambda: mlp(64, 16, 10, p=0.5)  # noqa: E731
    arm = compare({"dropout": build}, data, report=lambda s: None, **GRID)["dropout"]
    epochs = arm["chosen"]["epochs"]
    model, history = fit(build, train, validation, seed=6, epochs=epochs, lr=0.2)
    np.testing.assert_allclose(arm["test_loss"][1], evaluate(model, test)[0], rtol=1e-9)
    np.testing.assert_allclose(arm["validation_loss"][1], history.validation_loss[-1], rtol=1e-9)


def test_a_run_that_diverges_is_not_chosen(data):
    grid = GRID | {"lrs": (0.1, 1e6)}
    found = compare({"plain": lambda: mlp(64, 16, 10)}, data, report=lambda s: None, **grid)
    assert found["plain"]["chosen"]["lr"] == 0.1


def test_a_criterion_that_is_not_known_is_refused(data):
    with pytest.raises(KeyError, match="mood"):
        compare({}, data, by="mood", **GRID)
