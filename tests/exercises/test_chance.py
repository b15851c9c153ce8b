"""Checks that toss coins: how often they refuse a right answer, and what they find."""

import math
import re

import pytest
from scipy.stats import binom

from dropout.exercises import probes
from tests.exercises.test_contents import CODE, named

POWER = re.compile(r"(\d+) coins at (0?\.\d+): a rate off by (0?\.\d+) is found 99 times in 100")
FRESH = 400  # a check that refuses a right answer once in 87 times is found, 99 times in 100
pytestmark = pytest.mark.unchecked


def refused(total, probability, true):
    """The chance that `plausible` refuses a share of coins, when they fall with `true`."""
    counts = range(total + 1)
    bad = [k for k in counts if not probes.plausible(k, total, probability)]
    return float(binom.pmf(bad, total, true).sum())


@pytest.mark.parametrize("total", [40, 400, 1000, 2000, 5000])
@pytest.mark.parametrize("probability", [0.1, 0.25, 0.5, 0.75, 0.9])
def test_the_false_alarm_rate_is_what_it_says(total, probability):
    assert refused(total, probability, probability) <= probes.FALSE_ALARM


def test_counts_at_the_ends():
    assert not probes.plausible(1, 10, 0.0)
    assert probes.plausible(0, 10, 0.0)
    assert probes.plausible(10, 10, 1.0)
    assert probes.plausible(10, 10, 0.5)
    assert not probes.plausible(40, 40, 0.5)


@named([each for each in CODE if POWER.search(each.power)])
def test_the_power_is_what_it_says(exercise):
    for found in POWER.finditer(exercise.power):
        total, probability, off = int(found[1]), float(found[2]), float(found[3])
        for true in (probability - off, probability + off):
            if 0 < true < 1:
                assert refused(total, probability, true) >= 0.99


@named(CODE)
def test_a_check_has_at_most_ten_statistical_properties(exercise, monkeypatch):
    """So that one of them refuses a right answer with a chance of at most 10^-6."""
    asked = []
    space = exercise.check.__globals__
    if "plausible" in space:
        counted = lambda *trials: asked.append(trials) or probes.plausible(*trials)  # noqa: E731
        monkeypatch.setitem(space, "plausible", counted)
    for source in (exercise.code, *exercise.alike):
        asked.clear()
        assert exercise.tried(exercise.made(source))[0] is None
        assert len(asked) * probes.FALSE_ALARM <= 1e-6


@named(CODE)
def test_a_right_answer_is_never_refused_with_fresh_coins(exercise):
    """A check may refuse a right one with a chance of 10^-6; in 400 times, never."""
    answers = [exercise.made(source) for source in (exercise.code, *exercise.alike)]
    share = math.ceil(FRESH / len(answers))
    for place, answer in enumerate(answers):
        for key in range(share):
            broken, gap, _, _ = exercise.tried(answer, key=10_000 * place + key)
            assert broken is None, gap
