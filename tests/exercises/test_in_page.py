"""What the pages run under MicroPython, under CPython: its coins, and the modules it adds."""

import itertools
import math

import pytest

from dropout.exercises.in_page import LACKING, Coins, Itertools, Math, remedy, zipped
from dropout.exercises.probes import plausible


@pytest.mark.parametrize("key", [0, 1, 2, 3, 20260114, -5, "name", None])
def test_coins_are_fair_and_repeat(key):
    coins = Coins(key)
    draws = [coins.random() for _ in range(20_000)]
    assert all(0 <= draw < 1 for draw in draws)
    for below in (0.1, 0.25, 0.5, 0.9):
        assert plausible(sum(draw < below for draw in draws), len(draws), below)
    pairs = sum(a < 0.5 and b < 0.5 for a, b in itertools.pairwise(draws))
    assert abs(pairs / len(draws) - 0.25) < 0.02
    if key is not None:
        coins.seed(key)
        assert [coins.random() for _ in range(5)] == draws[:5]


def test_coins_of_neighbouring_keys_differ():
    firsts = [Coins(key).random() for key in range(2000)]
    assert len(set(firsts)) > 1990
    assert plausible(sum(first < 0.3 for first in firsts), 2000, 0.3)


def test_other_draws():
    coins = Coins(1)
    assert {coins.randint(1, 3) for _ in range(200)} == {1, 2, 3}
    assert {coins.randrange(3) for _ in range(200)} == {0, 1, 2}
    assert {coins.choice("ab") for _ in range(100)} == {"a", "b"}
    assert set(coins.choices("ab", weights=[1, 0], k=50)) == {"a"}
    assert sorted(coins.sample(range(5), 5)) == [0, 1, 2, 3, 4]
    assert all(2 <= coins.uniform(2, 3) < 3 for _ in range(100))
    assert 0 <= coins.getrandbits(8) < 256
    gauss = [coins.gauss(1, 2) for _ in range(10_000)]
    assert abs(sum(gauss) / 10_000 - 1) < 0.1
    assert abs(sum((g - 1) ** 2 for g in gauss) / 10_000 - 4) < 0.3


def test_the_modules_are_as_pythons():
    ours = Itertools
    assert list(ours.product((0, 1), repeat=3)) == list(itertools.product((0, 1), repeat=3))
    assert list(ours.product("ab", "cd")) == list(itertools.product("ab", "cd"))
    assert list(ours.combinations(range(5), 3)) == list(itertools.combinations(range(5), 3))
    assert list(ours.combinations(range(3), 0)) == [()]
    assert list(ours.chain([1], [2, 3])) == [1, 2, 3]
    assert list(ours.accumulate([1, 2, 3])) == [1, 3, 6]
    assert list(ours.repeat(1, 2)) == [1, 1]
    assert (Math().comb(7, 3), Math().prod([2, 3]), Math().sqrt(4)) == (35, 6, 2)
    assert Math().dist([0, 0], [3, 4]) == math.dist([0, 0], [3, 4])


def test_zip_is_strict_where_that_is_asked():
    assert list(zipped([1, 2], "ab", strict=True)) == list(zip([1, 2], "ab", strict=True))
    assert list(zipped([1, 2], [3])) == [(1, 3)]
    with pytest.raises(ValueError, match="different lengths"):
        zipped([1, 2], [3], strict=True)


@pytest.mark.parametrize(
    ("error", "line", "step"),
    [
        (SyntaxError(), 1, "mend that line"),
        (SyntaxError(), 2, "type `–` anew in that line"),
        (NameError(), 3, "type `“` anew in that line"),
        (ValueError(), 2, "mend that line"),
        (SyntaxError(), 4, LACKING),
        (SyntaxError(), 9, "mend that line"),
        (TypeError(), None, "give it the parameters"),
        (AttributeError(), None, "keep the names"),
    ],
)
def test_the_next_step_fits_the_error(error, line, step):
    source = "def f(p)\n    q = 1 – p\n    print(“q”)\n    return [*a, q]"
    found = remedy(error, line, source)
    assert found == step or (step != "mend that line" and found.startswith(step))
