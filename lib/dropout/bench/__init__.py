"""Times of the library beside its rivals': `python -m dropout bench`.

A file a subject. Each has `run`, which prints a table as it comes and returns the rows, plain data,
and `table`, which says what a row says.
"""

from importlib import import_module
from typing import Any, NamedTuple

import torch


class Subject(NamedTuple):
    """What can be timed."""

    about: str
    takes: tuple[str, ...] = ()  # of the settings
    asked: bool = False  # only when named, since it takes minutes
    stored: bool = False  # in book/results, where a chapter prints it


SUBJECTS = {
    "masks": Subject(
        "dropout of tensors, beside PyTorch's ways to drop", ("device", "sizes", "dtypes", "rates")
    ),
    "family": Subject("each variant, beside what others have for it", ("device",)),
    "start": Subject("import and first call in a fresh process, beside import torch"),
    "steps": Subject(
        "training steps with the library's layers, torch.nn's and without dropout",
        ("device", "dtypes"),
    ),
    "bayes": Subject("100 samples of MC dropout, beside the loop", asked=True, stored=True),
    "theory": Subject("a million sub-networks in three ways", asked=True, stored=True),
    "training": Subject("64 networks in one sweep, beside one after the other", asked=True),
}
STORED = [name for name, subject in SUBJECTS.items() if subject.stored]
UNASKED = [name for name, subject in SUBJECTS.items() if not subject.asked]
SEED = 1


def run(name: str, **settings: Any) -> list[dict[str, Any]]:
    """Time a subject, with those of the settings that it takes; its rows."""
    subject = import_module(f"{__name__}.{name}")
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        return subject.run(**{key: settings[key] for key in SUBJECTS[name].takes})


def store(name: str, rows: list[dict[str, Any]], command: str) -> None:
    """Keep what `run` returned for one of `STORED` in book/results, from where a chapter prints it;
    `command` is what was run."""
    import_module(f"{__name__}.{name}").store(rows, command)
