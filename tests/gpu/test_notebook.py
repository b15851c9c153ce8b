"""The check's own eyes: it sees a printed difference, an error, and that there is no GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


def python(*arguments):
    settings = {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_WAIT_POLICY": "PASSIVE"}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True, text=True, cwd=ROOT, env=os.environ | settings, check=False,
    )  # fmt: skip


def cell(source, stored="", *tags):
    output = {"output_type": "stream", "name": "stdout", "text": stored.splitlines(keepends=True)}
    return {
        "cell_type": "code",
        "metadata": {"tags": list(tags)},
        "source": source,
        "outputs": [output] if stored else [],
    }


def compared(folder, *cells):
    path, report = folder / "a.ipynb", folder / "report.json"
    path.write_text(json.dumps({"cells": cells}))
    done = python("-m", "tests.gpu.notebook", path, "cpu", report)
    assert done.returncode == 0, done.stderr
    return json.loads(report.read_text())


def test_what_prints_otherwise_is_listed_and_the_rest_is_run(tmp_path):
    report = compared(
        tmp_path,
        cell("x = 2\nprint(x)\nprint('took 3 ms')", "2\ntook <time>\n"),
        cell("print(x)", "3\n"),
        cell("print(x)", "4\n", "nbval-ignore-output"),
        cell("1 / 0", "", "raises-exception"),
        cell("x", "", "raises-exception"),
    )
    assert (report["cells"], report["run"]) == (5, 5)
    assert report["differences"] == [
        {"cell": 2, "stored": "3\n", "printed": "2\n"},
        {"cell": 5, "stored": "", "printed": "", "error": "no error, where one is due"},
    ]


def test_an_error_ends_the_notebook_and_is_named(tmp_path):
    report = compared(tmp_path, cell("print(1)\nassert False, 'why'"), cell("print(2)", "2\n"))
    assert (report["cells"], report["run"]) == (2, 1)
    assert report["differences"] == [
        {"cell": 1, "stored": "", "printed": "1\n", "error": "AssertionError: why"}
    ]


def test_the_cells_of_exercises_are_left_out(tmp_path):
    report = compared(tmp_path, cell("1 / 0", "", "exercise"), cell("print(2)", "2\n"))
    assert (report["cells"], report["run"], report["differences"]) == (1, 1, [])


def test_tensors_made_in_any_way_draw_what_a_plain_process_draws(tmp_path):
    code = """
import numpy as np, torch
torch.manual_seed(1)
layer, x = torch.nn.Linear(2, 2), torch.randn(3, 2, requires_grad=True)
layer(torch.nn.functional.dropout(x, 0.5)).sum().backward()
print(x.grad, layer.weight, torch.randperm(5), torch.empty(3).uniform_())
print(np.asarray(x.detach()), x.detach().numpy().sum(), torch.from_numpy(np.ones(2)), x.is_leaf)
"""
    stored = python("-c", code).stdout
    assert "True" in stored
    assert compared(tmp_path, cell(code, stored))["differences"] == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_without_a_gpu_the_check_says_so_and_writes_nothing():
    results = ROOT / "book/results"
    before = sorted(results.glob("*"))
    done = python("-m", "tests.gpu.check")
    assert done.returncode == 1
    assert done.stderr.startswith("--device cuda: PyTorch finds no CUDA device")
    assert sorted(results.glob("*")) == before
