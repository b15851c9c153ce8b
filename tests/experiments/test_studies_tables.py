"""The studies that compare networks on MNIST, by what is known of their parts."""

import numpy as np
import pytest
import torch
from torch import nn

from dropout.experiments import mnist_networks
from dropout.experiments.comparison import FINAL, TUNE
from dropout.experiments.studies import dropconnect, gaussian_noise, regularizers, table_2
from dropout.experiments.study import Finished
from dropout.nn import DropConnect, Dropout
from dropout.training.data import Images

EXAMPLES = 300
PARTS = "train", "validation", "test"


@pytest.fixture
def images(monkeypatch):
    """Images of noise in place of digits."""
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(EXAMPLES, 784, generator=generator)
    data = Images(x, torch.randint(0, 10, (EXAMPLES,), generator=generator))
    for module in (mnist_networks, dropconnect):
        monkeypatch.setattr(module, "parts", lambda device: dict.fromkeys(PARTS, data))
    return data


ONE_STEP = {"seed": 0, "device": "cpu", "widths": [6], "lr": 0.5, "steps": 1, "every": 1,
            "examples": EXAMPLES}  # fmt: skip


def weights(model):
    return [w.detach() for w in model.parameters() if w.dim() == 2]


def finished(stage, arm, seed, result, **settings):
    return Finished({"stage": stage, "arm": arm, "seed": seed} | settings, result, 1.0, {})


# --- DropConnect --------------------------------------------------------------------------------


def test_a_normal_draw_has_the_moments_of_a_mask_an_example():
    torch.manual_seed(0)
    layer, examples = nn.Linear(40, 3), 20_000
    x = torch.rand(1, 40).expand(examples, -1)
    exact = DropConnect(layer, 0.3, per_example=True)(x).detach()
    normal = dropconnect.NormalDropConnect(layer, 0.3)(x).detach()
    variance = 0.3 / 0.7 * (layer.weight.square() @ x[0].square()).detach()
    error = (variance / examples).sqrt()  # of a mean
    for drawn in (exact, normal):
        assert ((drawn.mean(0) - layer(x[0]).detach()).abs() < 5 * error).all()
        assert torch.allclose(drawn.var(0), variance, rtol=0.06)  # six of its standard errors
        correlated = torch.corrcoef(drawn.T) - torch.eye(3)
        assert correlated.abs().max() < 5 / examples**0.5
    one_mask = DropConnect(layer, 0.3)(x)
    assert torch.equal(one_mask[0], one_mask[1])  # what either arm of the study is not


def test_the_normal_draw_is_from_the_generator_of_the_cpu_on_each_device():
    layer, x = nn.Linear(40, 33), torch.rand(7, 40)
    variance = 0.3 / 0.7 * nn.functional.linear(x.square(), layer.weight.square())
    torch.manual_seed(3)
    expected, then = layer(x) + variance.sqrt() * torch.randn_like(layer(x)), torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(dropconnect.NormalDropConnect(layer, 0.3)(x), expected)
    torch.manual_seed(3)
    dropconnect.NormalDropConnect(layer.to("meta"), 0.3)(x.to("meta"))
    assert torch.equal(torch.rand(1), then)


def test_in_evaluation_it_is_the_layer_and_its_gradient_is_finite_at_0():
    layer = nn.Linear(5, 2)
    noisy, x = dropconnect.NormalDropConnect(layer, 0.5), torch.zeros(3, 5)
    noisy(x).sum().backward()
    assert layer.weight.grad.isfinite().all()
    assert torch.equal(noisy.eval()(x + 1), layer(x + 1))


@pytest.mark.parametrize(
    ("arm", "kinds"),
    [
        ("none", [nn.Linear, nn.ReLU] * 2),
        ("dropout", [nn.Linear, nn.ReLU, Dropout] * 2),
        ("dropconnect", [dropconnect.NormalDropConnect, nn.ReLU] * 2),
        ("dropconnect, one mask a batch", [DropConnect, nn.ReLU] * 2),
    ],
)
def test_the_noise_stands_in_both_hidden_layers_and_not_in_the_scores(arm, kinds):
    assert arm in dropconnect.ARMS
    model = dropconnect.network([8, 7], arm, 0.5)
    assert [type(layer) for layer in model] == [*kinds, nn.Linear]
    assert [tuple(w.shape) for w in weights(model)] == [(8, 784), (7, 8), (10, 7)]


@pytest.mark.parametrize(("arm", "p"), [("none", 0.0), ("dropout", 0.5)])
def test_it_trains_as_the_other_studies_do(images, arm, p):
    rule = {"seed": 3, "device": "cpu", "widths": [9, 9], "p": p, "lr": 0.3, "steps": 8,
            "every": 4, "examples": EXAMPLES, "judged": images}  # fmt: skip
    model, found = dropconnect.fit(arm, **rule)
    other, expected = mnist_networks.fit(**rule)
    assert found == expected
    assert [step for step, *_ in found] == [4, 8]
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)


def test_stopping_early_takes_the_first_steps_of_the_longer_run(images):
    rule = {"seed": 3, "device": "cpu", "widths": [9], "p": 0.5, "lr": 0.3, "every": 3,
            "examples": EXAMPLES}  # fmt: skip
    _, found = dropconnect.fit("dropconnect", steps=6, judged=images, **rule)
    model, _ = dropconnect.fit("dropconnect", steps=6, stop=3, **rule)
    assert mnist_networks.measured(model, images) == {"loss": found[0][1], "error": found[0][2]}


def test_wrong_images_are_as_many_as_the_error_says(images):
    model = dropconnect.network([8], "none", 0.5)
    missed = dropconnect.wrong(model, images)
    assert 100 * len(missed) / EXAMPLES == pytest.approx(
        mnist_networks.measured(model, images)["error"]
    )
    said = model(images.x).argmax(1)
    assert all(said[i] == label and images.y[i] != label for i, label in missed)


def test_samples_of_a_network_without_noise_are_its_prediction(images):
    model = dropconnect.network([8], "none", 0.5)
    found = dropconnect.sampled(model, images, passes=3)
    assert found == pytest.approx(mnist_networks.measured(model, images), rel=1e-5)
    noisy = dropconnect.network([8], "dropconnect", 0.5)
    one, many = (dropconnect.sampled(noisy, images, passes=k)["loss"] for k in (1, 50))
    assert many < one  # the loss is convex in the probabilities


def test_the_vote_counts_as_a_count_by_hand_does():
    rng = np.random.default_rng(0)
    truth, said = rng.integers(0, 4, 200), rng.integers(0, 4, (5, 200))
    lost = 0.0
    for image, label in enumerate(truth):
        counts = np.bincount(said[:, image], minlength=4)
        first = np.flatnonzero(counts == counts.max())
        lost += 1 - (label in first) / len(first)
    networks = [[[i, one[i]] for i in range(200) if one[i] != truth[i]] for one in said]
    assert dropconnect.vote(networks, 200) == pytest.approx(100 * lost / 200)


def test_the_summary_has_the_vote_and_the_sampled_prediction():
    part = {"loss": 1.0, "error": 2.0}
    final = [
        finished(FINAL, "dropout", seed, {"train": part, "test": part, "wrong": [[7, 1]],
                                          "sampled": {"loss": seed, "error": 3.0}})
        for seed in reversed(dropconnect.STUDY.summary([])["seeds"])
    ]  # fmt: skip
    found = dropconnect.STUDY.summary(final)["arms"]
    assert found["dropout"]["vote"] == 0.01  # one image of 10,000
    seeds = [1000, 1001, 1002, 1003, 1004]  # in their order, whichever ended first
    assert found["dropout"]["sampled"]["loss"]["values"] == seeds
    assert "vote" not in found["none"]


# --- Coins and normal noise ---------------------------------------------------------------------


def test_two_kinds_of_noise_leave_the_generator_alike_so_that_seeds_pair():
    states, first = [], []
    for arm in ("bernoulli", "gaussian"):
        torch.manual_seed(5)
        settings = gaussian_noise.ARMS[arm]
        model = mnist_networks.network([30, 30], p=settings["p"], noise=settings["noise"])
        first.append(weights(model)[0])
        model(torch.rand(4, 784))
        states.append(torch.get_rng_state())
    assert torch.equal(*first)
    assert torch.equal(*states)


def test_differences_are_taken_seed_by_seed():
    one, two, three = gaussian_noise.SEEDS[:3]
    errors = {"bernoulli": {one: 2.0, two: 5.0, three: 9.0}, "gaussian": {two: 4.5, one: 1.0}}
    runs = [
        finished(FINAL, arm, seed, {"train": part, "test": part})
        for arm, by_seed in errors.items()
        for seed, error in by_seed.items()
        for part in [{"loss": -error, "error": error}]
    ]
    found = gaussian_noise.STUDY.summary(runs)["gaussian - bernoulli"]
    assert found["error"]["values"] == [-1.0, -0.5]
    assert found["loss"]["values"] == [1.0, 0.5]
    assert found["error"]["mean"] == -0.75


# --- Regularizers -------------------------------------------------------------------------------


def test_each_arm_of_the_regularizers_chooses_among_twelve_points():
    names = {arm: set(grid[0]) - {"lr"} for arm, (_, grid) in regularizers.arms().items()}
    assert names == {
        "none": set(), "l2": {"l2"}, "l1": {"l1"}, "sparsity + l2": {"kl"},
        "max-norm": {"c"}, "dropout + l2": {"l2"}, "dropout + max-norm": {"c"},
    }  # fmt: skip
    for arm, (fixed, grid) in regularizers.arms().items():
        assert len({tuple(point.items()) for point in grid}) == 12
        assert len({point["lr"] for point in grid}) >= 3
        assert ("p" in fixed) == ("p_input" in fixed) == arm.startswith("dropout")


def test_a_step_with_a_penalty_is_the_step_without_it_and_the_penaltys_slope(images):
    torch.manual_seed(ONE_STEP["seed"])
    start = weights(mnist_networks.network(ONE_STEP["widths"]))
    plain = weights(mnist_networks.fit(**ONE_STEP)[0])
    step = ONE_STEP["lr"] * 0.1  # the first, before momentum gathers
    for penalty, slope in (("l2", lambda w: w), ("l1", torch.sign)):
        found = weights(mnist_networks.fit(**ONE_STEP, **{penalty: 0.01})[0])
        for before, without, after in zip(start, plain, found, strict=True):
            expected = without - step * 0.01 * slope(before)
            assert torch.allclose(after, expected, rtol=0, atol=1e-7)


def test_max_norm_bounds_the_hidden_units_and_leaves_the_scores_free(images):
    *hidden, scores = weights(mnist_networks.fit(**ONE_STEP | {"lr": 50.0}, c=0.5)[0])
    assert all((w.norm(dim=1) < 0.5 + 1e-6).all() for w in hidden)
    assert (scores.norm(dim=1) > 0.5).any()


def test_sparsity_is_the_divergence_of_coins_and_moves_units_to_the_target(images):
    even = torch.full((4, 3), 0.5)
    one = 0.05 * np.log(0.05 / 0.5) + 0.95 * np.log(0.95 / 0.5)
    assert mnist_networks.sparsity([even, even[:, :2]], 0.05).item() == pytest.approx(5 * one)
    assert mnist_networks.sparsity([torch.full((4, 3), 0.05)], 0.05).item() == pytest.approx(0)
    rule = ONE_STEP | {"steps": 200, "widths": [40], "lr": 0.1}

    def away(kl):
        model, _ = mnist_networks.fit(**rule, kl=kl)
        return (model[:2](images.x).mean(0) - 0.05).abs().mean()

    assert away(0.01) < away(0.0) / 2


# --- Table 2 ------------------------------------------------------------------------------------


def test_the_arms_of_table_2_are_the_networks_that_they_are_called():
    for arm, fixed in table_2.ARMS.items():
        keys = {"units", "p", "p_input"} & fixed.keys()
        model = mnist_networks.network([6, 6], **{key: fixed[key] for key in keys})
        kinds = [type(layer) for layer in model]
        assert (kinds.count(Dropout) == 3) == ("dropout" in arm)
        assert (nn.Sigmoid in kinds) == ("logistic" in arm)
        assert ("c" in fixed) == ("max-norm" in arm)
        assert str(fixed["widths"][0]) in arm or "logistic" in arm


def test_the_summary_of_table_2_has_the_curve_of_the_point_that_was_chosen():
    arm = "standard, 512"
    runs = [
        finished(TUNE, arm, 900, {"at": [1, 2], "validation": {"loss": [1, 1], "error": errors}},
                 judge="validation", lr=lr, **table_2.ARMS[arm])
        for lr, errors in ((0.5, [3, 4]), (1.0, [3, 2]), (2.0, [9, 8]))
    ]  # fmt: skip
    told = table_2.STUDY.summary(runs)["arms"][arm]
    assert (told["chosen"]["point"], told["chosen"]["stop"]) == ({"lr": 1.0}, 2)
    assert told["curves"] == [{"at": [1, 2], "loss": [1, 1], "error": [3, 2]}]
