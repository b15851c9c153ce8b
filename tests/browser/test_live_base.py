"""What live figures share: the library's coins bit for bit, and controls that hold their values."""

import csv
from pathlib import Path

import numpy as np
import pytest

from dropout.mask import MaskKey, inverted_scale, keep_mask, threshold
from tests.test_mask import KNOWN_ANSWERS

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.unchecked


def test_philox_gives_the_known_answers(evaluate):
    for given in KNOWN_ANSWERS:
        counter, key, result = ([int(word, 16) for word in each.split()] for each in given)
        given = {"counter": counter, "key": key}
        assert evaluate(None, "base.philox4x32(given.counter, given.key)", given) == result


def test_lanes_and_masks_are_those_of_the_test_vectors(evaluate):
    with (ROOT / "book/mask_vectors.csv").open() as file:
        rows = list(csv.DictReader(file))
    keys = [{name: f"0x{row[name]}" for name in ("seed", "stream", "step")} for row in rows]
    given = [[key, int(row["first element"], 16)] for key, row in zip(keys, rows, strict=True)]
    key = "{seed: BigInt(key.seed), stream: Number(key.stream), step: Number(key.step)}"
    lanes = evaluate(None, f"given.map(([key, first]) => base.lanes({key}, 8, first))", given)
    kept = evaluate(
        None, f"given.map(([key, first]) => base.keepMask({key}, 8, 0.3, first))", given
    )
    for row, lane, keep in zip(rows, lanes, kept, strict=True):
        assert [f"{each:04x}" for each in lane] == row["lanes of eight elements"].split()
        assert keep == [int(each) for each in row["kept at p = 0.3"].split()]


def test_a_mask_may_begin_anywhere(evaluate):
    whole = keep_mask(MaskKey(9, 1, 2), (50,), 0.4).astype(int).tolist()
    key = {"seed": 9, "stream": 1, "step": 2}
    found = evaluate(
        None, "[0, 1, 5, 13].map((first) => base.keepMask(given, 50 - first, 0.4, first))", key
    )
    assert found == [whole[first:] for first in (0, 1, 5, 13)]


def test_thresholds_and_scales_are_the_librarys(evaluate):
    """Ties of 65536 p too, which go to even."""
    rates = [0, 1e-9, 0.1, 1 / 3, 0.5, 0.9, 1, *((k + 0.5) / 65536 for k in range(6))]
    assert evaluate(None, "given.map(base.threshold)", rates) == [threshold(p) for p in rates]
    assert evaluate(None, "given.map(base.invertedScale)", rates) == [
        inverted_scale(p) for p in rates
    ]


def test_normal_and_uniform_numbers_have_their_moments(evaluate):
    """Each bound is five standard errors: a false alarm in 1e-6; the key is fixed."""
    n = 20_000
    z = np.array(evaluate(None, f"base.normals({{seed: 3}}, {n})"))
    u = np.array(evaluate(None, f"base.uniforms({{seed: 3}}, {n})"))
    assert abs(z.mean()) < 5 / n**0.5
    assert abs((z**2).mean() - 1) < 5 * (2 / n) ** 0.5
    assert abs((z**4).mean() - 3) < 5 * (96 / n) ** 0.5
    assert abs(np.mean(z[1:] * z[:-1])) < 5 / n**0.5
    assert abs(u.mean() - 0.5) < 5 * (1 / 12 / n) ** 0.5
    assert u.min() > 0
    assert u.max() < 1


@pytest.mark.parametrize(
    ("given", "value"),
    [(0.3, 0.3), ("0.35", 0.35), (0.33, 0.35), (2, 0.9), (-1, 0), ("x", 0.5), ("", 0.5), (None, 0)],
)
def test_a_slider_takes_the_nearest_value_that_it_has(evaluate, given, value):
    control = {"key": "p", "type": "range", "min": 0, "max": 0.9, "step": 0.05, "value": 0.5}
    assert evaluate(None, "base.allowed(...given)", [control, given]) == value


def test_other_controls_take_what_they_know(evaluate):
    choice = {"key": "m", "type": "choice", "options": {"a": "A", "b": "B"}, "value": "a"}
    tries = "['b', 'c', 'toString'].map((x) => base.allowed(given, x))"
    assert evaluate(None, tries, choice) == ["b", "a", "a"]
    check = {"key": "c", "type": "check", "value": True}
    tries = "[true, 'true', false, 'false', 'x'].map((x) => base.allowed(given, x))"
    assert evaluate(None, tries, check) == [True, True, False, False, False]
    count = {"key": "n", "type": "count", "value": 0}
    tries = "[3, '4', -1, 1e99, 'x'].map((x) => base.allowed(given, x))"
    assert evaluate(None, tries, count) == [3, 4, 0, 2**32 - 1, 0]


def test_ticks_are_round_and_within(evaluate):
    assert evaluate(None, "base.ticks(0, 1, 5)") == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert evaluate(None, "base.ticks(-3, 7, 5)") == [-2, 0, 2, 4, 6]


def test_numbers_have_a_true_minus_sign_and_no_minus_zero(evaluate):
    assert evaluate(None, "[-1.255, -0.001, 2].map((x) => base.text(x, 2))") == [
        "−1.25", "0.00", "2.00",
    ]  # fmt: skip


def test_a_link_is_that_of_its_figure_or_none(evaluate):
    links = ["#band:p=0.3&k=a%20b", "#band:", "#bands:p=0.3", "#band", ""]
    found = evaluate(None, "given.map((link) => base.fromLink('band', link))", links)
    assert found == [{"p": "0.3", "k": "a b"}, {}, None, None, None]


def test_a_state_has_no_controls_but_its_own(evaluate):
    control = {"key": "p", "type": "check", "value": False}
    tried = """[{toString: 1}, {rate: 1}, {p: true}].map((each) => {
      try { return base.state([given], each).get("p"); } catch (error) { return error.message; }
    })"""
    assert evaluate(None, tried, control) == [
        "no control toString; there are p", "no control rate; there are p", True,
    ]  # fmt: skip
