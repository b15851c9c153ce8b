"""A reader's state of these tests' own, and generators that begin at the same place each time."""

import itertools

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    """The file in which a test remembers what is solved."""
    file = tmp_path / "state" / "exercises.json"
    monkeypatch.setenv("DROPOUT_STATE", str(file))
    return file


@pytest.fixture(autouse=True)
def _seeded(monkeypatch):
    # Answers may make a generator without a seed; here it gets one, another one each time.
    seeds, make = itertools.count(1), np.random.default_rng
    monkeypatch.setattr(
        np.random, "default_rng", lambda seed=None: make(next(seeds) if seed is None else seed)
    )
