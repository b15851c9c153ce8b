"""Exercises of the book, whose answers are checked, and a wrong one is told why.

    >>> from dropout.exercises import exercise
    >>> q = exercise("03.1")  # doctest: +ELLIPSIS
    Exercise 03.1 · ...
    >>> q.check(...)
    Not attempted yet.

What is solved is remembered in one small file, which `$DROPOUT_STATE` can name.
"""

import importlib
import pkgutil

from dropout.exercises import state
from dropout.exercises.forms import Exercise, Result
from dropout.exercises.question import Question, show

__all__ = ["Progress", "Question", "Result", "exercise", "ids", "progress", "reset"]


def _chapters() -> dict[str, list[Exercise]]:
    """The exercises of each chapter, by its number."""
    names = sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name.startswith("chapter_"))
    return {
        name.removeprefix("chapter_"): importlib.import_module(f"{__name__}.{name}").EXERCISES
        for name in names
    }


def find(key: str) -> Exercise:
    """The exercise of a name, "03.2" or "3.2". Raises ValueError where there is none."""
    if not isinstance(key, str):  # as numbers, 3.1 and 3.10 are the same
        raise ValueError(f'an exercise is named by a text, such as "03.2", not by {key!r}')
    chapters = _chapters()
    number, _, rest = key.strip().partition(".")
    number = number.zfill(2)
    for each in chapters.get(number, []):
        if each.id == f"{number}.{rest}":
            return each
    there = (
        f"chapter {number} has {chapters[number][0].id} to {chapters[number][-1].id}"
        if number in chapters
        else f"there are those of chapters {', '.join(chapters)}"
    )
    raise ValueError(f"there is no exercise {key!r}; {there}")


def exercise(key: str) -> Question:
    """An exercise by its chapter and number, "03.2" or "3.2". Its question is shown.

    Raises ValueError where there is none of that name.
    """
    question = Question(find(key))
    show(question)
    return question


def ids() -> list[str]:
    """The names of all exercises, in the order of the chapters."""
    return [each.id for exercises in _chapters().values() for each in exercises]


def reset() -> None:
    """Forget what has been solved."""
    state.reset()


class Progress:
    """How far a reader is, chapter by chapter; `solved` has the names of what is solved."""

    def __init__(self, solved: set[str], tried: set[str], chapters: dict[str, list[str]]):
        self.solved, self._tried, self._chapters = solved, tried, chapters

    def __repr__(self) -> str:
        rows = []
        for chapter, keys in self._chapters.items():
            marks = "".join(
                "●" if key in self.solved else "◐" if key in self._tried else "○" for key in keys
            )
            rows.append(f"{chapter}  {marks:12}  {len(self.solved & set(keys))} of {len(keys)}")
        total = sum(map(len, self._chapters.values()))
        return "\n".join([*rows, f"{len(self.solved)} of {total} solved  (● solved, ◐ tried)"])


def progress() -> Progress:
    """What has been solved, as a small picture by chapter."""
    known = state.read()
    chapters = {number: [each.id for each in found] for number, found in _chapters().items()}
    names = {key for keys in chapters.values() for key in keys}
    solved = {key for key, row in known.items() if row.get("passed") is True} & names
    tried = {key for key, row in known.items() if row.get("attempts")} & names
    return Progress(solved, tried, chapters)
