"""The cells of the exercises in the chapters' notebooks, made from `dropout.exercises`.

    python -m tests.exercises.cells [--check]

Puts the two cells of each exercise where they belong: a prediction before the figure that settles
it, the others, in order, at the end of the section "Exercises", which is made before "What to
remember" where there is none. What the cells print is stored with them; nbval compares it.
"""

import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from dropout.exercises import find, ids
from dropout.exercises.forms import Exercise
from dropout.exercises.question import Question
from tests.notebooks import normalise
from tests.notebooks.rules import EXERCISE

IMPORT = "from dropout.exercises import exercise\n\n"  # in each, for who begins there
HEADING = (
    "## Exercises\n\nAnswers are checked, and a wrong one is told why: in the page itself, or in a "
    "notebook by `q.check(answer)`, once the question's cell has run, which makes `q`. Hints and "
    "solutions are free, `q.hint()` and `q.solution()`. For teachers: {doc}`../book/teach`."
)
NEXT = "## What to remember"


def chapter(number: str) -> Path:
    """The notebook of a chapter."""
    return next(normalise.ROOT.glob(f"chapters/{number}_*.ipynb"))


def pair(exercise: Exercise) -> list[NotebookNode]:
    """The cell that asks, and the cell for the answer, with what they print."""
    asks, answers = f'{IMPORT}q = exercise("{exercise.id}")', exercise.start
    if exercise.reveals:  # in mid-chapter, where q is the keep probability
        asks, answers = f'{IMPORT}guess = exercise("{exercise.id}")', "guess.check(...)"
    prints = (
        new_output("display_data", {"text/plain": repr(Question(exercise))}),
        new_output("execute_result", {"text/plain": repr(exercise.judge(...))}),
    )
    name, tags = exercise.id.replace(".", "-"), {"tags": [EXERCISE]}
    return [
        new_code_cell(source, id=f"{name}-{part}", metadata=tags, outputs=[output])
        for part, source, output in zip(
            ("question", "answer"), (asks, answers), prints, strict=True
        )
    ]


def place(notebook: NotebookNode, exercises: list[Exercise]) -> list[NotebookNode]:
    """The notebook's cells with those of its exercises in their places."""
    cells = [cell for cell in notebook.cells if EXERCISE not in cell.metadata.get("tags", [])]
    if not any(HEADING in cell.source for cell in cells):
        at = next(k for k, cell in enumerate(cells) if NEXT in cell.source)
        before, _, after = cells[at].source.partition(NEXT)
        head = [before.strip(), HEADING] if before.strip() else [HEADING]
        cells[at : at + 1] = [
            new_markdown_cell("\n\n".join(head), id=cells[at].id),
            new_markdown_cell(NEXT + after, id=f"{exercises[0].id[:2]}-remember"),
        ]
    for each in exercises:
        cells[(at := _index(cells, each)) : at] = pair(each)
    return cells


def _index(cells: list[NotebookNode], exercise: Exercise) -> int:
    if exercise.reveals:
        return next(
            k
            for k, cell in enumerate(cells)
            if cell.metadata.get("mystnb", {}).get("figure", {}).get("name") == exercise.reveals
        )
    return next(k for k, cell in enumerate(cells) if cell.source.startswith(NEXT))


def with_exercises(path: Path) -> str:
    """A notebook's text with the cells of its exercises."""
    notebook = normalise.read(path)
    cells = place(notebook, [find(key) for key in ids() if key[:2] == path.name[:2]])
    return normalise.normal_text(nbformat.from_dict({**notebook, "cells": cells}))


def main() -> int:
    """Rewrite the notebooks; with --check only say which would change."""
    changed = []
    for number in sorted({key[:2] for key in ids()}):
        path = chapter(number)
        if (text := with_exercises(path)) != path.read_text("utf-8"):
            changed.append(path)
            if "--check" not in sys.argv:
                path.write_text(text, "utf-8")
    for path in changed:
        print(path.relative_to(normalise.ROOT))
    return int("--check" in sys.argv and bool(changed))


if __name__ == "__main__":
    sys.exit(main())
