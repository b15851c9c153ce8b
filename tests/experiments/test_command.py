"""`python -m dropout experiment`: what it prints, writes, and says of a wrong word."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from dropout.__main__ import main
from dropout.experiments import command
from dropout.experiments.store import Store
from dropout.experiments.study import find, names
from tests.experiments import tiny

NAME = "tests.experiments.tiny:STUDY"


def ran(*arguments: str) -> int:
    """The exit status."""
    with pytest.raises(SystemExit) as end:
        main(["experiment", *arguments])
    return end.value.code


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A store in which all but the last two runs of the tiny study are finished."""
    path = tmp_path_factory.mktemp("store") / "runs.sqlite"
    with Store(path) as store:
        while len(store.finished(tiny.STUDY, "cpu")) < 9:
            finished = list(store.finished(tiny.STUDY, "cpu").values())
            keys = {tiny.STUDY.key(each, "cpu"): each for each in tiny.STUDY.plan(finished)}
            key = store.claim(list(keys))
            store.add(key, tiny.STUDY, tiny.done(keys[key]))
    return path


def test_list_names_every_study(capsys, tmp_path):
    assert ran("list", "--store", str(tmp_path / "runs.sqlite")) == 0
    out = capsys.readouterr().out
    for name in names():
        assert f"{name}: 0 of " in out
        assert find(name).beside in out


def test_show_says_how_far_a_study_is_and_what_it_found(capsys, filled):
    assert ran("show", NAME, "--store", str(filled)) == 0
    first, *_, table = capsys.readouterr().out.split("\n", 4)
    assert first.startswith("tiny: 9 of 11 runs are finished, ")
    arms = json.loads(table)["arms"]
    assert len(arms["one"]["test"]["loss"]["values"]) == 3
    assert len(arms["two"]["test"]["loss"]["values"]) == 1


def test_who_reads_may_leave_at_any_time(tmp_path):
    command = [sys.executable, "-m", "dropout", "experiment", "list"]
    store = ["--store", str(tmp_path / "runs.sqlite")]
    with subprocess.Popen(command + store, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        run.stdout.close()
        assert run.stderr.read() == b""
    assert run.returncode == 1


def test_export_writes_what_was_found_and_where_it_comes_from(capsys, filled, tmp_path):
    to = tmp_path / "tiny.json"
    assert ran("export", NAME, "--store", str(filled), "--to", str(to)) == 0
    found = json.loads(to.read_text("utf-8"))
    assert found["runs"] == {"finished": 9, "planned": 11, "complete": False}
    assert found["provenance"]["command"] == f"python -m dropout experiment run {NAME}"
    assert found["provenance"]["seeds"] == [0, 1, 2, 3, 9]
    assert found["provenance"]["machine"] == "here"
    assert found["provenance"]["device"] == "cpu"
    assert found["check"]["settings"]["stage"] == "check"
    assert found["check"]["result"].keys() == {"train", "test"}


def test_runs_of_a_point_that_is_no_longer_chosen_are_not_told_of(capsys, tmp_path):
    """A better point is tried after the final runs of the one that was chosen before it."""
    path, wider = tmp_path / "runs.sqlite", "tests.experiments.tiny:WIDER"
    with Store(path) as store:
        for _ in range(2):
            finished = list(store.finished(tiny.STUDY, "cpu").values())
            for settings in tiny.STUDY.plan(finished):
                store.add(tiny.STUDY.key(settings, "cpu"), tiny.STUDY, tiny.done(settings))
        for settings in tiny.WIDER.plan(list(store.finished(tiny.STUDY, "cpu").values())):
            if settings["stage"] != "final":
                store.add(tiny.WIDER.key(settings, "cpu"), tiny.WIDER, tiny.done(settings))
    assert ran("show", NAME, "--store", str(path)) == 0
    assert "tiny: 11 of 11 runs" in capsys.readouterr().out
    assert ran("show", wider, "--store", str(path)) == 0
    first, *_, table = capsys.readouterr().out.split("\n", 4)
    assert first.startswith("tiny: 7 of 13 runs")
    assert json.loads(table)["arms"]["one"]["chosen"]["point"] == {"lr": 0.9}
    assert json.loads(table)["arms"]["one"]["test"]["loss"]["values"] == []


def test_nothing_is_exported_of_a_study_that_was_never_run(capsys, tmp_path):
    to = tmp_path / "tiny.json"
    assert ran("export", NAME, "--store", str(tmp_path / "s.sqlite"), "--to", str(to)) == 1
    assert "nothing of tiny is finished yet" in capsys.readouterr().err
    assert not to.exists()


@pytest.fixture
def results(monkeypatch, tmp_path):
    """The folder of the book's results; the study "rate" is the tiny one."""
    folder = tmp_path / "results"
    monkeypatch.setattr(command, "FOLDERS", (folder,))
    monkeypatch.setattr(command, "find", lambda name: tiny.STUDY)
    return folder


@pytest.mark.parametrize(
    ("finished", "complete", "replaced"),
    [(11, True, False), (10, False, False), (9, False, True), (8, False, True)],
)
def test_the_book_s_results_are_replaced_by_none_that_are_less_complete(
    capsys, filled, results, finished, complete, replaced
):
    results.mkdir()
    path = results / "rate.json"
    there = {"runs": {"finished": finished, "planned": 11, "complete": complete}}
    path.write_text(json.dumps(there), "utf-8")
    assert ran("export", "rate", "--store", str(filled)) == 1 - replaced
    found = json.loads(path.read_text("utf-8"))
    assert found["runs"]["finished"] == (9 if replaced else finished)
    assert replaced or f"{finished} of 11 runs, and 9 of 11 are" in capsys.readouterr().err


def test_a_study_of_one_s_own_leaves_the_book_s_results_alone(capsys, filled, results):
    assert ran("export", NAME, "--store", str(filled)) == 1
    assert f"{NAME} is a study of your own: name a file" in capsys.readouterr().err
    assert not results.exists()


@pytest.mark.parametrize("to", [(), ("--to", "/proc/nowhere/tiny.json")])
def test_where_results_cannot_be_written_another_file_is_asked_for(capsys, filled, results, to):
    assert ran("export", "rate", "--store", str(filled), *to) == 1
    assert "cannot be written" in (said := capsys.readouterr().err)
    assert "name another by --to" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "averaging"), "no study 'averaging'; did you mean 'averaging_samples'?"),
        (("show", "xyz"), "no study 'xyz'; there are "),
        (("run", NAME, "--arms", "onee"), "study tiny has no arm 'onee'; did you mean 'one'?"),
        (("run", NAME, "--arms", "xyz"), "no arm 'xyz'; there are one, two"),
        (("show", "xyz"), "(your own is module:attribute)"),
        (("show", ":STUDY"), "no study ':STUDY'; there are "),
        (("show", ".x:STUDY"), "no study '.x:STUDY'; there are "),
        (("show", "nowhere.at_all:STUDY"), "no study 'nowhere.at_all:STUDY': No module named"),
        (("show", "lacking:STUDY"), "'lacking:STUDY' cannot be imported: No module named 'xyz'"),
        (("show", "tests.experiments.tiny:train"), "'tests.experiments.tiny:train' is no study"),
    ],
)
def test_a_wrong_word_is_named_with_the_near_ones(capsys, tmp_path, monkeypatch, arguments, said):
    (tmp_path / "lacking.py").write_text("import xyz", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert ran(*arguments, "--store", str(tmp_path / "runs.sqlite")) == 1
    assert said in capsys.readouterr().err


def test_what_is_wrong_in_a_study_is_not_taken_for_a_wrong_word(monkeypatch, tmp_path):
    faulty = replace(tiny.STUDY, runs=lambda finished: {}["validation"])
    monkeypatch.setattr(command, "find", lambda name: faulty)
    with pytest.raises(KeyError, match="validation"):
        main(["experiment", "show", NAME, "--store", str(tmp_path / "runs.sqlite")])


def test_without_a_home_a_store_is_asked_for_by_what_needs_one(capsys, monkeypatch, tmp_path):
    def nowhere(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("DROPOUT_RUNS", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr("pathlib.Path.expanduser", nowhere)
    main(["info"])
    assert ran("list", "--store", str(tmp_path / "runs.sqlite")) == 0
    capsys.readouterr()
    assert ran("list") == 1
    assert "name a file by --store or DROPOUT_RUNS" in capsys.readouterr().err


def test_a_gpu_is_asked_for_by_runs_on_this_machine_alone(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    elsewhere = "--device", "cuda", "--store", str(tmp_path / "runs.sqlite")
    assert ran("show", NAME, *elsewhere) == 0
    assert ran("list", *elsewhere) == 0
    assert ran("run", NAME, *elsewhere) == 2
    assert "PyTorch finds no CUDA device on this machine" in capsys.readouterr().err
    monkeypatch.setattr("dropout.experiments.runner.run_study", lambda *given, **named: None)
    assert ran("run", NAME, "--scheduler", "tcp://there", *elsewhere) == 0


@pytest.mark.parametrize("jobs", ["0", "-1", "two", "1.5"])
def test_jobs_are_counted_from_one(capsys, jobs):
    assert ran("run", NAME, "--jobs", jobs) == 2
    assert f"jobs must be a whole number from 1, got '{jobs}'" in capsys.readouterr().err
