"""The studies of dropout beside batch norm: where the layers stand, and what is compared."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from dropout.experiments import batch_norm, cifar_shift, steadiness
from dropout.nn import Dropout
from dropout.training.data import digits
from dropout.training.loops import evaluate, fit

TRAIN, VALIDATION, TEST = digits(train=100)
SHORT = {"nn.Linear": "L", "Conv2d": "L", "Flatten": "", "Linear": "L", "ReLU": "R"}


def letters(model: nn.Sequential) -> str:
    """The layers in order; a dropout that drops nothing is left out."""
    names = {"Dropout": "D", "BatchNorm1d": "B", "BatchNorm2d": "B", "LayerNorm": "N", **SHORT}
    layers = [m for m in model if not (isinstance(m, Dropout) and m.p == 0)]
    return "".join(names[type(m).__name__] for m in layers)


@pytest.mark.parametrize("study", [batch_norm, cifar_shift])
def test_the_places_are_those_of_the_chapters_drawing(study):
    assert letters(study.network(0.3, "last")) == "LBRLBRLBRDL"
    assert letters(study.network(0.3, "between")) == "LBRDLBRDLBRDL"
    assert letters(study.network(0.3, "direct")) == "LRDBLRDBLRDBL"
    assert letters(study.network(0.0, "direct")) == "LRBLRBLRBL"


def test_every_arm_is_what_its_name_says():
    arms = {name: letters(build()) for name, build in batch_norm.arms().items()}
    assert arms["neither"] == "LRLRLRL"
    assert arms["dropout 0.3"] == "LRDLRDLRDL"
    assert arms["batch norm after ReLU"] == "LRBLRBLRBL"
    assert arms["layer norm and dropout 0.3"] == "LNRDLNRDLNRDL"
    assert len(arms) == 5 + 4 * len(batch_norm.RATES)


def test_after_the_last_batch_norm_dropout_changes_no_statistics(monkeypatch):
    monkeypatch.setattr(batch_norm, "SEEDS", [0, 1])
    chosen = {"lr": 0.02, "weight_decay": 0.0, "epochs": 3}
    data = TRAIN, VALIDATION, TEST
    last = batch_norm.statistics(partial(batch_norm.network, 0.5, "last"), chosen, data)
    direct = batch_norm.statistics(partial(batch_norm.network, 0.5, "direct"), chosen, data)
    assert np.allclose(last["noisy"], last["clean"], rtol=1e-9)
    assert not np.isclose(direct["noisy"], direct["clean"], rtol=1e-3).all(axis=0)[0]


def test_scores_three_times_as_large_have_three_times_the_temperature_and_the_same_soft_loss():
    build = partial(batch_norm.network, 0.0, "between")
    settings = {"seed": 1, "lr": 0.02, "epochs": 6, "every": 6, "batch_size": 50}
    model = fit(build, TRAIN, VALIDATION, **settings)[0]
    loss, accuracy, soft, temperature = batch_norm.scores(model, VALIDATION, TEST)
    with torch.no_grad():
        model[-1].weight *= 3
        model[-1].bias *= 3
    hot = batch_norm.scores(model, VALIDATION, TEST)
    assert hot[1] == accuracy
    assert hot[2] == pytest.approx(soft, rel=1e-3)
    assert hot[3] == pytest.approx(3 * temperature, rel=0.05)  # the grid's steps are of 4 %
    assert hot[0] != pytest.approx(loss, rel=0.05)


def test_watching_leaves_the_generator_and_ends_with_the_trained_network():
    build, state = partial(batch_norm.network, 0.3, "direct"), torch.get_rng_state()
    seen = steadiness.watch(build, TRAIN, VALIDATION, seed=1, lr=0.02, epochs=3, last=2)
    assert torch.equal(torch.get_rng_state(), state)
    assert seen.shape == (3, 2)
    again = steadiness.watch(build, TRAIN, VALIDATION, seed=1, lr=0.02, epochs=3, last=1)
    assert again[0, 0] == seen[0, 1]
    alone = partial(batch_norm.network, 0.3, "between", "none")
    (row,) = steadiness.watch(alone, TRAIN, VALIDATION, seed=1, lr=0.02, epochs=2, last=2)
    assert len(row) == 2


def test_the_swing_is_what_is_left_of_a_run_beside_its_trend():
    time = np.linspace(0, 1, 20)
    noise = np.random.default_rng(0).normal(0, 0.1, (200, 20))
    found = steadiness.residual(3 - 2 * time + time**2 + noise)
    assert found.shape == (200,)
    assert np.sqrt((found**2).mean()) == pytest.approx(0.1, rel=0.05)


def test_an_arm_that_is_best_at_the_end_of_the_grid_gets_a_wider_one(monkeypatch):
    tried = []

    def compare(builds, data, *, lrs):
        (lr,) = lrs
        tried.append(lr)
        return {
            name: {"chosen": {"lr": lr}, "validation_at_choice": abs(lr - 0.32)} for name in builds
        }

    monkeypatch.setattr(batch_norm, "compare", compare)
    found = {
        "top": {"chosen": {"lr": 0.08}, "validation_at_choice": 0.24},
        "inner": {"chosen": {"lr": 0.02}, "validation_at_choice": 0.3},
    }
    batch_norm.widen(found, {"top": nn.Identity, "inner": nn.Identity}, (TRAIN, VALIDATION, TEST))
    assert tried == [0.32, 1.28]
    assert found["top"]["chosen"]["lr"] == 0.32
    assert found["top"]["tried"] == 1.28
    assert found["inner"]["chosen"]["lr"] == 0.02


def test_evaluation_of_images_takes_what_the_convnet_takes():
    x = torch.randn(7, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images = cifar_shift.Images(x, torch.zeros(7, dtype=torch.long))
    loss, accuracy = evaluate(cifar_shift.network(0.1, "between"), images)
    assert loss > 0
    assert 0 <= accuracy <= 1
