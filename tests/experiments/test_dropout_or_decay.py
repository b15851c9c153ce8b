"""The distance of two groups of networks is what is between them beyond what is within."""

import numpy as np
import pytest
import torch

from dropout.experiments.dropout_or_decay import apart, apart_in_all_but_confidence


def group(seed, networks=8, shift=0.0):
    """Logits of networks that differ by chance, and by a shift of the first class."""
    made = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, 50, 4, generator=torch.Generator().manual_seed(0)).double() * 2
    logits = logits + 0.5 * torch.randn(networks, 50, 4, generator=made).double()
    logits[..., 0] += shift
    return logits


def test_groups_that_differ_by_their_seeds_are_not_apart():
    """The mean of forty such excesses is 0 within five standard errors."""
    found = [apart(group(2 * k + 1), group(2 * k + 2))["excess"] for k in range(40)]
    assert abs(np.mean(found)) < 5 * np.std(found, ddof=1) / 40**0.5


def test_a_shift_puts_groups_apart_and_no_temperature_mends_it():
    for found in (apart, apart_in_all_but_confidence):
        assert found(group(1), group(2, shift=2.0))["excess"] > 0.05


def test_a_difference_of_confidence_is_mended_by_one_temperature():
    a, b = group(1), 2 * group(2)
    assert apart(a, b)["excess"] > 0.01
    mended = apart_in_all_but_confidence(a, b)
    assert mended["temperature"] == pytest.approx(2, rel=0.25)
    assert abs(mended["excess"]) < 0.005
