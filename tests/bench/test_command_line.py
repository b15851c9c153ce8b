"""`python -m dropout`: what it takes, what it refuses, and what it writes."""

import json

import pytest
import torch

from dropout import bench
from dropout.__main__ import main


@pytest.fixture
def asked(monkeypatch):
    """What would be timed or stored, with which settings."""
    found = []
    rows = [{"seconds": {}}]
    monkeypatch.setattr(
        bench, "run", lambda name, **settings: found.append((name, settings)) or rows
    )
    monkeypatch.setattr(bench, "store", lambda *arguments: found.append(arguments))
    return found


def test_without_a_name_all_that_takes_no_minutes_is_timed(asked):
    main(["bench"])
    assert [name for name, _ in asked] == ["masks", "family", "start", "steps"]


def test_subjects_are_timed_in_the_order_in_which_they_are_named_and_once(asked):
    main(["bench", "training", "masks", "training", "--sizes", "8", "--rates", "0.2", "1"])
    assert [name for name, _ in asked] == ["training", "masks"]
    settings = asked[1][1]
    assert (settings["sizes"], settings["rates"]) == ([8], [0.2, 1.0])
    assert settings["dtypes"] == ["float32", "bfloat16"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["speed"], "'speed' is none of masks, family, start, steps, bayes, theory, training"),
        (["--sizes", "0"], "--sizes: a size must be a whole number from 1, got '0'"),
        (["--sizes", "many"], "--sizes: a size must be a whole number from 1, got 'many'"),
        (["--rates", "2"], r"--rates: dropout probability p must be in [0, 1], got 2.0"),
        (["--rates", "half"], "--rates: could not convert string to float: 'half'"),
        (["--dtypes", "int8"], "--dtypes: invalid choice: 'int8'"),
        (["masks", "--store"], "--store: only bayes and theory are stored, name one of them"),
        (["--json", "/no/such/folder/a.json"], "--json: there is no folder /no/such/folder"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_timed(arguments, message, asked, capsys):
    with pytest.raises(SystemExit):
        main(["bench", *arguments])
    assert message in capsys.readouterr().err
    assert asked == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_asked_for_and_absent_is_said(asked, capsys):
    with pytest.raises(SystemExit):
        main(["bench", "--device", "cuda"])
    assert "--device cuda: PyTorch finds no CUDA device" in capsys.readouterr().err


def test_the_numbers_are_written_with_their_provenance(asked, tmp_path, capsys):
    path = tmp_path / "times.json"
    main(["bench", "family", "steps", "--json", str(path)])
    found = json.loads(path.read_text("utf-8"))
    assert found["family"] == found["steps"] == [{"seconds": {}}]
    source = found["provenance"]
    assert source["command"] == f"python -m dropout bench family steps --json {path}"
    assert source["threads"] == torch.get_num_threads()
    assert source["engines"]["cpu"].startswith(("Numba", "portable"))
    assert {"date", "machine", "versions"} <= source.keys()
    assert capsys.readouterr().out.count("command ") == 1


def test_only_what_is_stored_is_stored(asked):
    main(["bench", "masks", "theory", "--store"])
    assert asked[-1] == (
        "theory", [{"seconds": {}}], "python -m dropout bench masks theory --store",
    )  # fmt: skip
    assert [entry[0] for entry in asked] == ["masks", "theory", "theory"]


def test_help_names_every_subject(capsys):
    with pytest.raises(SystemExit):
        main(["bench", "--help"])
    printed = capsys.readouterr().out
    assert all(f"  {name}" in printed for name in bench.SUBJECTS)
    assert "without one: masks, family, start, steps" in " ".join(printed.split())


def test_info_says_which_engine_serves(capsys):
    main(["info"])
    printed = capsys.readouterr().out
    assert "engines     cpu " in printed
    assert f"torch {torch.__version__}" in printed
