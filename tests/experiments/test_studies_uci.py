"""Many regression networks at once, and what the study of the UCI sets makes of them."""

from dataclasses import replace
from math import log, pi

import pytest
import torch
from scipy.stats import norm

from dropout.bayes import precision
from dropout.experiments import regression_networks as many
from dropout.experiments.regression_networks import Judged
from dropout.experiments.studies import uci
from dropout.experiments.study import Finished
from dropout.mask import MaskKey
from dropout.nn import Dropout
from dropout.training.uci import Regression, RegressionResults

SETS, N, FEATURES, HIDDEN = 3, 20, 4, 6


@pytest.fixture
def data():
    random = torch.Generator().manual_seed(0)
    x = torch.randn(SETS, N, FEATURES, generator=random)
    return x, x[:, :, 0] * 2 + 0.1 * torch.randn(SETS, N, generator=random)


@pytest.fixture
def networks():
    random = torch.Generator().manual_seed(1)
    return many.initial([0.0, 0.1, 0.5], FEATURES, HIDDEN, random)


def alone(networks, k, seeds=None):
    """Network k in PyTorch's layers, with the masks of these seeds or without any."""
    w1, b1, w2, b2 = (each[k] for each in networks.parameters)
    first, last = torch.nn.Linear(FEATURES, HIDDEN), torch.nn.Linear(HIDDEN, 1)
    for layer, weight, bias in ((first, w1, b1), (last, w2, b2)):
        layer.weight.data, layer.bias.data = weight.T.clone(), bias[0].clone()
    p = [0.0, 0.1, 0.5][k]
    keys = [None, None] if seeds is None else [MaskKey(int(seed)) for seed in seeds[:, k]]
    layers = [Dropout(p, key=keys[0]), first, torch.nn.ReLU(), Dropout(p, key=keys[1]), last]
    return torch.nn.Sequential(*layers).train(seeds is not None)


def test_gradients_and_outputs_are_those_of_autograd_with_the_same_masks(data, networks):
    x, y = data
    decay = torch.tensor([0.0, 0.3, 0.2])
    seeds = many._seeds(1, SETS, torch.Generator().manual_seed(2))[0]
    found = many._gradients(networks, x, y, decay[:, None, None], seeds)
    random, scaled = many.outputs(networks, x, seeds), many.outputs(networks, x)
    for k in range(SETS):
        model = alone(networks, k, seeds)
        out = model(x[k])[:, 0]
        torch.testing.assert_close(random[k], out)
        torch.testing.assert_close(scaled[k], alone(networks, k)(x[k])[:, 0])
        squares = model[1].weight.square().sum() + model[4].weight.square().sum()
        ((out - y[k]).square().mean() + decay[k] / 2 * squares).backward()
        for mine, its in zip(found, model.parameters(), strict=True):
            torch.testing.assert_close(mine[k], its.grad.T if its.ndim == 2 else its.grad[None])


def test_each_is_trained_by_itself(data):
    """On its own set, at its own rate and decay: others beside it change no more than rounding."""
    how = {"hidden": HIDDEN, "epochs": 3, "batch": 8, "seed": 5}
    rates, decays = [0.1, 0.1, 0.1], [0.0, 0.0, 1.0]
    three = many.fit(data, [0, 1, 0], rates, decays, **how)
    other = many.fit((data[0], data[1] + 1), [0, 1, 0], rates, decays, **how)
    x, y = data
    same = many.fit((x, torch.cat([y[:1], y[1:] + 1])), [0, 1, 0], rates, decays, **how)
    for a, b, c in zip(three.parameters, other.parameters, same.parameters, strict=True):
        assert not torch.allclose(a[0], b[0])
        assert torch.equal(a[0], c[0])
        assert torch.equal(a[2], c[2])
        assert not torch.allclose(a[1], c[1])
    assert not torch.allclose(three.w1[0], three.w1[2])


def test_an_epoch_takes_each_example_of_its_set_once():
    batches = list(many._epoch([2, 0], 10, 4, torch.Generator().manual_seed(0)))
    order = torch.cat([index for index, _ in batches], 1)
    assert [index.shape[1] for index, _ in batches] == [4, 4, 2]
    assert order[0].sort().values.tolist() == list(range(20, 30))
    assert order[1].sort().values.tolist() == list(range(10))
    assert len({int(seed) for _, seeds in batches for seed in seeds.ravel()}) == 3 * 2 * 2


def test_they_learn():
    x = torch.linspace(-2, 2, 200)[None, :, None]
    y = x[:, :, 0].abs() - 1
    how = {"hidden": 20, "epochs": 150, "batch": 10, "seed": 0}
    networks = many.fit((x, y), [0], [0.0], [0.0], **how)
    assert (many.outputs(networks, x) - y).square().mean() < 0.01 * y.var()


def test_without_dropout_all_three_predictions_are_one_normal(data):
    x, y = data[0], data[1].double()
    random = torch.Generator().manual_seed(1)
    networks = many.initial([0.0] * SETS, FEATURES, HIDDEN, random)
    tau, units = torch.tensor([0.5, 1.0, 2.0]).double(), torch.tensor([1.0, 3.0, 5.0]).double()
    found = many.judge(networks, x, y, tau, units, passes=7, seed=0)
    errors = (many.outputs(networks, x).double() - y) * units[:, None]
    density = torch.from_numpy(norm.logpdf(errors.numpy(), scale=tau[:, None] ** -0.5)).mean(1)
    for name, values in found._asdict().items():
        right = density if "likelihood" in name else errors.square().mean(1).sqrt()
        torch.testing.assert_close(values, right, msg=name)


def test_the_mixture_is_that_of_the_passes_however_they_are_parted(data, networks, monkeypatch):
    x, y = data[0], data[1].double()
    tau, units = torch.tensor([0.5, 1.0, 2.0]).double(), torch.tensor([1.0, 3.0, 5.0]).double()
    monkeypatch.setattr(many, "PART", SETS * N * HIDDEN * 3)  # three passes at a time
    found = many.judge(networks, x, y, tau, units, passes=8, seed=3)
    drawn = torch.cat(list(many.sampled(networks, x, 8, 3)), 1).double()
    assert drawn.shape == (SETS, 8, N)
    errors = (drawn - y[:, None]) * units[:, None, None]
    normals = (tau.sqrt() / (2 * pi) ** 0.5)[:, None, None] * (
        -tau[:, None, None] / 2 * errors.square()
    ).exp()
    torch.testing.assert_close(found.mc_log_likelihood, normals.mean(1).log().mean(1))
    torch.testing.assert_close(found.mc_rmse, errors.mean(1).square().mean(1).sqrt())
    torch.testing.assert_close(found.one_pass_rmse, errors[:, 0].square().mean(1).sqrt())
    assert not torch.allclose(drawn[2, 0], drawn[2, 1])


def test_the_derived_decay_is_that_of_tau_in_the_units_of_the_network():
    tau, p, n, units = 0.5, 0.1, 400, 9.0
    decay = uci.derived_decay(tau, p, n, units)
    assert precision(decay, uci.LENGTH, 1 - p, n) == pytest.approx(tau * units**2)
    penalty = (1 - p) * uci.LENGTH**2 / (2 * n * tau)  # the code's reg; its gradient is 2 reg W
    assert uci.authors_decay(tau, p, n, units) == pytest.approx(2 * penalty)


def small():
    random = torch.Generator().manual_seed(0)
    rows = [torch.randperm(30, generator=random) for _ in range(2)]
    return Regression(
        x=torch.randn(30, 3, generator=random).double() * 7 + 5,
        y=torch.randn(30, generator=random).double() * 4 - 2,
        splits=tuple((row[:25], row[25:]) for row in rows),
        tau_values=(0.1, 0.2), n_hidden=5, n_epochs=1,
    )  # fmt: skip


@pytest.mark.parametrize(("part", "sizes"), [("validation", (20, 5)), ("test", (25, 5))])
def test_parts_are_disjoint_and_standardised_by_the_rows_that_train(part, sizes):
    data = small()
    found = uci.parted(data, part)
    assert (found.train[1].shape[1], found.judged[1].shape[1]) == sizes
    torch.testing.assert_close(found.train[0].mean(1), torch.zeros(2, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.train[1].std(1, correction=0), torch.ones(2))
    train, test = data.splits[1]
    learnt, judged = (train[:20], train[20:]) if part == "validation" else (train, test)
    y = data.y[learnt]
    back = found.judged[1][1] * found.units[1] + y.mean()
    torch.testing.assert_close(back, data.y[judged])
    assert found.units[1] == y.std(correction=0)


def test_test_rows_do_not_reach_the_tuning():
    data = small()
    other = replace(data, y=data.y.clone())
    other.y[data.splits[0][1]] += 100
    a, b = (uci.parted(each, "validation", 1) for each in (data, other))
    assert torch.equal(a.train[1], b.train[1])
    assert torch.equal(a.judged[1], b.judged[1])


def test_a_constant_feature_and_splits_of_unequal_size():
    data = small()
    data.x[:, 1] = 3.0
    assert uci.parted(data, "test").train[0][:, :, 1].eq(0).all()
    train, test = data.splits[1]
    with pytest.raises(ValueError, match="equal size"):
        uci.parted(replace(data, splits=(data.splits[0], (train[:-1], test))), "test")


def done(settings, result):
    return Finished(settings, result, 1.0, {})


def tuned(arm, variant, best):
    """Tuning of two splits, in which `best[measure]` is the p and τ of each split."""
    tau = [0.1, 0.2, 0.4] if uci.VARIANTS[variant]["beyond"] else [0.1, 0.2]
    for p in uci.RATES:
        result = {"tau": tau, "given": 2}
        for measure in Judged._fields:
            points = best.get(measure, [[p, 0.1], [p, 0.2]])
            result[measure] = [[float([p, t] == point) for t in tau] for point in points]
        yield done(uci.fixed(arm, variant, "tune") | {"p": p}, result)


def test_each_choice_is_by_its_own_measure_within_its_own_values():
    best = {
        "mc_log_likelihood": [[0.01, 0.4], [0.05, 0.1]],
        "scaling_log_likelihood": [[0.1, 0.1], [0.005, 0.2]],
    }
    tuning = list(tuned("yacht", "derived", best))
    assert uci.chosen(tuning[:-1], "yacht", "derived") is None
    points = uci.chosen(tuning, "yacht", "derived")
    assert points["mc, wide"] == best["mc_log_likelihood"]
    assert points["scaling"] == best["scaling_log_likelihood"]
    assert points["mc"][1] == [0.05, 0.1]
    assert points["mc"][0][1] in (0.1, 0.2)  # its best τ is beyond the given ones


def test_the_longer_training_has_no_wider_grid():
    best = dict.fromkeys(Judged._fields, ((0.01, 0.2), (0.05, 0.1)))
    best = {measure: [list(point) for point in points] for measure, points in best.items()}
    points = uci.chosen(list(tuned("yacht", "authors, long", best)), "yacht", "authors, long")
    assert set(points) == {"mc", "scaling"}
    assert points["mc"] == best["mc_rmse"]


def test_runs_and_summary():
    plan = uci.STUDY.runs([])
    assert len(plan) == len(uci.SETS) * len(uci.VARIANTS) * len(uci.RATES)
    assert {each["part"] for each in plan} == {"validation"}
    finished, points = [], {}
    for variant in ("derived", "authors"):
        measures = "mc_log_likelihood", "scaling_log_likelihood"
        best = {measure: [[0.1, 0.2], [0.05, 0.1]] for measure in measures}
        finished += tuned("yacht", variant, best)
        (final,) = (each for each in uci.STUDY.runs(finished) if each["stage"] == "final"
                    and each["decay"] == variant)  # fmt: skip
        assert final["part"] == "test"
        assert final["seed"] != plan[0]["seed"]
        points[variant] = final["points"]
        add = 1.0 if variant == "derived" else 0.0
        choices = {
            choice: {name: [1.0 + add, 3.0 + 2 * add] for name in Judged._fields}
            for choice in final["points"]
        }
        finished.append(done(final, {"choices": choices, "authors": {"rmse": [1.0, 2.0]}}))
    assert set(points["derived"]) == set(points["authors"]) == set(uci.CHOICES)
    told = uci.STUDY.summary(finished)["arms"]
    assert told["concrete"]["variants"]["derived"]["choices"] == {}
    assert told["concrete"]["difference"] is None
    yacht = told["yacht"]
    found = yacht["variants"]["authors"]["validation"]
    assert found["mc_log_likelihood"] == [[0, 0, 0], [0, 0, 0], [0.5, 0, 0], [0, 0.5, 0]]
    assert found["mc_rmse"] == [[0.5, 0.5, 0]] * 4
    mc = yacht["variants"]["authors"]["choices"]["mc"]
    assert mc["mc_rmse"] == {"values": [1.0, 3.0], "mean": 2.0, "error": 1.0}
    assert mc["edge"] == {"p": {"least": 0, "greatest": 1}, "tau": {"least": 1, "greatest": 1}}
    assert yacht["variants"]["derived"]["choices"]["mc, wide"]["edge"]["tau"]["greatest"] == 0
    assert yacht["difference"]["mc_rmse"]["values"] == [1.0, 2.0]
    assert yacht["authors_splits"] == {"rmse": [1.0, 2.0]}
    assert yacht["published"]["table 1"][0] == [1.11, 0.09]


def test_the_authors_results_if_there_are_any(monkeypatch):
    columns = [torch.tensor([float(k), 1.0]).double() for k in range(5)]
    monkeypatch.setattr(uci, "uci_results", lambda arm: RegressionResults(*columns))
    found = uci.authors("yacht")
    assert found["mc_rmse"] == [0, 1]
    assert found["mc_log_likelihood"] == [1, 1]
    assert found["one_pass_rmse"] == [2, 1]
    assert (found["p"], found["tau"]) == ([3, 1], [4, 1])

    def missing(arm):
        raise FileNotFoundError(arm)

    monkeypatch.setattr(uci, "uci_results", missing)
    assert uci.authors("kin8nm") is None


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_set_of_the_same_layout(part, monkeypatch):
    """In the units of its target: twice the target, at a quarter of the τ, has twice the error."""
    monkeypatch.setattr(uci, "authors", lambda arm: None)
    points = {"mc": [[0.1, 0.2], [0.01, 0.1]], "scaling": [[0.05, 0.1], [0.05, 0.1]]}
    how = {"decay": "derived", "times": 3, "batch": 8, "passes": 5, "seed": 1, "device": "cpu"}
    found = []
    for by in (1.0, 2.0):
        data = small()
        data = replace(data, y=data.y * by, tau_values=tuple(t / by**2 for t in data.tau_values))
        monkeypatch.setattr(uci, "uci", lambda arm, data=data: data)
        if part == "test":
            scaled = {c: [[p, t / by**2] for p, t in of] for c, of in points.items()}
            result = uci.train(arm="own", part=part, beyond=[], points=scaled, **how)
            found.append(result["choices"]["scaling"])
        else:
            found.append(uci.train(arm="own", part=part, beyond=[2.0], p=0.1, **how))
            assert found[-1]["tau"] == [0.1 / by**2, 0.2 / by**2, 0.4 / by**2]
    once, twice = ({k: torch.tensor(v) for k, v in each.items() if k in Judged._fields}
                   for each in found)  # fmt: skip
    for name in Judged._fields:
        assert once[name].shape == ((2,) if part == "test" else (2, 3))
        right = once[name] - log(2) if "likelihood" in name else 2 * once[name]
        torch.testing.assert_close(twice[name], right)
