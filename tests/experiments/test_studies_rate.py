"""The studies of the rate, of the size of a data set and of averages: on cases that are known."""

import pytest
import torch
from torch import nn

from dropout.experiments import mnist_networks
from dropout.experiments.averaging import judged
from dropout.experiments.studies import averaging_samples, data_size, rate
from dropout.experiments.study import Finished
from dropout.nn import Dropout
from dropout.training.data import Images

IMAGES = 1000


@pytest.fixture
def numbered(monkeypatch):
    """Training images that are their own numbers."""
    images = Images(torch.arange(50_000).float()[:, None], torch.zeros(50_000, dtype=torch.int64))
    monkeypatch.setattr(mnist_networks, "parts", lambda device: {"train": images})


def final(arm, seed, **result):
    return Finished({"stage": "final", "arm": arm, "seed": seed}, result, 1.0, {})


# --- Where a training set begins ----------------------------------------------------------------


def test_a_training_set_begins_where_it_is_told(numbered):
    assert mnist_networks.training("cpu", 3, 7).x.flatten().tolist() == [7, 8, 9]
    assert len(mnist_networks.training().y) == 50_000


def test_a_training_set_beyond_the_training_images_is_refused(numbered):
    with pytest.raises(ValueError, match="50000 training images, not 10 from 49991"):
        mnist_networks.training("cpu", 10, 49_991)


@pytest.mark.parametrize("examples", data_size.STEPS)
def test_no_two_seeds_share_images_where_there_are_enough(numbered, examples):
    """Those that tune share none with those that judge, either."""
    arm = data_size.arm(examples, "none")
    told = next(found for found in data_size.summary([])["parts"] if arm in found["arms"])
    firsts = [data_size.first(seed, examples) for seed in told["tuning_seeds"] + told["seeds"]]
    sets = [set(mnist_networks.training("cpu", examples, k).x.flatten().tolist()) for k in firsts]
    assert all(len(each) == examples for each in sets)
    assert len(set.union(*sets)) == min(len(sets) * examples, 50_000)


def test_the_images_depend_on_the_seed_alone(monkeypatch):
    seen = []
    monkeypatch.setattr(data_size, "train_one", lambda **settings: seen.append(settings) or {})
    for arm in ("100 dropout", "100 none"):
        data_size.train(arm=arm, seed=3, examples=100, judge="test", device="cpu")
    assert [each["first"] for each in seen] == [300, 300]


# --- What the studies train ---------------------------------------------------------------------


def test_a_network_with_more_dropped_is_larger_such_that_as_many_are_in_use():
    for name in rate.PANELS["in_use"].values():
        settings = rate.ARMS[name]
        assert settings["widths"][0] * (1 - settings["p"]) == pytest.approx(rate.IN_USE, abs=0.5)


def test_what_two_panels_share_is_trained_once():
    panels = {name: set(arms.values()) for name, arms in rate.PANELS.items()}
    assert panels["units"] & panels["in_use"] == {"512 at 0.75"}
    assert panels["units"] & panels["input"] == {"512 at 0.5"}
    assert len(rate.ARMS) == sum(map(len, panels.values())) - 2
    places = [tuple(map(str, settings.values())) for settings in rate.ARMS.values()]
    assert len(set(places)) == len(places)


def test_the_arms_of_a_size_differ_in_dropout_alone():
    settings = {each["arm"]: each for each in data_size.runs([])}
    for examples in data_size.STEPS:
        pair = [settings[data_size.arm(examples, name)] for name in data_size.RATES]
        differing = {name for name in pair[0] if pair[0][name] != pair[1][name]}
        assert differing <= {"arm", "p", "p_input", "lr"}
        assert pair[0]["examples"] == examples


# --- Averages of k samples ----------------------------------------------------------------------


def model(p):
    torch.manual_seed(0)
    return nn.Sequential(Dropout(p), nn.Linear(4, 3))


def test_sets_share_no_sample_and_what_is_left_over_is_in_none():
    torch.manual_seed(1)
    drawn, labels = torch.rand(7, 20, 3).double().softmax(-1), torch.arange(20) % 3
    found = averaging_samples.sets_of(drawn, labels, 3)
    assert found == [judged(drawn[at].mean(0), labels) for at in (slice(0, 3), slice(3, 6))]


def test_without_dropout_every_average_is_weight_scaling():
    data = Images(torch.rand(50, 4), torch.arange(50) % 3)
    once = mnist_networks.measured(model(0.0), data)
    for row in averaging_samples.averages(model(0.0), data, [1, 4], 2, seed=5):
        assert row["sets"] == {1: 8, 4: 2}[row["k"]]
        assert row["error"] == {"mean": pytest.approx(once["error"]), "sd": pytest.approx(0)}
        assert row["loss"]["mean"] == pytest.approx(once["loss"], rel=1e-5)


def test_draws_and_seeds_have_sub_networks_of_their_own():
    data = Images(torch.rand(IMAGES, 4), torch.arange(IMAGES) % 3)
    losses = {
        (draws, seed): averaging_samples.averages(model(0.5), data, [4], draws, seed)[0]["loss"]
        for draws, seed in ((1, 5), (2, 5), (1, 6))
    }
    assert losses[2, 5]["sd"] > 0
    assert len({each["mean"] for each in losses.values()}) == 3


def test_averages_are_compared_with_weight_scaling_network_by_network():
    def network(seed, once, mean, sd):
        spread = {"mean": mean, "sd": sd}
        row = {"k": 3, "sets": 40, "error": spread, "loss": spread}
        return final("a", seed, test={"error": once, "loss": once}, averages=[row])

    found = averaging_samples.compared([network(0, 1.0, 1.5, 0.3), network(1, 2.0, 2.1, 0.4)])
    error = found["averages"][0]["error"]
    assert error["mean"] == pytest.approx(1.8)
    assert error["minus_weight_scaling"]["values"] == pytest.approx([0.5, 0.1])
    assert error["draws_sd"] == pytest.approx(0.125**0.5)
    assert found["weight_scaling"]["error"]["mean"] == 1.5
    assert averaging_samples.compared([])["averages"] == []


# --- What is told of made-up runs ---------------------------------------------------------------


def test_a_rate_is_chosen_on_validation_data_and_judged_on_test_data():
    errors = {  # validation and test error of seeds 0 and 1
        0.0: [(3.0, 3.5), (2.0, 2.5)],
        0.5: [(2.0, 2.9), (2.5, 2.2)],
    }
    runs = [
        final(str(p), seed, train={"error": 0.0}, validation={"error": v}, test={"error": test})
        for p, pairs in errors.items()
        for seed, (v, test) in reversed(list(enumerate(pairs)))
    ]
    found = rate.panel(runs, {0.0: "0.0", 0.5: "0.5"})
    assert found["chosen"] == [0.5, 0.0]
    assert found["chosen_test"]["values"] == [2.9, 2.5]
    assert found["test"][1]["values"] == [2.9, 2.2]
    assert rate.panel(runs[:2], {0.0: "0.0", 0.5: "0.5"})["chosen"] == []


def test_the_gain_is_that_of_pairs_of_one_seed():
    def pair(seed, none, dropout):
        at = {"none": none, "dropout": dropout}
        return [
            final(f"100 {name}", seed, test={"error": e, "loss": 0.5}) for name, e in at.items()
        ]

    runs = pair(1, 30.0, 31.0) + pair(0, 25.0, 24.5) + pair(2, 9.0, 9.0)[:1]
    found = data_size.gain(runs, 100)
    assert found["error"]["values"] == [0.5, -1.0]
    assert found["loss"]["values"] == [0.0, 0.0]
    assert data_size.summary([])["gains"][0]["error"]["values"] == []
