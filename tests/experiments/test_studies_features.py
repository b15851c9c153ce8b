"""What the study of figures 7 and 8 computes, on cases whose answers are known."""

from base64 import b64decode

import numpy as np
import pytest
import torch
from torch import nn

from dropout.experiments.studies import features
from dropout.experiments.study import Finished
from dropout.nn import Dropout


def test_locality_of_known_features():
    single = torch.zeros(784)
    single[300] = -2.0
    window = torch.zeros(28, 28)
    window[3:10, 20:27] = 0.1
    halves = torch.zeros(28, 28)
    halves[0, 0] = halves[27, 27] = 3.0
    found = features.locality(
        torch.stack([torch.ones(784), single, window.flatten(), halves.flatten()])
    )
    assert found["window"].tolist() == pytest.approx([1 / 16, 1, 1, 0.5])
    assert found["participation"].tolist() == pytest.approx([1, 1 / 784, 49 / 784, 2 / 784])


def test_measures_without_a_scale_do_not_change_with_it():
    torch.manual_seed(0)
    weight, h = torch.randn(5, 784), torch.rand(7, 11)
    factors = torch.tensor([[1e-3], [0.1], [1.0], [7.0], [100.0]])
    for name, values in features.locality(weight).items():
        torch.testing.assert_close(features.locality(weight * factors)[name], values)
    assert features.sparseness(9 * h) == pytest.approx(features.sparseness(h))


def test_sparseness_of_known_activations():
    all_equal, one_on, off = torch.ones(1, 8), torch.eye(8)[:1], torch.zeros(1, 8)
    assert features.sparseness(all_equal) == 1
    assert features.sparseness(one_on) == 1 / 8
    assert features.sparseness(torch.cat([all_equal, one_on, off])) == pytest.approx(9 / 16)


def test_pictures_and_histograms_keep_what_they_are_given():
    feature = torch.linspace(-1, 0.5, 784)
    stored = np.frombuffer(b64decode(features.picture(feature)), np.int8)
    assert (stored.min(), stored.max(), len(stored)) == (-127, 64, 784)
    assert np.abs(stored / 127 - feature.numpy()).max() <= 0.5 / 127 + 1e-6
    assert features.histogram(torch.tensor([0.0, 0.1, 1.5, 99.0]), 0.0, 2.0, 4) == [2, 0, 0, 2]


def made_up(units: int = 4) -> nn.Sequential:
    """Unit k is on where pixel k is, but the last one is dead."""
    model = nn.Sequential(nn.Linear(784, units), nn.ReLU(), Dropout(0.5), nn.Linear(units, 784))
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(784)[:units])
        model[0].bias.zero_()
        model[0].weight[-1] *= -1
    return model


def test_the_hidden_layer_is_measured_without_masks_and_without_its_dead_units():
    x = torch.zeros(10, 784)
    x[:, 0], x[:5, 1], x[0, 2], x[:, 3] = 1.0, 1.0, 1.0, 1.0
    found = features.hidden(made_up().train(), x, torch.ones(784))
    assert found["dead"] == 1
    assert found["mean"] == pytest.approx((10 + 5 + 1) / 40)
    assert found["zero"] == pytest.approx(24 / 40)
    assert found["window"] == pytest.approx(1)
    assert found["seen"] == pytest.approx(1)
    assert len(found["pictures"]) == 3
    assert sum(found["activations"]) == 40
    assert sum(found["means"]) == 4


def test_reconstruction_of_the_mean_image_explains_nothing():
    torch.manual_seed(0)
    x = torch.rand(50, 784)
    model = features.network(0.5, x)
    with torch.no_grad():
        model[-1].weight.zero_()
    found = features.reconstruction(model, x)
    assert found["error"] == pytest.approx(100, rel=1e-5)
    entropy = nn.functional.binary_cross_entropy(x.mean(0).expand(50, -1), x, reduction="sum") / 50
    assert found["loss"] == pytest.approx(entropy.item(), rel=1e-5)


def finished(settings: dict) -> Finished:
    """A made-up run: the plain network is best at 0.4, the other at 0.1."""
    if settings["judge"] == "validation":
        loss = abs(settings["lr"] - (0.4 if settings["p"] == 0 else 0.1))
        result = {"at": [9], "validation": {"loss": [loss], "error": [loss]}}
        return Finished(settings, result, 1.0, {})
    part = {"loss": settings["seed"] + settings["p"], "error": 1.0}
    hidden = {
        "mean": 1.0, "activations": [1, 2], "means": [3], "windows": [0.1, 0.2],
        "pictures": [f"{settings['arm']} {settings['lr']} {settings['seed']}"],
    }  # fmt: skip
    result = {"train": part, "test": part, "hidden": hidden, "untrained": {"window": 0.1}}
    return Finished(settings, result, 1.0, {})


def test_each_arm_runs_at_its_own_and_at_the_other_learning_rate():
    tuning = features.runs([])
    assert {each["judge"] for each in tuning} == {"validation"}
    assert len(tuning) == 10
    assert features.runs([finished(each) for each in tuning[:-1]]) == tuning
    every = features.runs([finished(each) for each in tuning])
    final = every[len(tuning) :]
    assert {(each["arm"], each["lr"]) for each in final} == {
        (arm, lr) for arm in features.ARMS for lr in (0.1, 0.4)
    }
    assert not {each["seed"] for each in final} & {each["seed"] for each in tuning}
    told = features.summary([finished(each) for each in every])
    assert told["chosen"]["plain"]["point"] == {"lr": 0.4}
    assert told["chosen"]["plain"]["edge"] == []
    assert told["pictures"]["plain"] == ["plain 0.4 0"]
    one = told["arms"]["dropout"]["0.1"]
    assert one["test"]["loss"]["values"] == [number + 0.5 for number in features.SEEDS]
    assert one["activations"] == [3, 6]
    assert one["windows"] == [[0.1] * 3, [0.2] * 3]
