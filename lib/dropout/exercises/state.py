"""What a reader has solved: one small file, shared by all notebooks that are open.

`$DROPOUT_STATE` names another file. Nothing that happens to the file stops an exercise.
"""

import json
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

State = dict[str, dict[str, Any]]
WAIT = 5.0  # seconds for another notebook that writes


def path() -> Path:
    """Where the state is."""
    if named := os.environ.get("DROPOUT_STATE"):
        return Path(named).expanduser()
    home = os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()
    return Path(home) / "dropout-book" / "exercises.json"


def read() -> State:
    """The state; an empty one where there is none. A damaged file is set aside, with a word."""
    file = path()
    try:
        state = parsed(file)
    except FileNotFoundError:
        return {}
    except OSError as error:
        warnings.warn(f"what you have solved cannot be read: {error}", stacklevel=3)
        return {}
    if state is None:
        aside = file.with_name(f"{file.name}.damaged")
        try:
            file.replace(aside)
            warnings.warn(
                f"{file} is damaged: it is kept as {aside.name}, and a new one is begun",
                stacklevel=3,
            )
        except OSError as error:
            warnings.warn(f"{file} is damaged, and cannot be set aside: {error}", stacklevel=3)
        return {}
    return state


def parsed(file: Path) -> State | None:
    """What a file holds; None where that is no state. Raises OSError where it cannot be read."""
    try:
        state = json.loads(file.read_text("utf-8"))
    except ValueError:
        return None
    well_formed = isinstance(state, dict) and all(isinstance(row, dict) for row in state.values())
    return state if well_formed else None


def change(update: Callable[[State], None]) -> None:
    """Read, update and write the state while no other notebook does; whole or not at all."""
    file = path()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{file}.lock", timeout=WAIT):
            state = read()
            update(state)
            handle, part = tempfile.mkstemp(dir=file.parent, prefix=f"{file.name}.")
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump(state, stream, indent=1)
            Path(part).replace(file)
    except (OSError, Timeout) as error:
        warnings.warn(f"what you have solved is not kept: {error}", stacklevel=3)


def record(key: str, **facts: Any) -> None:
    """Note facts of one exercise: counts are added up, and what was true once stays true."""

    def update(state: State) -> None:
        row = state.setdefault(key, {})
        for name, value in facts.items():
            before = row.get(name)
            if isinstance(value, bool):
                value = value or before is True
            elif isinstance(value, int) and isinstance(before, int):
                value += before
            row[name] = value

    change(update)


def reset() -> None:
    """Forget everything."""
    change(State.clear)
