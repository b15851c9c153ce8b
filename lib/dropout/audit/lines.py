"""Which line of the user's code runs."""

import inspect
import sys
from pathlib import Path

import torch

# Code whose lines are nobody's place: PyTorch's, this library's, and what checks its signatures.
LIBRARIES = tuple(
    str(Path(module.__file__).parent)
    for module in (torch, sys.modules["dropout"])
    if module.__file__
)
WRAPPERS = "/jaxtyping/", "/beartype/", "<@beartype", "<frozen", "contextlib.py"
OUTERMOST = "call_model"  # of `runs`: what calls that is the audit's


def user_line() -> tuple[str | None, str]:
    """The innermost line of code that is no library's, and the name of its function."""
    frame = inspect.currentframe()
    while frame is not None:
        name = frame.f_code.co_filename
        ours = name.startswith(LIBRARIES)
        if ours and frame.f_code.co_name == OUTERMOST:
            break
        if not ours and not any(part in name for part in WRAPPERS):
            return f"{Path(name).name}:{frame.f_lineno}", frame.f_code.co_name
        frame = frame.f_back
    return None, ""
