"""What all tests share: a seed, a plotting backend, and a word on the versions they run with.

Without a GPU, Triton's interpreter stands in for one: it must be asked for before anything imports
Triton, as PyTorch's compiler does.
"""

import os
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import matplotlib as mpl
import pytest
import torch
from hypothesis import settings

REQUIREMENTS = Path(__file__).parent.parent / "requirements.txt"
PIN = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)

mpl.use("agg")
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")
settings.register_profile("deterministic", derandomize=True, deadline=None, database=None)
settings.load_profile("deterministic")


def differences_from_pins(requirements: str) -> list[str]:
    """What differs here from the pins in `requirements`, as "numpy 2.4.1 (pinned 2.4.6)".

    A local version such as 2.13.0+cpu is another build of the same release, and equal to it.
    """
    found = []
    for name, pinned in PIN.findall(requirements):
        try:
            installed = version(name)
        except PackageNotFoundError:
            installed = "missing"
        if installed.partition("+")[0] != pinned:
            found.append(f"{name} {installed} (pinned {pinned})")
    return found


def pytest_report_header() -> str:
    found = differences_from_pins(REQUIREMENTS.read_text())
    return "versions: " + (", ".join(found) or "as pinned in requirements.txt")


@pytest.fixture(autouse=True)
def _seed():
    # No test's draws depend on which tests ran before it in the same worker.
    torch.manual_seed(0)
