"""What is solved is remembered: by several notebooks at once, whole or not, never fatally."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from dropout import exercises
from dropout.exercises import state
from dropout.exercises.question import Question


def question(key="03.1"):
    return Question(exercises.find(key))


def test_what_is_solved_stays_solved(kept):
    question().check(6)
    assert state.read()["03.1"] | {"message": ""} == {
        "attempts": 1,
        "passed": False,
        "message": "",
    }
    question().check(8)
    question().check(7)
    row = state.read()["03.1"]
    assert (row["attempts"], row["passed"]) == (3, True)
    assert exercises.progress().solved == {"03.1"}


def test_no_attempt_leaves_no_trace(kept):
    question().check(...)
    question().check(None)
    repr(exercises.progress())
    assert not kept.exists()


def test_hints_and_solutions_are_counted(kept):
    q = question()
    said = [str(q.hint()) for _ in range(4)]
    assert [text[:6] for text in said] == ["Hint 1", "Hint 2", "Hint 3", "There "]
    q.solution()
    assert state.read() == {"03.1": {"hints": 3, "solution": True}}


def test_it_is_forgotten_by_a_call(kept):
    question().check(8)
    exercises.reset()
    assert state.read() == {}
    assert not exercises.progress().solved


@pytest.mark.parametrize("text", ["", "{", "[]", '{"03.1": 3}', "\0", '"text"', "null"])
def test_a_damaged_file_is_set_aside(kept, text):
    kept.parent.mkdir()
    kept.write_text(text)
    with pytest.warns(UserWarning, match="is damaged"):
        assert question().check(8).passed
    assert kept.with_name("exercises.json.damaged").read_text() == text
    assert exercises.progress().solved == {"03.1"}


@pytest.mark.parametrize("row", [{"passed": "yes"}, {"attempts": "three"}, {"attempts": None}, {}])
def test_rows_of_another_make_are_lived_with(kept, row):
    kept.parent.mkdir()
    kept.write_text(json.dumps({"03.1": row, "99.9": {"passed": True}}))
    repr(exercises.progress())
    assert question().check(8).passed
    assert exercises.progress().solved == {"03.1"}


def test_a_place_that_cannot_be_written_costs_only_the_memory(kept, monkeypatch):
    kept.parent.write_text("a file where a folder should be")
    with pytest.warns(UserWarning, match="is not kept"):
        assert question().check(8).passed


def test_notebooks_that_write_at_once_lose_nothing(kept):
    work = "from dropout.exercises import state\n" + (
        "for k in range(20): state.record('03.1', attempts=1)"
    )

    def run(_):
        return subprocess.run([sys.executable, "-c", work], check=True)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))
    assert state.read()["03.1"]["attempts"] == 80
    assert {file.name for file in kept.parent.iterdir()} <= {kept.name, f"{kept.name}.lock"}


def test_the_picture():
    question("03.1").check(8)
    question("03.2").check(8)
    question("03.3").hint()
    *rows, total = repr(exercises.progress()).splitlines()
    row = next(row for row in rows if row.startswith("03"))
    assert row.startswith("03  ●◐○")
    assert f"1 of {len([key for key in exercises.ids() if key[:2] == '03'])}" in row
    assert total.startswith(f"1 of {len(exercises.ids())} solved")


def test_without_a_name_it_lies_where_such_things_do(monkeypatch, tmp_path):
    monkeypatch.delenv("DROPOUT_STATE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state.path() == tmp_path / "dropout-book/exercises.json"
