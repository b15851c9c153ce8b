"""All of the book's seeds are shifted at once."""

import pytest

from dropout.training.seeds import seed, seeds


def test_without_a_shift_a_seed_is_its_number(monkeypatch):
    monkeypatch.delenv("DROPOUT_SEED_SHIFT", raising=False)
    assert seeds(3, first=2) == [2, 3, 4]


def test_no_two_shifts_share_a_seed(monkeypatch):
    found = []
    for shift in range(30):
        monkeypatch.setenv("DROPOUT_SEED_SHIFT", str(shift))
        found += seeds(1000)
    assert len(set(found)) == 30_000


@pytest.mark.parametrize("shift", ["", "-1", "two", "1.5"])
def test_a_shift_that_is_no_number_is_named(monkeypatch, shift):
    monkeypatch.setenv("DROPOUT_SEED_SHIFT", shift)
    with pytest.raises(ValueError, match=f"DROPOUT_SEED_SHIFT.*{shift!r}"):
        seed(1)
