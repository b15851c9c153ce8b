"""Three filled-in notebooks are marked, and what cannot be marked is said."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from nbformat import writes
from nbformat.v4 import new_code_cell, new_notebook

from dropout.__main__ import main

RIGHT = "def dropout(x, p):\n    import random\n    q = 1 - p\n" + (
    "    return [v / q if random.random() < q else 0.0 for v in x]\nq.check(dropout)"
)
IMPORT = "from dropout.exercises import exercise\n"


def notebook(path, *cells):
    path.write_text(writes(new_notebook(cells=[new_code_cell(c) for c in cells])), "utf-8")
    return path


@pytest.fixture
def marked(tmp_path, capsys):
    def mark(*notebooks, seconds=60):
        main(["grade", *map(str, notebooks), "--seconds", str(seconds)])
        return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))

    return mark


def test_a_class(marked, tmp_path, kept):
    good = notebook(
        tmp_path / "good, one.ipynb",
        IMPORT + 'q = exercise("03.1")', "q.check(6)\nq.check(8)",
        "q = exercise('03.6')", RIGHT,
    )  # fmt: skip
    bad = notebook(
        tmp_path / "bad.ipynb",
        IMPORT + 'q = exercise("03.1")', "q.hint(); q.check(6)",
        "1 / 0", "%matplotlib inline", "input()",
        'q = exercise("03.3")', "answer = ...\nq.check(answer)",
        'q = exercise("03.99")',
    )  # fmt: skip
    endless = notebook(
        tmp_path / "endless.ipynb",
        IMPORT + 'q = exercise("03.1")', "q.check(8)", "while True: pass",
        'q = exercise("03.2")', "q.check(1)",
    )  # fmt: skip
    rows = marked(good, bad, endless, seconds=20)
    facts = [(row["exercise"], row["passed"], row["attempts"], row["hints"]) for row in rows]
    assert facts == [
        ("03.1", "yes", "2", "0"), ("03.6", "yes", "1", "0"),
        ("03.1", "no", "1", "1"), ("03.3", "no", "0", "0"), ("03.99", "no", "0", "0"),
        ("03.1", "yes", "1", "0"), ("03.2", "no", "0", "0"),
    ]  # fmt: skip
    assert {row["notebook"] for row in rows} == {str(good), str(bad), str(endless)}
    assert "vanilla dropout" in rows[2]["message"]
    assert rows[3]["message"] == "not attempted"
    assert [row["trouble"] for row in rows[2:]] == [
        *["", ""], "there is no such exercise", *["stopped after 20 seconds"] * 2,
    ]  # fmt: skip
    assert not kept.exists(), "a student's notebook wrote into the marker's own state"


def test_what_is_no_notebook_is_said(marked, tmp_path):
    broken = tmp_path / "broken.ipynb"
    broken.write_text("{")
    empty = notebook(tmp_path / "empty.ipynb")
    rows = marked(broken, tmp_path / "missing.ipynb", empty)
    assert [row["trouble"] for row in rows] == [
        "is no notebook",
        "cannot be read: No such file or directory",
        "asks no exercise",
    ]


def test_what_is_not_asked_by_its_name_in_full(marked, tmp_path):
    own = 'Number(id="own", title="", trains="", question="", hints=[], solution="", answer=1.0)'
    book = notebook(
        tmp_path / "a.ipynb",
        IMPORT + 'q = exercise("3.1")', "q.check(8)",
        'for key in ("03.1", "03.2"):\n    exercise(key).check(8)',
        "from dropout.exercises import Question\nfrom dropout.exercises.forms import Number",
        f"Question({own}).check(1)",
    )  # fmt: skip
    rows = marked(book)
    assert [(row["exercise"], row["passed"], row["trouble"]) for row in rows] == [
        ("03.1", "yes", ""), ("03.2", "no", ""), ("own", "yes", ""),
    ]  # fmt: skip


def test_a_record_that_a_notebook_spoils_costs_no_other_its_row(marked, tmp_path):
    spoils = notebook(
        tmp_path / "spoils.ipynb",
        IMPORT + 'q = exercise("03.2")',
        "import os, pathlib\npathlib.Path(os.environ['DROPOUT_STATE']).write_text('[1')",
    )
    good = notebook(tmp_path / "good.ipynb", IMPORT + 'q = exercise("03.1")', "q.check(8)")
    rows = marked(spoils, good)
    assert [(row["passed"], row["trouble"]) for row in rows] == [
        ("no", "its record is damaged"), ("yes", ""),
    ]  # fmt: skip


def test_what_a_notebook_starts_is_ended_with_it(marked, tmp_path):
    starts = notebook(
        tmp_path / "starts.ipynb",
        IMPORT + 'q = exercise("03.1")',
        "q.check(8)",
        "import subprocess\nchild = subprocess.Popen(['sleep', '1000'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))",
        "child.wait()",
    )
    rows = marked(starts, seconds=15)
    assert (rows[0]["passed"], rows[0]["trouble"]) == ("yes", "stopped after 15 seconds")
    pid = int((tmp_path / "pid").read_text())
    stat = Path(f"/proc/{pid}/stat")
    assert not stat.exists() or stat.read_text().split()[2] == "Z"


def test_the_table_goes_into_a_file(tmp_path):
    target = tmp_path / "marks.csv"
    book = notebook(tmp_path / "one.ipynb", IMPORT + 'q = exercise("03.2")', "q.check('1.6')")
    done = subprocess.run(
        [sys.executable, "-m", "dropout", "grade", book, "--csv", target], capture_output=True
    )
    assert (done.returncode, done.stdout) == (0, b"")
    assert json.dumps(target.read_text()).count("yes") == 1


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_limit_that_is_none(seconds, capsys):
    with pytest.raises(SystemExit):
        main(["grade", "a.ipynb", "--seconds", seconds])
    assert "a limit must be a number of seconds" in capsys.readouterr().err


def test_a_folder_that_is_not_there(capsys, tmp_path):
    with pytest.raises(SystemExit):
        main(["grade", "a.ipynb", "--csv", str(tmp_path / "no/marks.csv")])
    assert "there is no folder" in capsys.readouterr().err
