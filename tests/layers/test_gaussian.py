"""Gaussian dropout: normal noise of mean 1 and variance p/q, the same words everywhere."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from dropout import MaskKey, functional, nn, reference
from dropout.kernels import loops, portable
from dropout.mask import lanes
from tests.statistics import FALSE_ALARM, plausible_mean

KEY = MaskKey(seed=2**63 + 5, stream=1, step=2)
N = 1 << 17


def noise(n=N, **options):
    """The standard normals behind the factors, at p = 1/2 where these are 1 + z."""
    return functional.gaussian_dropout(torch.ones(n, dtype=torch.double), 0.5, **options) - 1


def test_the_noise_is_standard_normal():
    """Kolmogorov and Smirnov's test of 2^17 numbers, false-alarm rate 1e-6."""
    assert kstest(noise().numpy(), "norm").pvalue > FALSE_ALARM


def test_neighbours_and_forwards_are_independent():
    """Correlations of z and of z² at distances 1 to 4, and of two forwards; 1e-6 each."""
    z, other = noise(), noise()
    for a, b in [(z[d:], z[:-d]) for d in (1, 2, 3, 4)] + [(z, other)]:
        assert plausible_mean((a * b).mean().item(), 0, N**-0.5)
        product = ((a**2 - 1) * (b**2 - 1)).mean().item()
        assert plausible_mean(product, 0, 2 * N**-0.5)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_mean_and_variance_are_those_of_dropout(p):
    """Mean 1 and variance p/q of 2^17 factors; normal, false-alarm rate 1e-6 each."""
    out = functional.gaussian_dropout(torch.ones(N, dtype=torch.double), p)
    variance = p / (1 - p)
    assert plausible_mean(out.mean().item(), 1, (variance / N) ** 0.5)
    spread = variance * (2 / N) ** 0.5
    assert plausible_mean((out - 1).square().mean().item(), variance, spread)


def test_the_words_are_those_whose_halves_are_the_coins_lanes():
    starts = np.array([0, 3, 10**12])
    halves = lanes(KEY, 2 * starts, 10).astype(np.uint32)
    assert np.array_equal(reference.words(KEY, starts, 5), halves[:, ::2] | halves[:, 1::2] << 16)


@pytest.mark.parametrize("word", [0, 2**32 - 1])
def test_the_extreme_words_make_finite_numbers(word, monkeypatch):
    monkeypatch.setattr(portable, "words", lambda *a: torch.full((len(a[3]), a[4]), word))
    portable_z = portable.normals(1, 2, 3, torch.tensor([0]), 8)
    numba_z = np.empty(8)
    loops._normals(np.full(4, word << 32 | word, np.uint64), numba_z)
    for z in (portable_z, numba_z):
        assert np.isfinite(z).all()
        assert np.abs(z).max() < 6.7  # sqrt(2 · 32 · log 2) = 6.66


@pytest.mark.unchecked
def test_rate_one_is_refused_in_words_in_training_and_evaluation_and_by_the_module():
    x = torch.ones(3)
    calls = [
        lambda: functional.gaussian_dropout(x, 1.0),
        lambda: functional.gaussian_dropout(x, 1, training=False),
        lambda: nn.GaussianDropout(1.0),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"p must be in \[0, 1\).*got 1"):
            call()
