"""A network in a sweep is the network that `fit` trains."""

import sys
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.prune import l1_unstructured

from dropout import MaskKey
from dropout.kernels.engines import forced
from dropout.kernels.many import masked_scale
from dropout.nn import Dropout
from dropout.training import stacked
from dropout.training.data import Images, digits
from dropout.training.loops import fit, mlp
from dropout.training.sweep import sweep

TRAIN, VALIDATION, _ = digits(train=120)
FIELDS = ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy")
ROUNDING = 1e-12
unchecked = pytest.mark.unchecked


def difference(models, history, builds, seeds, sizes=None, lrs=(), decays=(), **settings):
    """The greatest, in any number that is trained or measured, to what `fit` makes of each."""
    found = [0.0]
    for k, (build, seed) in enumerate(zip(builds, seeds, strict=True)):
        n = sizes[k] if sizes else len(TRAIN.y)
        settings |= {"lr": lrs[k]} if lrs else {}
        settings |= {"weight_decay": decays[k]} if decays else {}
        subset = Images(TRAIN.x[:n], TRAIN.y[:n])
        alone, measured = fit(build, subset, VALIDATION, seed=seed, **settings)
        assert alone.training == models[k].training
        assert [str(layer) for layer in models[k]] == [str(layer) for layer in alone]
        for a, b in zip(models[k].state_dict().values(), alone.state_dict().values(), strict=True):
            found.append((a - b).abs().max().item())
        for field in FIELDS:
            found.append(np.abs(getattr(history, field)[k] - getattr(measured, field)).max())
    return max(found)


@pytest.mark.parametrize("batch_size", [None, 16], ids=["full batch", "batches of 16"])
def test_each_network_is_the_one_that_fit_trains(batch_size):
    shapes = [(64, 24, 20, 10), (64, 32, 32, 10), (64, 17, 31, 10), (64, 3, 10), (64, 10)]
    rates = [(0.0, 0.2), (0.5, 0.0), (0.3, 0.1), (1.0, 0.0)]
    builds = [partial(mlp, *w, p=p, p_input=p_in) for w in shapes for p, p_in in rates]
    seeds = list(range(100, 100 + len(builds)))
    sizes = [(120, 70, 33)[k % 3] for k in range(len(builds))]
    lrs = [0.05 + 0.01 * k for k in range(len(builds))]
    decays = [(0.0, 0.01)[k % 2] for k in range(len(builds))]
    settings = {"epochs": 3, "batch_size": batch_size}
    trained = sweep(
        builds, TRAIN, VALIDATION,
        seed=seeds, lr=lrs, weight_decay=decays, examples=sizes, **settings,
    )  # fmt: skip
    assert difference(*trained, builds, seeds, sizes, lrs, decays, **settings) < ROUNDING


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.LayerNorm])
def test_a_network_with_normalisation_is_the_one_that_fit_trains(norm):
    builds = [
        partial(mlp, 64, *hidden, 10, p=p, norm=norm)
        for hidden in [(16, 9), (12, 16), (9, 11)]
        for p in (0.0, 0.5, [0.0, 0.3])
    ]
    settings = {"epochs": 3, "batch_size": 16, "lr": 0.1, "weight_decay": 0.01}
    trained = sweep(builds, TRAIN, VALIDATION, seed=5, **settings)
    assert difference(*trained, builds, [5] * 9, **settings) < ROUNDING


def test_layers_may_stand_in_any_order():
    def build(width, p):
        layers = [nn.Linear(64, width), nn.Tanh(), Dropout(p), nn.BatchNorm1d(width)]
        return nn.Sequential(nn.LayerNorm(64), *layers, nn.Linear(width, 10), Dropout(p)).double()

    builds = [partial(build, width, p) for width in (9, 16) for p in (0.1, 0.4)]
    settings = {"epochs": 3, "batch_size": 50, "lr": 0.1, "momentum": 0.5}
    trained = sweep(builds, TRAIN, VALIDATION, seed=range(4), **settings)
    assert difference(*trained, builds, range(4), **settings) < ROUNDING


def test_layers_of_other_settings_or_classes_of_other_number_do_not_run_together():
    def build(outputs=10, **settings):
        norm = nn.BatchNorm1d(9, **settings)
        return nn.Sequential(nn.Linear(64, 9), norm, nn.Linear(9, outputs)).double()

    kinds = [{}, {"eps": 0.5}, {"momentum": 0.9}, {"outputs": 12}]
    builds = [partial(build, **kind) for kind in kinds]
    settings = {"epochs": 2, "batch_size": 50, "lr": 0.1}
    trained = sweep(builds, TRAIN, VALIDATION, seed=range(4), **settings)
    assert difference(*trained, builds, range(4), **settings) < ROUNDING


def test_one_coin_that_fell_otherwise_would_be_seen(monkeypatch):
    def one_coin_off(x, *rest):
        out, at = masked_scale(x, *rest), tuple(x.nonzero()[0])
        out[at] = x[at] if out[at] == 0 else 0.0
        return out

    monkeypatch.setattr(stacked, "masked_scale", one_coin_off)
    builds, settings = [partial(mlp, 64, 16, 10, p_input=0.5)], {"epochs": 1, "lr": 0.1}
    trained = sweep(builds, TRAIN, VALIDATION, seed=0, **settings)
    assert difference(*trained, builds, [0], **settings) > 1e6 * ROUNDING


def test_without_numba_the_masks_are_the_same():
    builds = [
        partial(mlp, 64, width, 10, p=p, p_input=0.1) for width in (9, 16) for p in (0.2, 0.6)
    ]
    settings = {"seed": range(4), "epochs": 2, "lr": 0.1, "batch_size": 50}
    models, history = sweep(builds, TRAIN, VALIDATION, **settings)
    with forced("portable"):
        slow_models, slow_history = sweep(builds, TRAIN, VALIDATION, **settings)
    assert np.array_equal(history.train_loss, slow_history.train_loss)
    for model, slow in zip(models, slow_models, strict=True):
        assert torch.equal(model[1].weight, slow[1].weight)


@pytest.mark.parametrize("weights", [1, 500], ids=["one by one", "three by three"])
def test_more_networks_than_run_together_keep_their_order(weights, monkeypatch):
    monkeypatch.setattr(sys.modules["dropout.training.sweep"], "TOGETHER", weights)
    builds, settings = [partial(mlp, 64, 2, 10, p=0.5)] * 7, {"epochs": 2, "lr": 0.1}
    trained = sweep(builds, TRAIN, VALIDATION, seed=range(7), **settings)
    assert difference(*trained, builds, range(7), **settings) < ROUNDING


def test_the_generator_of_the_caller_is_left_as_it_was():
    before = torch.get_rng_state()
    sweep([partial(mlp, 64, 4, 10, p=0.5)], TRAIN, VALIDATION, seed=0, epochs=1, lr=0.1)
    assert torch.equal(torch.get_rng_state(), before)


def test_how_often_it_is_measured_does_not_change_what_is_trained():
    builds, settings = [partial(mlp, 64, 12, 10, p=0.5)] * 2, {"epochs": 6, "lr": 0.1}
    often = sweep(builds, TRAIN, VALIDATION, seed=[1, 2], **settings)
    seldom = sweep(builds, TRAIN, VALIDATION, seed=[1, 2], every=3, **settings)
    for a, b in zip(often[0], seldom[0], strict=True):
        assert all(torch.equal(v, w) for v, w in zip(a.parameters(), b.parameters(), strict=True))
    for field in FIELDS:
        assert np.array_equal(getattr(often[1], field)[:, 2::3], getattr(seldom[1], field))
    assert difference(*seldom, builds, [1, 2], every=3, **settings) < ROUNDING


def test_no_networks_are_no_runs():
    models, history = sweep([], TRAIN, VALIDATION, seed=0, epochs=3, lr=0.1)
    assert models == []
    assert history.train_loss.shape == (0, 3)


# ---- what is refused ----------------------------------------------------------------------------


def chain(*layers):
    return lambda: nn.Sequential(*layers, nn.Linear(64, 10)).double()


def changed(change, at=1):
    """An mlp one of whose layers has been changed."""

    def build():
        model = mlp(64, 64, 64, 10)
        change(model[at])
        return model

    return build


def shared():
    layer = nn.Linear(64, 64)
    return chain(layer, nn.ReLU(), layer)()


def tied():
    model = mlp(64, 64, 64, 10)
    model[4].weight = model[1].weight
    return model


def hooked():
    model = mlp(64, 4, 10)
    model.register_forward_pre_hook(lambda *_: None)
    return model


class Tripled(nn.Sequential):
    def forward(self, x):
        return 3 * super().forward(x)


@unchecked
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": [1]}, "seed has 1 values for 2 networks"),
        ({"lr": [0.1, 0.2, 0.3]}, "lr has 3 values for 2 networks"),
        ({"weight_decay": np.zeros(3)}, "weight_decay has 3 values for 2 networks"),
        ({"examples": [120]}, "examples has 1 values for 2 networks"),
        ({"examples": [120, 121]}, "examples must be from 1 to 120, got 121"),
        ({"examples": 0}, "examples must be from 1 to 120, got 0"),
        ({"epochs": 7, "every": 3}, "every must divide the 7 epochs, got 3"),
        ({"every": 0}, "every must divide the 1 epochs, got 0"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, or None for all, got 0"),
    ],
)
def test_what_is_given_must_fit_the_networks_and_the_data(changed, message):
    settings = {"seed": 0, "epochs": 1, "lr": 0.1} | changed
    with pytest.raises(ValueError, match=message):
        sweep([partial(mlp, 64, 4, 10)] * 2, TRAIN, VALIDATION, **settings)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, or None for all, got 0"),
        ({"batch_size": -1}, "batch_size must be at least 1, or None for all, got -1"),
    ],
)
def test_fit_wants_an_epoch_and_an_example_in_a_batch(changed, message):
    settings = {"seed": 0, "epochs": 1, "lr": 0.1} | changed
    with pytest.raises(ValueError, match=message):
        fit(partial(mlp, 64, 4, 10), TRAIN, VALIDATION, **settings)


@unchecked
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (chain(nn.Sigmoid()), r"builds\[1\]: Sigmoid\(\) is none of Linear, ReLU, Tanh, Dropout"),
        (chain(nn.Dropout(0.5)), r"Dropout\(p=0.5, inplace=False\) is none of"),
        (chain(Dropout(0.5, key=MaskKey(1))), "has a key or generator of its own"),
        (chain(Dropout(0.5, generator=torch.Generator())), "has a key or generator of its own"),
        (chain(nn.LayerNorm(64, bias=False)), "is not as its class makes it by default"),
        (chain(nn.BatchNorm1d(64, momentum=None)), "is not as its class makes it by default"),
        (chain(nn.Linear(32, 64)), "in_features=32, .* gets 64 inputs"),
        (chain(nn.LayerNorm((8, 8))), "gets 64 inputs"),
        (chain(nn.BatchNorm1d(63)), "gets 64 inputs"),
        (chain(nn.BatchNorm1d(64)), "needs batches of 2 or more, and the last of an epoch has 1"),
        (lambda: nn.Sequential(nn.ReLU()), r"builds\[1\] has no parameters to train"),
        (lambda: nn.Linear(64, 10), r"builds\[1\] must make an nn.Sequential, got Linear"),
        (lambda: Tripled(nn.Linear(64, 10)), "must make an nn.Sequential, got Tripled"),
        (changed(lambda layer: layer.requires_grad_(False)), "Linear.* is frozen"),
        (changed(lambda layer: l1_unstructured(layer, "weight", 0.5)), "has hooks"),
        (changed(lambda layer: layer.register_forward_hook(print), at=2), r"ReLU\(\) has hooks"),
        (changed(lambda layer: setattr(layer, "forward", torch.tanh), at=2), "has hooks"),
        (hooked, r"builds\[1\] has hooks"),
        (shared, r"builds\[1\] has layers that share weights"),
        (tied, r"builds\[1\] has layers that share weights"),
        (partial(mlp, 64, 4, 10, p=[0.5, 0.5]), "p has 2 rates for 1 hidden layers"),
        (partial(mlp, 64, 4, 10, p=1.5), r"p must be in \[0, 1\], got 1.5"),
    ],
)
def test_a_network_that_cannot_be_trained_is_refused_by_name(build, message):
    settings = {"seed": 0, "epochs": 1, "lr": 0.1, "batch_size": 17}  # 120 = 7 · 17 + 1
    with pytest.raises(ValueError, match=message):
        sweep([partial(mlp, 64, 4, 10), build], TRAIN, VALIDATION, **settings)


@unchecked
@pytest.mark.parametrize("batch", [{"batch_size": 1}, {"examples": 1}], ids=str)
def test_batches_of_one_are_too_small_for_batch_normalisation(batch):
    with pytest.raises(ValueError, match="needs batches of 2 or more"):
        sweep([chain(nn.BatchNorm1d(64))], TRAIN, VALIDATION, seed=0, epochs=1, lr=0.1, **batch)
