"""How exercises come into the pages: the notebook's cells, the page's data."""

import json
import sys
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

from dropout.exercises import find, ids
from dropout.exercises.forms import Code, source_of

ROOT = Path(__file__).parents[2]
IN_PAGE = [key for key in ids() if isinstance(find(key), Code) and find(key).in_page]


@pytest.fixture(scope="module")
def parts():
    sys.path.insert(0, str(ROOT / "book"))
    yield __import__("exercise_parts")
    sys.path.remove(str(ROOT / "book"))


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ('q = exercise("03.2")', ["```{worked-exercise} 03.2\n```"]),
        ("guess = exercise('03.10')", ["```{worked-exercise} 03.10\n```"]),
        (
            'from dropout.exercises import exercise\n\nq = exercise("03.1")',
            ["```{worked-exercise} 03.1\n```"],
        ),
        ("answer = ...\nq.check(answer)", []),
    ],
)
def test_two_cells_become_one_directive(parts, source, shown):
    cell = new_code_cell(source, metadata={"tags": ["exercise"]})
    assert [each["source"] for each in parts.shown_as(cell)] == shown


@pytest.mark.parametrize(
    "cell", [new_markdown_cell('q = exercise("03.2")'), new_code_cell('q = exercise("03.2")')]
)
def test_other_cells_stay(parts, cell):
    assert parts.shown_as(cell) == [cell]


def test_no_text_ends_the_script_that_holds_it(parts):
    text = "</script><!-- <b>"
    script = parts.data_script({"a": text})
    inside = script.removeprefix('<script type="application/json">').removesuffix("</script>")
    assert "<" not in inside
    assert json.loads(inside) == {"a": text}


@pytest.mark.parametrize("key", ids())
def test_what_a_page_knows_of_an_exercise_is_json(parts, key):
    data = parts.page_data(find(key))
    assert json.loads(json.dumps(data, allow_nan=False)) == data


@pytest.mark.parametrize("key", IN_PAGE)
def test_a_check_needs_nothing_but_its_source(key):
    exercise = find(key)
    space = dict(vars(sys.modules["dropout.exercises.probes"]))
    exec(source_of(exercise.check), space)
    check = space[exercise.check.__name__]
    missing = [
        name
        for name in check.__code__.co_names
        if name in exercise.check.__globals__ and name not in space
    ]
    assert missing == []


def test_what_the_page_runs_imports_nothing_of_ours(parts):
    for source in parts.python_sources():
        assert "dropout" not in [
            line.split()[1].partition(".")[0]
            for line in source.splitlines()
            if line.startswith(("from ", "import "))
        ]


def test_the_interpreter_is_small():
    assert (ROOT / "book/static/vendor/micropython.js").stat().st_size < 310_000
