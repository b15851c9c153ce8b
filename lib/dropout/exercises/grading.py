"""Mark filled-in notebooks with the same checks: `python -m dropout grade notebook.ipynb …`.

Each notebook runs in a process of its own, which is ended at a time limit. It is the students' code
that runs there, with the rights of who marks it.
"""

import contextlib
import csv
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from dropout.exercises import find, state

COLUMNS = ("notebook", "exercise", "title", "passed", "attempts", "hints", "message", "trouble")
ASKED = re.compile(r"""\bexercise\(\s*["']\s*(\d+\.\d+)\s*["']""")


def sources(notebook: Path) -> list[str]:
    """The code cells of a notebook. Raises ValueError, with the file's name, where it is none."""
    try:
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
        return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise ValueError("is no notebook") from None


def rows(notebook: Path, seconds: float) -> Iterator[dict[str, Any]]:
    """What each exercise of a notebook comes to, in the order in which it asks them.

    Last come those that its checks recorded and that it does not ask by name: asked in a loop, or
    a teacher's own.
    """
    empty = {"notebook": str(notebook), "passed": "no", "attempts": 0, "hints": 0}
    try:
        named = ASKED.findall("\n".join(sources(notebook)))
    except ValueError as error:
        yield empty | {"trouble": str(error)}
        return
    found, trouble = run(notebook, seconds)
    titles = dict(titled(key) for key in [*named, *found])
    if not titles:
        yield empty | {"trouble": trouble or "asks no exercise"}
    for key, title in titles.items():
        if not title and key not in found:
            yield empty | {"exercise": key, "trouble": "there is no such exercise"}
            continue
        row = found.get(key, {})
        yield empty | {
            "exercise": key,
            "title": title,
            "passed": "yes" if row.get("passed") else "no",
            "attempts": row.get("attempts", 0),
            "hints": row.get("hints", 0),
            "message": " ".join(str(row.get("message", "not attempted")).split()),
            "trouble": trouble,
        }


def titled(key: str) -> tuple[str, str]:
    """An exercise's name in full, and its title; as it is, and "", where the book has none."""
    try:
        exercise = find(key)
    except ValueError:
        return key, ""
    return exercise.id, exercise.title


def run(notebook: Path, seconds: float) -> tuple[state.State, str]:
    """Run a notebook; what its checks recorded, and what went wrong with the run, or ""."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "state.json"
        settings = {"DROPOUT_STATE": str(kept), "MPLBACKEND": "agg", "IPYTHONDIR": folder}
        process = subprocess.Popen(
            [sys.executable, "-m", "dropout.exercises.grading", str(notebook.absolute())],
            cwd=notebook.absolute().parent,
            env=os.environ | settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # no pipe, which a process that it starts could hold open
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            status = process.wait(seconds)
            trouble = f"ended with status {status}" if status else ""
        except subprocess.TimeoutExpired:
            trouble = f"stopped after {seconds:g} seconds"
        finally:
            end(process)
        found = state.parsed(kept) if kept.is_file() else {}
        return found or {}, trouble if found is not None else "its record is damaged"


def end(process: subprocess.Popen) -> None:
    """End a process, and what it has started where the system knows of it."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):  # all are gone
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def grade(notebooks: Iterable[Path], seconds: float, out: TextIO) -> None:
    """Write a table as CSV: a row for each exercise of each notebook."""
    table = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    table.writeheader()
    for notebook in notebooks:
        table.writerows(rows(notebook, seconds))
        out.flush()


def execute(notebook: Path) -> None:
    """Run the cells of a notebook in this process, and go on after one that raises."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance(colors="NoColor", history_load_length=0)
    for source in sources(notebook):
        shell.run_cell(source)


if __name__ == "__main__":
    execute(Path(sys.argv[1]))
