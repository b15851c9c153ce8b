"""Alpha dropout: it keeps mean 0 and variance 1."""

import pytest
import torch

from dropout import MaskKey, functional, nn
from dropout.layers.alpha import SATURATION, affine
from dropout.mask import realised_rate
from tests.statistics import plausible_count, plausible_mean

KEY = MaskKey(seed=5)
N = 1 << 17
RATES = [2.0**-16, 0.1, 0.5, 0.9, 1 - 2.0**-16]


def test_the_value_of_a_dropped_unit_is_where_selu_ends():
    far = torch.nn.functional.selu(torch.tensor(-1e3, dtype=torch.double)).item()
    assert abs(SATURATION - far) <= 1e-15


@pytest.mark.parametrize("p", RATES)
def test_the_affine_map_keeps_mean_zero_and_variance_one_exactly(p):
    (a, kept, dropped), p = affine(p), realised_rate(p)
    q = 1 - p
    assert abs(dropped - (a * SATURATION + kept)) <= 1e-13
    assert abs(q * kept + p * dropped) <= 1e-15
    # E y² = q (a² E x² + b²) + p dropped², with E x² = 1.
    assert abs(q * (a**2 + kept**2) + p * dropped**2 - 1) <= 1e-14


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("drop", [functional.alpha_dropout, functional.feature_alpha_dropout])
def test_mean_and_variance_of_a_normal_input_stay(drop, p):
    """Mean and variance of 2^17 draws, false-alarm rate 1e-6 each; E y⁴ < 20 at these rates."""
    x = torch.randn(N, 1, dtype=torch.double)
    out = drop(x, p)
    assert plausible_mean(out.mean().item(), 0, N**-0.5)
    assert plausible_mean(out.var().item(), 1, (20 / N) ** 0.5)


def test_the_two_values_of_a_zero_are_pytorchs():
    ours, theirs = (
        drop(torch.zeros(99, dtype=torch.double), 0.5, True).unique()
        for drop in (functional.alpha_dropout, torch.nn.functional.alpha_dropout)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)  # PyTorch rounds α' to 8 digits


def test_rate_one_gives_the_limit_zero_where_the_scale_is_infinite():
    near = functional.alpha_dropout(torch.ones(N, dtype=torch.double), 1 - 2.0**-16, True)
    assert near[near < 0].abs().max() < 0.01
    out = nn.AlphaDropout(1.0)(torch.tensor([1.0, torch.nan, torch.inf]))
    assert out.tolist() == [0, 0, 0]


def test_channels_drop_whole():
    """Channels kept of 2^15: binomial, false-alarm rate 1e-6."""
    out = functional.feature_alpha_dropout(torch.zeros(512, 64, 2, 3), 0.25, True).flatten(2)
    assert torch.equal(out, out[..., :1].expand(out.shape))
    assert plausible_count(int((out[..., 0] > 0).sum()), 1 << 15, 0.75)


@pytest.mark.parametrize("layer", [nn.AlphaDropout, nn.FeatureAlphaDropout])
def test_inplace_is_heeded(layer):
    x = torch.ones(3, 5)
    apart = layer(0.5, key=KEY)(x)
    assert layer(0.5, inplace=True, key=KEY)(x) is x
    assert torch.equal(x, apart)


@pytest.mark.unchecked
def test_features_need_two_axes():
    with pytest.raises(RuntimeError, match="requires at least 2 dimensions in the input, got 1"):
        functional.feature_alpha_dropout(torch.ones(3), training=True)
