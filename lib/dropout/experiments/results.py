"""Stored results: a JSON file a study, with where its numbers come from."""

import json
import os
import platform
import sysconfig
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from dropout.kernels.engines import COMPILERS, serving

PACKAGES = "dropout-book", "numpy", "scipy", "numba", "torch", "triton"
THREADS = "OMP_", "MKL_", "KMP_", "NUMBA_"  # how the environment's settings of threads begin
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
    return replace(
        FOLDERS[0] / f"{name}.json", {"provenance": provenance(command, seeds), **results}
    )


def replace(path: Path, content: dict[str, Any]) -> Path:
    """Write JSON to a file in one step: whole, or the file is as it was."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    part.replace(path)
    return path


def provenance(command: str, seeds: Sequence[int]) -> dict[str, Any]:
    """What made a result: the command, its seeds, the date, and `surroundings`."""
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    return {"command": command, "date": date, "seeds": list(seeds)} | surroundings()


def surroundings() -> dict[str, Any]:
    """The versions, the machine, its threads and what governs them, and the engine that serves."""
    capability = torch.backends.cpu.get_cpu_capability()
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    versions["torch"] = torch.__version__  # its build too
    return {
        "versions": versions,
        "machine": f"{platform.machine()} ({capability}), {os.cpu_count()} cores",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
        "settings": {key: os.environ[key] for key in sorted(os.environ) if key.startswith(THREADS)},
        "engines": {device: serving(device) for device in COMPILERS},
    }
