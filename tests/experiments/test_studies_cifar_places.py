"""What the study of places in a convolutional network computes, on cases that are known."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from dropout.experiments.studies import cifar_places as study
from dropout.experiments.study import Finished
from dropout.nn import Dropout
from dropout.training.data import Images


def layers(model: nn.Module) -> list[str]:
    """The layers that have weights or normalise, and each dropout with its rate, in order."""
    kinds = (nn.Conv2d, nn.Linear, nn.BatchNorm2d)
    return [
        f"drop {layer.p}" if isinstance(layer, Dropout) else type(layer).__name__
        for layer in model.modules()
        if isinstance(layer, kinds) or (isinstance(layer, Dropout) and layer.p)
    ]


def test_dropout_stands_where_the_arm_says():
    drop, half = "drop 0.3", "drop 0.5"
    assert layers(study.network(0.0, "plain")) == ["Conv2d"] * 3 + ["Linear"] * 2
    assert layers(study.network(0.0, "dense")) == ["Conv2d"] * 3 + ["Linear", half, "Linear"]
    assert layers(study.network(0.3, "conv")) == ["Conv2d", drop] * 3 + ["Linear"] * 2
    for place in ("both", "above", "below"):
        found = layers(study.network(0.3, place))
        assert found == ["Conv2d", drop] * 3 + ["Linear", half, "Linear"]
    direct = ["Conv2d", drop, "BatchNorm2d"] * 3 + ["Linear"]
    assert layers(study.network(0.3, "direct")) == direct
    assert layers(study.network(0.3, "between")) == ["Conv2d", "BatchNorm2d", drop] * 3 + ["Linear"]
    assert len(study.arms()) == 19


def gradients(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    model.zero_grad()
    torch.manual_seed(3)
    study.loss_of(model(x), y).backward()
    return [parameter.grad.clone() for parameter in model.parameters()]


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return torch.randn(8, 3, 32, 32), torch.randint(0, 10, (8,))


@pytest.mark.parametrize("place", study.PARTED)
def test_without_noise_a_parted_network_learns_as_a_plain_one(batch, place):
    network = study.network(0.0, "plain")
    for got, want in zip(
        gradients(study.Parted(network, place), *batch), gradients(network, *batch), strict=True
    ):
        torch.testing.assert_close(got, want)


def test_only_the_named_half_sees_the_noise(batch):
    x, y = batch
    network = study.network(0.3, "conv")  # no noise in the dense layers
    clean = gradients(network.eval(), x, y)
    above = gradients(study.Parted(network, "above").train(), x, y)
    below = gradients(study.Parted(network, "below").train(), x, y)
    of_dense = len(list(network[1].parameters()))

    def same(got, want):
        return [torch.allclose(a, b, atol=1e-6) for a, b in zip(got, want, strict=True)]

    assert all(same(above[:-of_dense], clean[:-of_dense]))
    assert not any(same(above[-of_dense:], clean[-of_dense:]))
    assert all(same(below[-of_dense:], clean[-of_dense:]))
    assert not any(same(below[:-of_dense], clean[:-of_dense]))


def test_a_parted_network_is_evaluated_as_any_other(batch):
    network = study.network(0.3, "above")
    found = study.Parted(network, "above").eval()(batch[0])
    torch.testing.assert_close(found, network.eval()(batch[0]))
    scores = torch.randn(8, 10)
    assert study.loss_of(scores, batch[1]) == cross_entropy(scores, batch[1])


def test_statistics_taken_anew_undo_the_shift(batch):
    """Before training, batch norm behind dropout of a half sees about twice the clean variance."""
    torch.manual_seed(0)
    x, y = torch.randn(400, 3, 32, 32), torch.randint(0, 10, (400,))
    model, images = study.network(0.5, "direct"), Images(x, y)
    found = study.taken_anew(model, images, images)
    assert len(found["shift"]) == 3
    assert max(found["shift"]) < 0.7
    norm = model[3]
    with torch.no_grad():
        clean = model[:3].eval()(x)
    assert math.isclose(norm.running_mean.sum(), clean.mean((0, 2, 3)).sum(), rel_tol=1e-3)
    assert math.isclose(norm.running_var.sum(), clean.var((0, 2, 3)).sum(), rel_tol=0.05)
    assert found["noisy"] != found["clean"]


def test_no_image_is_both_in_training_and_in_a_test(monkeypatch):
    numbers = torch.arange(9.0)[:, None].expand(-1, 3072)
    everything = Images(numbers[:6], torch.arange(6)), Images(numbers[6:], torch.arange(6, 9))
    for name, size in (("TRAIN", 3), ("VALIDATION", 2), ("TEST", 1)):
        monkeypatch.setattr(study, name, size)
    monkeypatch.setattr(study, "cifar10", lambda train: everything if train == 6 else None)
    data = study.parts.__wrapped__()
    assert {name: part.y.tolist() for name, part in data.items()} == {
        "train": [0, 1, 2], "validation": [3, 4], "test": [5], "official": [6, 7, 8],
    }  # fmt: skip
    for part in data.values():
        assert part.x.shape[1:] == (3, 32, 32)
        torch.testing.assert_close(part.x[:, 0, 0, 0], (part.y.float() - 0.5) * 4)


def test_the_summary_tells_what_was_taken_anew():
    arm = study.arms()["direct 0.3"]
    runs = []
    for number in range(4):
        part = {"loss": 1.0 + number, "error": 10.0}
        parts = dict.fromkeys(("train", "test", "official", "noisy", "clean"), part)
        settings = {"stage": "final", "arm": "direct 0.3", "seed": number, "judge": "test"} | arm
        runs.append(Finished(settings, parts | {"shift": [0.5, 0.7]}, 1.0, {}))
    told = study.STUDY.summary(runs)["arms"]["direct 0.3"]
    assert told["clean"]["loss"]["mean"] == told["official"]["loss"]["mean"] == 2.5
    assert told["shift"] == [0.5, 0.7]
