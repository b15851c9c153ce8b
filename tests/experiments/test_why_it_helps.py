"""The arms of the study: their noise, their formula, and what is measured of them."""

import pytest
import torch
from torch import Generator

from dropout.experiments.why_it_helps import (
    changing_partners,
    coins,
    fixed_partners,
    fresh,
    gaussian,
    layers,
    losses,
    measure,
    penalties,
    reliance,
    split,
)
from dropout.training.data import Images

NOISES = (coins, gaussian, fixed_partners(8), changing_partners(8))


@pytest.fixture
def data():
    made = Generator().manual_seed(0)
    x = torch.rand(12, 64, generator=made, dtype=torch.float64)
    return Images(x, torch.randint(10, (12,), generator=made))


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("p", [0.2, 0.5])
def test_noise_has_mean_1_and_the_variance_of_coins(noise, p):
    """Within six standard errors of 400,000 values, of which an eighth are independent."""
    made = noise(torch.ones(4, 1600, 64, dtype=torch.float64), p, Generator().manual_seed(1))
    error = (p / (1 - p) / (made.numel() / 8)) ** 0.5
    assert abs(made.mean().item() - 1) < 6 * error
    assert made.var().item() == pytest.approx(p / (1 - p), rel=0.05)


def test_fixed_partners_share_a_coin_and_changing_ones_do_so_by_chance():
    h = torch.ones(2, 500, 64, dtype=torch.float64)
    fixed = fixed_partners(8)(h, 0.5, Generator().manual_seed(1))
    changing = changing_partners(8)(h, 0.5, Generator().manual_seed(1))
    assert torch.equal(fixed[..., 0], fixed[..., 7])
    assert not torch.equal(fixed[..., 7], fixed[..., 8])
    assert not torch.equal(changing[..., 0], changing[..., 7])
    kept = changing.sum(-1) / 2
    assert torch.equal(kept % 8, torch.zeros_like(kept))  # whole groups only


@pytest.mark.parametrize("size", [1, 8])
def test_the_formula_is_half_the_variance_times_the_second_derivatives(data, size):
    """Of the loss with respect to what multiplies a group of units, by automatic differentiation.

    Exact for ReLU networks, whose scores are linear in each multiplier near 1.
    """
    weights = fresh([3], like=data.x)
    p = 0.3
    _, penalty = penalties(weights, data.x, p, size)
    expected = 0.0
    for layer in (0, 1):
        for x, y in zip(data.x, data.y, strict=True):

            def loss(factor, x=x, y=y, layer=layer):
                calls = iter(range(2))
                spread = factor.repeat_interleave(size)
                noise = lambda h: spread if next(calls) == layer else torch.ones_like(h)  # noqa: E731
                return losses(layers(weights, x[None], noise)[2], y[None])[0]

            ones = torch.ones(64 // size, dtype=torch.float64)
            hessian = torch.autograd.functional.hessian(loss, ones)
            expected += p / (1 - p) / 2 * hessian.diagonal().sum().item() / len(data.y)
    assert penalty.item() == pytest.approx(expected, rel=1e-9)


def test_a_network_without_masks_is_measured_as_it_is(data):
    weights = fresh([3, 4], like=data.x)
    found = measure(weights, data, p=0.0, draws=2)
    assert found["loss"] == pytest.approx(found["one mask loss"])
    assert found["loss"] == pytest.approx(found["averaged loss"])


def test_a_unit_that_says_nothing_is_relied_on_by_nobody(data):
    weights = fresh([3], like=data.x)
    weights[4][:, 1:] = 0  # only unit 0 speaks
    found = reliance(weights, data)
    assert found["others"][0] == pytest.approx(0, abs=1e-12)


def test_the_parts_of_the_squared_loss_add_up():
    made = Generator().manual_seed(0)
    probabilities = torch.rand(5, 3, 20, 4, generator=made).softmax(-1)
    parts = split(probabilities, torch.zeros(20, dtype=torch.int64))
    whole = parts.pop("squared loss")
    assert whole == pytest.approx(sum(parts.values()))
