"""The benchmark's tables, with times of one's own: what is run, what is missing, what is said."""

import pytest
import torch

from dropout import bench
from dropout.__main__ import main


@pytest.fixture
def times(monkeypatch):
    """Times that are known: each function runs once, and takes a microsecond more than the last."""

    def measure(functions, device):
        for function in functions.values():
            function()
        numbers = ("median", "least", "greatest")
        return {name: dict.fromkeys(numbers, n * 1e-6) for n, name in enumerate(functions, start=1)}

    monkeypatch.setattr(bench, "measure", measure)


def test_the_family_runs_and_says_how_many_times_ours_each_of_the_others_takes(times, capsys):
    rows = bench.family("cpu")
    printed = capsys.readouterr().out
    assert "F.dropout2d 2.0 2.0 2.0 2.00" in " ".join(printed.split())
    assert all("ours" in row["seconds"] and row["variant"] in printed for row in rows)
    for row in rows:
        for name, reason in row["missing"].items():
            assert name not in row["seconds"]
            assert f"{name}: {reason}" in printed


def test_a_library_that_is_not_there_is_named():
    with pytest.raises(ImportError, match="No module named 'no_such_library'"):
        bench.other("no_such_library.layers.drop")()


def test_dropout_is_compared_at_each_size_type_and_rate(times, capsys):
    rows = bench.bench([64, 100], ["float32", "float64"], [0.5], "cpu")
    settings = [(row["dtype"], row["size"]) for row in rows]
    assert settings == [(d, n) for d in ("float32", "float64") for n in (64, 100)]
    assert "float64, 100 elements, p = 0.5" in capsys.readouterr().out
    assert {"copy", "ours", "F.dropout", "compiled F.dropout"} <= set(rows[0]["seconds"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_asked_for_and_absent_is_said(capsys):
    with pytest.raises(SystemExit):
        main(["bench", "--device", "cuda"])
    assert "--device cuda: PyTorch finds no CUDA device" in capsys.readouterr().err
