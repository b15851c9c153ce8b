"""The arms of the study of Gaussian dropout are what their names say."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from dropout.experiments.gaussian import each, fit_averaged, normal
from dropout.nn import Dropout, GaussianDropout
from dropout.training.data import digits
from dropout.training.loops import fit, mlp
from dropout.training.sweep import sweep

SETTINGS = {"momentum": 0.9, "weight_decay": 0.0, "batch_size": 20, "epochs": 2, "every": 1}


@pytest.fixture(scope="module")
def data():
    return digits(train=60)[:2]


def network():
    return mlp(64, 16, 16, 10, p=0.5)


def test_normal_noise_stands_where_coins_stand():
    noise = [layer for layer in normal(0.3) if isinstance(layer, GaussianDropout)]
    coins = [layer for layer in mlp(64, 64, 64, 10, p=0.3) if isinstance(layer, Dropout)]
    assert [layer.p for layer in noise] == [0.3, 0.3]
    assert [layer.p for layer in coins if layer.p] == [0.3, 0.3]
    assert not any(isinstance(layer, Dropout) and layer.p for layer in normal(0.3))


def test_one_after_the_other_is_as_in_a_sweep(data):
    settings = {**SETTINGS, "seed": [3, 4], "lr": [0.1, 0.2]}
    _, found = each(fit, [network] * 2, *data, **settings)
    _, expected = sweep([network] * 2, *data, **settings)
    np.testing.assert_allclose(found.validation_loss, expected.validation_loss, rtol=1e-9)


def test_the_mean_over_one_mask_is_fit(data):
    settings = {**SETTINGS, "seed": 3, "lr": 0.1}
    _, found = fit_averaged(network, *data, masks=1, **settings)
    _, expected = fit(network, *data, **settings)
    np.testing.assert_array_equal(found.validation_loss, expected.validation_loss)


def test_more_masks_leave_less_noise_in_the_first_step(data):
    """The first step's spread over seeds of the masks: about 1/16 of the variance."""
    train, _ = data

    def step(masks, seed):
        torch.manual_seed(0)
        model = network()
        torch.manual_seed(seed)
        scores = model(train.x.repeat(masks, 1))
        cross_entropy(scores, train.y.repeat(masks)).backward()
        return model[1].weight.grad

    spread = [torch.stack([step(k, s) for s in range(40)]).var(0).mean() for k in (1, 16)]
    assert 10 < spread[0] / spread[1] < 25


def test_the_average_is_over_the_masks_it_says(data):
    """One step over four masks an image, by hand."""
    settings = {**SETTINGS, "seed": 3, "lr": 0.1, "epochs": 1, "batch_size": 60}
    model, _ = fit_averaged(network, *data, masks=4, **settings)
    torch.manual_seed(3)
    by_hand = network()
    order = torch.randperm(60)
    x, y = data[0].x[order], data[0].y[order]
    cross_entropy(by_hand(torch.cat([x] * 4)), torch.cat([y] * 4)).backward()
    expected = by_hand[1].weight - 0.1 * by_hand[1].weight.grad
    assert torch.allclose(model[1].weight, expected, rtol=1e-12)
