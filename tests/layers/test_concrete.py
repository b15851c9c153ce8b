"""Concrete dropout: the relaxed coin, its gradient, the regulariser, and where the rate goes."""

from itertools import pairwise
from math import log

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import expit

from dropout import MaskKey, Shard, functional, nn, reference
from dropout.bayes import predict
from tests import strategies
from tests.statistics import FALSE_ALARM, plausible_mean

KEY = MaskKey(seed=2**63 + 5, stream=1, step=2)
N = 1 << 16


def logit(p):
    return torch.tensor(log(p / (1 - p)), dtype=torch.double)


def kept(p, temperature, n=N, **options):
    """1 - z of n elements."""
    ones = torch.ones(n, dtype=torch.double)
    return functional.concrete_dropout(ones, logit(p), temperature, **options) * (1 - p)


def moments(p, temperature):
    """The mean and the variance of 1 - z, by quadrature over the uniform number's logit."""
    density = lambda v: expit(v) * expit(-v)  # noqa: E731
    one, two = (
        quad(
            lambda v: expit(-(logit(p).item() + v) / temperature) ** r * density(v),  # noqa: B023
            -60,
            60,
            points=[-logit(p).item()],
            limit=400,
        )[0]
        for r in (1, 2)
    )
    return one, two - one**2


# ---- the mask -------------------------------------------------------------------------------


@given(strategies.keys, st.floats(-4, 4), st.floats(0.1, 5))
@settings(max_examples=30)
def test_output_is_the_twins_whole_and_in_parts(key, value, temperature):
    x = torch.linspace(-2, 3, 60, dtype=torch.double).view(3, 4, 5)
    for shared in ((), (-1,), (1, 2)):
        options = {"shared": shared, "key": key}
        rate = torch.tensor(value, dtype=torch.double)
        out = functional.concrete_dropout(x, rate, temperature, **options)
        twin = reference.concrete_dropout(x.numpy(), np.array(value), temperature, **options)
        np.testing.assert_allclose(out.numpy(), twin, rtol=1e-9, atol=1e-12)
        place = Shard((3, 4, 5), (1, 1, 0))
        part = functional.concrete_dropout(x[1:, 1:3], rate, temperature, shard=place, **options)
        torch.testing.assert_close(part, out[1:, 1:3], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_mean_and_share_of_the_relaxed_coin(p, temperature):
    """The mean of 1 - z by quadrature, and above one half with probability p: 1e-6 each."""
    mean, variance = moments(p, temperature)
    z = 1 - kept(p, temperature, key=KEY)
    assert plausible_mean(1 - z.mean().item(), mean, (variance / N) ** 0.5)
    assert plausible_mean((z > 0.5).double().mean().item(), p, (p * (1 - p) / N) ** 0.5)


@pytest.mark.parametrize("p", [0.02, 0.2, 0.7])
def test_the_mean_lies_between_p_and_one_half(p):
    for temperature in (0.05, 0.3, 2.0):
        low, high = sorted((p, 0.5))
        assert low < 1 - moments(p, temperature)[0] < high


def test_as_the_temperature_falls_it_becomes_a_coin_of_its_rate():
    soft = [((z := kept(0.3, t, key=KEY)) * (1 - z)).mean().item() for t in (1.0, 0.1, 0.01, 0.001)]
    assert all(b < a / 5 for a, b in pairwise(soft))
    coins = kept(0.3, 1e-9, key=KEY)
    assert ((coins < 1e-6) | (coins > 1 - 1e-6)).all()
    assert plausible_mean(coins.mean().item(), 0.7, (0.21 / N) ** 0.5)


def test_as_the_temperature_grows_all_are_halved():
    assert (kept(0.3, 1e6, key=KEY) - 0.5).abs().max() < 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_narrow_types_are_the_wide_one_but_for_rounding(dtype):
    x = torch.linspace(-2, 3, 1000).to(dtype)
    rate = logit(0.3).float().requires_grad_()
    out = functional.concrete_dropout(x, rate, key=KEY)
    exact = functional.concrete_dropout(x.double(), rate.double(), key=KEY)
    assert out.dtype == dtype
    off = (out.double() - exact).abs().max().item()
    assert off < 4 * torch.finfo(dtype).eps * 3 + 1e-4
    out.double().square().sum().backward()
    assert rate.grad.isfinite()


def test_the_ends_of_the_uniform_numbers_give_no_nan():
    """In float32 a few of 2^27 uniform numbers round to 0 or 1."""
    rate = torch.tensor(-2.0, requires_grad=True)
    for value in (0.0, 1.0):
        u = torch.tensor(value)
        z = torch.sigmoid((rate + u.log() - torch.log1p(-u)) / 0.1)
        (slope,) = torch.autograd.grad(z, rate)
        assert z.item() == value
        assert slope.item() == 0


def test_a_rate_that_rounds_to_one_drops_all_and_has_a_gradient():
    rate = torch.tensor(100.0, requires_grad=True)
    out = functional.concrete_dropout(torch.ones(8), rate, key=KEY)
    assert (out == 0).all()
    out.sum().backward()
    assert rate.grad.isfinite()


# ---- gradients ------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.1, 0.7])
def test_gradients_in_input_and_rate_pass_gradcheck(temperature):
    def f(x, rate):
        return functional.concrete_dropout(x, rate, temperature, shared=(-1,), key=KEY)

    x = torch.linspace(-2, 3, 24, dtype=torch.double).view(2, 3, 4).requires_grad_()
    rate = torch.tensor([[[-1.0]], [[0.5]]], dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(f, (x, rate), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(f, (x, rate))


def test_the_mean_gradient_is_that_of_the_mean():
    """d/dp of E[1 - z] by quadrature, against 2^16 gradients: false-alarm rate 1e-6."""
    p, temperature, step = 0.3, 0.2, 1e-4
    rates = logit(p).expand(N).clone().requires_grad_()
    ones = torch.ones(N, dtype=torch.double)
    out = functional.concrete_dropout(ones, rates, temperature, key=KEY) * torch.sigmoid(-rates)
    (slopes,) = torch.autograd.grad(out.sum(), rates)
    high, low = (moments(p + s, temperature)[0] for s in (step, -step))
    expected = (high - low) / (2 * step) * p * (1 - p)  # in the logit
    error = slopes.std().item() / N**0.5
    assert plausible_mean(slopes.mean().item(), expected, error)
    assert abs(expected) > 10 * error


# ---- the layer ------------------------------------------------------------------------------


def test_evaluation_is_the_identity():
    x = torch.randn(4, 3)
    assert functional.concrete_dropout(x, logit(0.3), training=False) is x
    layer = nn.ConcreteDropout(torch.nn.Linear(3, 2), p=0.9).eval()
    assert torch.equal(layer(x), layer.layer(x))


def test_before_a_linear_each_element_has_a_number_and_before_a_convolution_each_channel():
    seen = []
    linear = nn.ConcreteDropout(torch.nn.Linear(3, 2), 0.5, 1.0, key=KEY)
    maps = nn.ConcreteDropout(torch.nn.Conv2d(3, 2, 1), 0.5, 1.0, key=KEY)
    for layer, shape in ((linear, (5, 4, 3)), (maps, (5, 3, 2, 2)), (maps, (3, 2, 2))):
        layer.layer.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
        layer(torch.ones(shape))
    assert seen[0].unique().numel() == 60
    assert (seen[1] == seen[1][..., :1, :1]).all()
    assert seen[1][..., 0, 0].unique().numel() == 15
    assert (seen[-1] == seen[-1][..., :1, :1]).all()


def test_it_begins_at_its_rate_and_says_so():
    layer = nn.ConcreteDropout(torch.nn.Linear(3, 2).double(), p=0.3)
    assert layer.p == pytest.approx(0.3, rel=1e-12)
    assert dict(layer.named_parameters()).keys() == {"logit", "layer.weight", "layer.bias"}
    assert repr(layer).startswith("ConcreteDropout(\n  p=0.3, temperature=0.1")


@pytest.mark.unchecked
@pytest.mark.parametrize("p", [0, 1, -0.1, 1.5, float("nan"), "0.5", None])
def test_a_rate_that_cannot_be_learned_is_refused(p):
    with pytest.raises((ValueError, TypeError), match="p must be"):
        nn.ConcreteDropout(torch.nn.Linear(3, 2), p)


@pytest.mark.unchecked
@pytest.mark.parametrize("temperature", [0, -1.0, float("inf"), float("nan"), True, "0.1"])
def test_a_bad_temperature_is_refused_in_evaluation_too(temperature):
    for make in (
        lambda: nn.ConcreteDropout(torch.nn.Linear(3, 2), temperature=temperature),
        lambda: functional.concrete_dropout(torch.ones(2), logit(0.5), temperature, training=False),
    ):
        with pytest.raises((ValueError, TypeError), match="temperature must be"):
            make()


@pytest.mark.unchecked
def test_a_layer_without_inputs_to_drop_is_refused():
    with pytest.raises(TypeError, match="layer must be a Linear or a ConvNd, got ReLU"):
        nn.ConcreteDropout(torch.nn.ReLU())


def test_predict_samples_it():
    model = torch.nn.Sequential(nn.ConcreteDropout(torch.nn.Linear(3, 2), p=0.5))
    passes = predict(model, torch.ones(4, 3), 5, key=KEY)
    assert passes.std(0).min() > 0
    assert torch.equal(passes, predict(model, torch.ones(4, 3), 5, key=KEY))


# ---- the regulariser ------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.05, 0.5, 0.8])
@pytest.mark.parametrize("length", [0.01, 2.0])
def test_the_regulariser_is_its_formula(p, length):
    for layer, inputs in ((torch.nn.Linear(7, 3), 7), (torch.nn.Conv2d(4, 6, 3), 4)):
        layer.double()
        found = nn.ConcreteDropout(layer, p).kl(length).item()
        squares = (layer.weight.detach().numpy() ** 2).sum()
        entropy = -p * log(p) - (1 - p) * log(1 - p)
        expected = length**2 * squares / (2 * (1 - p)) - inputs * entropy
        assert found == pytest.approx(expected, rel=1e-12)


def test_the_regulariser_has_a_gradient_at_extreme_rates():
    layer = nn.ConcreteDropout(torch.nn.Linear(3, 2), p=0.5)
    for value in (-60.0, 30.0):
        layer.logit.data.fill_(value)
        layer.kl().backward()
        assert layer.logit.grad.isfinite()


def test_the_regulariser_holds_squares_that_float16_does_not():
    layer = nn.ConcreteDropout(torch.nn.Linear(64, 64), p=0.5).half()
    torch.nn.init.constant_(layer.layer.weight, 30.0)
    expected = 64 * 64 * 900 - 64 * log(2)
    assert layer.kl().item() == pytest.approx(expected, rel=1e-5)


# ---- where the rate goes --------------------------------------------------------------------


def learned(copies, *, entropy=1.0, steps=700):
    """The rate that a linear model learns on so many copies of eight orthogonal rows, and theory's.

    Noise of known precision 1; at the optimum the logit is minus the mean over the features of
    (S b)² / (2 (S + l²)), S a feature's sum of squares and b its least-squares coefficient.
    """
    torch.manual_seed(0)
    H = torch.tensor([[1.0]], dtype=torch.double)
    for _ in range(3):
        H = torch.cat([torch.cat([H, H], 1), torch.cat([H, -H], 1)])
    X, b, length = H[:, 1:5], torch.tensor([0.4, -0.3, 0.2, 0.1], dtype=torch.double), 0.5
    y, S = X @ b, 8.0 * copies
    layer = nn.ConcreteDropout(torch.nn.Linear(4, 1, bias=False).double(), 0.3, 0.02)
    layer.layer.weight.data.copy_(b)
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.04)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, steps)
    path = []
    for _ in range(steps):
        optimiser.zero_grad()
        draws = layer(X.expand(64, 8, 4)).squeeze(-1)
        data = 0.5 * copies * (draws - y).square().sum(1).mean()
        kl = layer.kl(length)
        if not entropy:
            kl = length**2 / 2 * layer.layer.weight.square().sum() / (1 - layer.logit.sigmoid())
        (data + kl).backward()
        optimiser.step()
        schedule.step()
        path.append(layer.logit.item())
    theory = -((S * b) ** 2 / (2 * (S + length**2))).mean().item()
    return np.mean(path[-150:]), theory


def test_the_rate_goes_where_the_theory_says_and_lower_with_more_data():
    found = {copies: learned(copies) for copies in (1, 3, 6)}
    for logit_found, theory in found.values():
        assert logit_found == pytest.approx(theory, abs=0.15)
    assert found[6][0] < found[3][0] - 0.3 < found[1][0] - 0.6


def test_without_the_entropy_the_rate_falls_to_0():
    path, theory = learned(3, entropy=0.0)
    assert path < theory - 2


def test_the_numbers_are_no_coins_of_another_layer():
    """Correlation with Gaussian dropout's and Uout's noise by other keys: 1e-6."""
    other = MaskKey(seed=KEY.seed, stream=2, step=2)
    z = kept(0.5, 0.5, key=KEY) - 0.5
    noise = functional.gaussian_dropout(torch.ones(N, dtype=torch.double), 0.5, key=other) - 1
    assert plausible_mean((z * noise).mean().item(), 0, z.std().item() * N**-0.5)
    assert FALSE_ALARM <= 1e-6
