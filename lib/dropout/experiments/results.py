"""Stored results: a JSON file a study, with where its numbers come from."""

import json
import os
import platform
import sysconfig
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

# In a checkout, and where an installed copy keeps them.
FOLDERS = (
    Path(__file__).parents[3] / "book" / "results",
    Path(sysconfig.get_path("data")) / "share" / "dropout-book" / "results",
)


def read(name: str) -> dict[str, Any]:
    """The stored results of a study, with its "provenance".

    Raises FileNotFoundError, which names the results there are, where there is none of that name.
    """
    for folder in FOLDERS:
        if (path := folder / f"{name}.json").is_file():
            return json.loads(path.read_text("utf-8"))
    known = sorted({path.stem for folder in FOLDERS for path in folder.glob("*.json")})
    raise FileNotFoundError(f"no stored results {name!r}; there are {', '.join(known) or 'none'}")


def write(name: str, command: str, seeds: Sequence[int], **results: Any) -> Path:
    """Store results under book/results/ with their provenance, in one step; where they went."""
    path = FOLDERS[0] / f"{name}.json"
    text = json.dumps({"provenance": provenance(command, seeds), **results}, indent=1)
    part = path.with_suffix(".json.part")
    part.write_text(text + "\n", "utf-8")
    part.replace(path)
    return path


def provenance(command: str, seeds: Sequence[int]) -> dict[str, Any]:
    """What made a result: the command, its seeds, the date, versions and the machine."""
    return {
        "command": command,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "seeds": list(seeds),
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in ("numpy", "torch")},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
    }
