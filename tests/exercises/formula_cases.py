"""formula_cases.json: one table that holds Python and the pages' JavaScript to the same verdicts.

`values`: a formula, and what it means in Python (null where it has no value); `errors`: a text and
what it is told; `shown`: a number and its four digits; `judged`: exercises, with answers as text,
whether each passes, and the message.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

from dropout.exercises.forms import Choice, Exercise, Formula, Number, Wrong

CASES = json.loads(Path(__file__).with_name("formula_cases.json").read_text("utf-8"))
NAMES = ("p", "q", "n", "eta")
POINTS = [
    {"p": 0.1, "q": 0.9, "n": 3.0, "eta": 0.01},
    {"p": 0.25, "q": 0.75, "n": 7.0, "eta": 2.0},
    {"p": 0.7, "q": 0.3, "n": 1.0, "eta": 0.3},
]
KINDS: dict[str, type[Exercise]] = {"Number": Number, "Choice": Choice, "Formula": Formula}


def value_of(meaning: str | None, point: dict[str, float]) -> float | None:
    """What a formula should give at a point; None where it has no value."""
    return None if meaning is None else float(eval(meaning, {"math": math} | point))


def exercises() -> list[tuple[Exercise, list[tuple[str, bool, str]]]]:
    """The table's exercises, each with its answers."""
    found: list[tuple[Exercise, Any]] = []
    for case in CASES["judged"]:
        wrong = [Wrong(*each) for each in case["exercise"].get("wrong", ())]
        exercise = KINDS[case["kind"]](**case["exercise"] | {"wrong": wrong})
        found.append((exercise, case["answers"]))
    return found


def for_page() -> dict[str, Any]:
    """The table as COMPARE takes it, with the exercises as the pages have them."""
    sys.path.append(str(Path(__file__).parents[2] / "book"))
    try:
        from exercise_parts import page_data
    finally:
        sys.path.pop()
    return {
        "values": [[text, [value_of(m, point) for point in POINTS]] for text, m in CASES["values"]],
        "errors": CASES["errors"],
        "shown": CASES["shown"],
        "judged": [[page_data(exercise), answers] for exercise, answers in exercises()],
        "names": NAMES,
        "points": POINTS,
    }


# What the page's script finds otherwise than the table says.
COMPARE = """
function compared({ values, errors, shown, judged, names, points }) {
  const found = [];
  for (const [text, wanted] of values) {
    const tree = formulas.parse(text, names);
    points.forEach((point, k) => {
      const value = formulas.evaluate(tree, point);
      const same = wanted[k] === null ? Number.isNaN(value) : formulas.same(value, wanted[k]);
      if (!same) found.push([text, value, wanted[k]]);
    });
  }
  for (const [text, message] of errors) {
    let said = "no error";
    try {
      formulas.parse(text, names);
    } catch (error) {
      said = error.message;
    }
    if (said !== message) found.push([text, said, message]);
  }
  for (const [value, text] of shown) {
    const said = formulas.shown(value);
    if (said !== text) found.push([value, said, text]);
  }
  for (const [asked, answers] of judged) {
    for (const [answer, passed, message] of answers) {
      const result = formulas.judge(asked, answer);
      if (result.passed !== passed || result.message !== message)
        found.push([answer, result.message, message]);
    }
  }
  return found;
}
"""
