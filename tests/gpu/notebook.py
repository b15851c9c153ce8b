"""Execute a notebook's code cells with PyTorch's tensors on a device, and no Jupyter.

    python -m tests.gpu.notebook NOTEBOOK DEVICE REPORT

What its cells print is compared with what is stored, and REPORT, a JSON file, says what differs.
"""

import json
import os
import re
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from time import perf_counter

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_map_only

SETTINGS = Path(__file__).parents[1] / "notebooks/sanitise.cfg"
SANITISER = re.findall(r"^regex: (.*)\nreplace: (.*)$", SETTINGS.read_text(), re.MULTILINE)
# Tensors are made by the CPU and then moved, random numbers are drawn by it: both are what they are
# on a machine without a GPU. Who reads a tensor, to print it or for NumPy, gets it from the CPU.
MADE = (
    (torch, "arange as_tensor asarray empty eye from_numpy full linspace logspace ones"),
    (torch, "scalar_tensor tensor tril_indices triu_indices zeros"),
    (torch, "bernoulli multinomial normal poisson rand randint randn randperm"),
    (torch, "rand_like randint_like randn_like"),
    (F, "alpha_dropout dropout dropout1d dropout2d dropout3d feature_alpha_dropout"),
)
DRAWN_IN_PLACE = (Tensor, "bernoulli_ exponential_ normal_ random_ uniform_")
READ = (Tensor, "__array__ __repr__ numpy")


def made(function: Callable, device: str) -> Callable:
    """The function run by the CPU, its result moved: to where its argument was, or the device."""

    def moved(*args, **kwargs):
        places = [a.device for a in args if isinstance(a, Tensor)]
        place = kwargs.pop("device", None) or (places[0] if places else device)
        leaf = kwargs.pop("requires_grad", False)
        args, kwargs = tree_map_only(Tensor, Tensor.cpu, (args, kwargs))
        out = function(*args, **kwargs).to(place)
        return out.requires_grad_() if leaf else out

    return moved


def drawn_in_place(function: Callable) -> Callable:
    """The method run by the CPU, its numbers copied into the tensor."""
    return lambda x, *args, **kwargs: x.copy_(function(x.detach().cpu(), *args, **kwargs))


def read(function: Callable) -> Callable:
    """The method of the tensor's copy on the CPU."""
    return lambda x, *args, **kwargs: function(x.cpu(), *args, **kwargs)


def put_tensors_on(device: str) -> None:
    """Have PyTorch make its tensors on a device, for the rest of this process."""
    for owner, names in MADE:
        for name in names.split():
            setattr(owner, name, made(getattr(owner, name), device))
    for wrapper, (owner, names) in ((drawn_in_place, DRAWN_IN_PLACE), (read, READ)):
        for name in names.split():
            setattr(owner, name, wrapper(getattr(owner, name)))


def sanitise(text: str) -> str:
    """The text without what differs from run to run, as nbval compares it."""
    for pattern, replacement in SANITISER:
        text = re.sub(pattern, replacement, text)
    return text


def execute(source: str, namespace: dict) -> tuple[str, str | None]:
    """What a cell prints, and its error if it has one."""
    printed, error = StringIO(), None
    try:
        with redirect_stdout(printed):
            exec(compile(source, "<cell>", "exec"), namespace)
    except Exception as fault:
        error = f"{type(fault).__name__}: {fault}"
    plt.close("all")
    return sanitise(printed.getvalue()), error


def compare(path: Path) -> dict:
    """A notebook's report: its cells but for exercises are run in turn, up to the first error."""
    cells = [
        cell
        for cell in json.loads(path.read_text("utf-8"))["cells"]
        if cell["cell_type"] == "code" and "exercise" not in cell["metadata"].get("tags", [])
    ]
    begin, namespace, differences = perf_counter(), {"__name__": "__main__"}, []
    for number, cell in enumerate(cells, start=1):
        tags = cell["metadata"].get("tags", [])
        outputs = [o for o in cell["outputs"] if o.get("name") == "stdout"]
        stored = sanitise("".join(text for o in outputs for text in o["text"]))
        printed, error = execute("".join(cell["source"]), namespace)
        if "raises-exception" in tags:
            error = None if error else "no error, where one is due"
        if error or (printed != stored and "nbval-ignore-output" not in tags):
            differences.append({"cell": number, "stored": stored, "printed": printed})
        if error:
            differences[-1]["error"] = error
            break
    seconds = round(perf_counter() - begin, 1)
    return {"cells": len(cells), "run": number, "seconds": seconds, "differences": differences}


if __name__ == "__main__":
    notebook, device, report = sys.argv[1:]
    notebook, report = Path(notebook).resolve(), Path(report).resolve()
    os.chdir(notebook.parent)
    plt.switch_backend("agg")
    put_tensors_on(device)
    warnings.filterwarnings("ignore", "FigureCanvasAgg is non-interactive")
    report.write_text(json.dumps(compare(notebook)))
