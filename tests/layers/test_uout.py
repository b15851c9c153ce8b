"""Uout: uniform noise in the band that was asked for."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from dropout import MaskKey, functional, reference
from tests.statistics import FALSE_ALARM, plausible_mean

N = 1 << 17


def test_the_noise_is_uniform_between_minus_beta_and_beta():
    """Kolmogorov and Smirnov's test of 2^17 numbers, false-alarm rate 1e-6."""
    r = functional.uout(torch.ones(N, dtype=torch.double), 0.25) - 1
    assert r.abs().max() < 0.25
    assert kstest(r.numpy(), "uniform", args=(-0.25, 0.5)).pvalue > FALSE_ALARM


def test_mean_and_variance_are_those_of_the_formula():
    """E = x, Var = x² beta²/3 of 2^17 draws; normal, false-alarm rate 1e-6 each."""
    out = functional.uout(torch.full((N,), 3.0, dtype=torch.double), 0.5)
    variance = 9 * 0.5**2 / 3
    assert plausible_mean(out.mean().item(), 3, (variance / N) ** 0.5)
    fourth = 81 * 0.5**4 / 5
    spread = ((fourth - variance**2) / N) ** 0.5
    assert plausible_mean((out - 3).square().mean().item(), variance, spread)


@pytest.mark.parametrize(("word", "r"), [(0, 2.0**-32 - 1), (2**32 - 1, 1 - 2.0**-32)])
def test_the_extreme_words_are_symmetric_so_that_the_mean_is_exact(word, r, monkeypatch):
    monkeypatch.setattr(reference, "words", lambda key, starts, width: np.full((1, width), word))
    assert reference.uout(np.ones(1), 1.0, key=MaskKey(1)).tolist() == [1 + r]
