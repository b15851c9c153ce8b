"""What the study of dropout's rivals computes, on cases that are known."""

import math

import pytest
import torch
from torch import nn

from dropout.experiments.studies import instead as study
from dropout.experiments.study import Finished
from dropout.nn import Dropout
from dropout.training.data import Images


class Constant(nn.Module):
    """A network that gives every example the same probabilities."""

    def __init__(self, *probabilities: float) -> None:
        super().__init__()
        self.scores = torch.tensor(probabilities).log()

    def forward(self, x):
        return self.scores.expand(len(x), -1)


def test_an_ensemble_gives_the_mean_of_probabilities_not_of_scores():
    data = Images(torch.zeros(4, 1), torch.tensor([0, 0, 0, 1]))
    found = study.measured([Constant(0.9, 0.1), Constant(0.3, 0.7)], data)
    assert found["error"] == 25
    assert found["loss"] == pytest.approx(-(3 * math.log(0.6) + math.log(0.4)) / 4)


def test_an_image_moves_whole_and_leaves_zeros():
    torch.manual_seed(0)
    image = torch.zeros(1, 2, 9, 9)
    image[0, 0, 4, 4], image[0, 1, 4, 5] = 1.0, 2.0
    found = study.shifted(image.expand(500, -1, -1, -1), 2)
    assert found.shape == (500, 2, 9, 9)
    assert found.sum((2, 3)).unique(dim=0).tolist() == [[1.0, 2.0]]
    places = (found[:, 0] == 1).nonzero()[:, 1:]
    assert {tuple(place) for place in (places - 4).tolist()} == {
        (y, x) for y in range(-2, 3) for x in range(-2, 3)
    }
    assert torch.equal((found[:, 1] == 2).nonzero()[:, 1:] - places, torch.tensor([[0, 1]] * 500))
    torch.testing.assert_close(study.shifted(image, 0), image)


def test_about_half_of_the_images_are_mirrored():
    torch.manual_seed(0)
    image = torch.arange(4.0).view(1, 1, 1, 4)
    found = study.mirrored(image.expand(1000, -1, -1, -1)).flatten(1)
    turned = (found == image.flip(3).flatten()).all(1)
    assert ((found == image.flatten()).all(1) | turned).all()
    assert 430 < turned.sum() < 570


@pytest.mark.parametrize(("name", "shape"), [("digits", (1, 28, 28)), ("texts", (study.WORDS,))])
def test_dropout_and_batch_norm_stand_behind_hidden_layers(name, shape):
    model = study.network(name, p=0.25, norm=True)
    kinds = [type(layer).__name__ for layer in model]
    hidden = ["Linear", "BatchNorm1d", "ReLU", "Dropout"]
    assert kinds == ["Flatten", *hidden, *hidden, "Linear"]
    assert {layer.p for layer in model if isinstance(layer, Dropout)} == {0.25}
    assert model(torch.zeros(2, *shape)).shape == (2, 2 if name == "texts" else 10)


def test_photos_pass_convolutions_without_dropout():
    kinds = [type(layer).__name__ for layer in study.network("photos", p=0.5, norm=False)]
    dense = ["Dropout", "Linear", "ReLU", "Dropout", "Linear"]
    assert kinds == ["Conv2d", "ReLU"] * 3 + ["Flatten", *dense]


@pytest.fixture
def small(monkeypatch):
    """Two hundred made-up digits in place of the data."""
    torch.manual_seed(0)
    data = Images(torch.randn(200, 1, 28, 28), torch.randint(0, 10, (200,)))
    monkeypatch.setattr(
        study, "parts", lambda *_: dict.fromkeys(("train", "validation", "test"), data)
    )
    return {"arm": "any", "name": "digits", "lr": 0.1, "seed": 1, "device": "cpu", "steps": 20}


def test_only_early_stopping_has_a_choice_of_times(small):
    assert study.train(judge="validation", **small)["at"] == [20]
    found = study.train(judge="validation", stopping=True, **small)
    assert found["at"] == list(range(2, 21, 2))
    tested = study.train(judge="test", stopping=True, stop=6, **small)
    assert tested["test"]["loss"] == pytest.approx(found["validation"]["loss"][2])


def test_members_of_an_ensemble_differ_and_two_of_them_tune(small, monkeypatch):
    seen = []
    true = study.measured
    monkeypatch.setattr(
        study, "measured", lambda models, data: seen.append(models) or true(models, data)
    )
    study.train(judge="validation", members=5, **small)
    study.train(judge="test", members=5, **small)
    assert [len(models) for models in seen] == [2, 5, 5]
    first, second = (models[-1].weight for models in seen[1][:2])
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    "way", [{"p": 0.5}, {"norm": True}, {"decay": 0.01}, {"smoothing": 0.1}, {"noise": 1}]
)
def test_each_way_changes_what_is_learned(small, way):
    plain = study.train(judge="test", **small)
    assert study.train(judge="test", **small) == plain
    assert study.train(judge="test", **small, **way) != plain


def test_weight_decay_pulls_by_its_share_of_each_weight():
    data = Images(torch.randn(100, 1, 28, 28), torch.randint(0, 10, (100,)))
    ways = {"p": 0.0, "norm": False, "smoothing": 0.0, "noise": None}

    def weight(decay):
        torch.manual_seed(5)
        model = study.fit("digits", data, lr=0.1, steps=10, stop=1, decay=decay, **ways)
        return model[1].weight.detach()

    torch.manual_seed(5)
    start = study.network("digits", p=0.0, norm=False)[1].weight.detach()
    torch.testing.assert_close(weight(0.5) - weight(0.0), -0.01 * 0.5 * start)


def test_texts_are_rows_of_length_one_and_their_words_are_those_of_training(monkeypatch):
    class Made:
        def __init__(self, *texts):
            self.texts, self.labels = texts, torch.tensor([0] * len(texts)).numpy()

        def words(self):
            return (text.split() for text in self.texts)

    made = {
        "train": Made("a a b", "a c"),
        "validation": Made("b x a"),
        "test": Made("x y"),
    }
    monkeypatch.setattr(study, "split", lambda most: made)
    found = study.texts("cpu")
    want = torch.tensor([[1.0, 1, 0], [1, 0, 1]]) / math.sqrt(2)
    torch.testing.assert_close(found["train"].x[:, :3], want)
    torch.testing.assert_close(found["validation"].x[0, :3], found["train"].x[0, :3])
    assert found["test"].x.abs().sum() == 0


def test_every_way_has_nine_points_and_its_cost():
    arms = study.WAYS
    assert len(arms) == 30
    assert {len(points) for _, points in arms.values()} == {9}
    assert {len({str(point) for point in points}) for _, points in arms.values()} == {9}
    assert {steps % study.TIMES for steps in study.STEPS.values()} == {0}
    every_other = [point["lr"] for point in study.lrs(0.1)[::2]]
    assert every_other == pytest.approx([0.1, 0.3, 0.9, 2.7, 8.1])
    fixed, points = arms["texts: ensemble"]
    settings = {"stage": "tune", "arm": "texts: ensemble", "judge": "validation", **fixed}
    tuned = [
        Finished(
            {**settings, "seed": 100, **point},
            {"at": [600], "validation": {"loss": [point["lr"]], "error": [1.0]}},
            1.0,
            {},
        )
        for point in points
    ]
    told = study.STUDY.summary(tuned)["arms"]
    assert told["texts: ensemble"]["cost"] == {"steps": 3000, "passes": 5}
    assert told["texts: ensemble"]["grid"] == [
        {**point, "loss": point["lr"], "error": 1.0} for point in points
    ]
    assert told["texts: nothing"]["cost"] == {"steps": None, "passes": 1}


def test_words_are_dropped_as_by_pytorch_with_the_coins_of_the_cpu_on_each_device():
    x = torch.rand(7, 33)
    torch.manual_seed(3)
    expected, then = torch.nn.functional.dropout(x, 0.3), torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(study.NOISES["texts"](x, 0.3), expected)
    torch.manual_seed(3)
    study.NOISES["texts"](x.to("meta"), 0.3)
    assert torch.equal(torch.rand(1), then)
