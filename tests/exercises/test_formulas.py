"""Formulas and numbers that readers type: the table of cases, in Python and in Node where found."""

import json
import math
import shutil
import subprocess
from pathlib import Path

import pytest

from dropout.exercises import formulas
from dropout.exercises.probes import shown
from tests.exercises.formula_cases import (
    CASES,
    COMPARE,
    NAMES,
    POINTS,
    exercises,
    for_page,
    value_of,
)

ROOT = Path(__file__).parents[2]
JUDGED = [(exercise, *case) for exercise, cases in exercises() for case in cases]


@pytest.mark.parametrize(("text", "meaning"), CASES["values"])
def test_a_formula_has_the_value_that_is_meant(text, meaning):
    tree = formulas.parse(text, NAMES)
    for point in POINTS:
        value, wanted = formulas.evaluate(tree, point), value_of(meaning, point)
        if wanted is None:
            assert math.isnan(value)
        else:
            assert value == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(("text", "message"), CASES["errors"])
def test_what_is_no_formula_is_told_why(text, message):
    with pytest.raises(formulas.FormulaError) as caught:
        formulas.parse(text, NAMES)
    assert str(caught.value) == message


@pytest.mark.parametrize(("value", "text"), CASES["shown"])
def test_a_number_has_four_digits(value, text):
    assert shown(float(value)) == text


@pytest.mark.parametrize(("exercise", "answer", "passed", "message"), JUDGED)
def test_an_answer_is_told_what_the_table_says(exercise, answer, passed, message):
    result = exercise.judge(answer)
    assert (result.passed, result.message) == (passed, message)


def test_the_pages_script_says_the_same():
    """The browser's tests try the same in the page."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node")
    script = (ROOT / "book/static/formulas.js").read_text("utf-8") + COMPARE
    script += f"console.log(JSON.stringify(compared({json.dumps(for_page())})));"
    done = subprocess.run([node, "-"], input=script, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
