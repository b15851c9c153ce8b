"""`python -m dropout experiment`: what it prints, writes, and says of a wrong word."""

import json
import subprocess
import sys

import pytest

from dropout.__main__ import main
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
    assert found["provenance"]["command"] == "python -m dropout experiment run tiny"
    assert found["provenance"]["seeds"] == [0, 1, 2, 3, 9]
    assert found["provenance"]["machine"] == "here"
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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "averaging"), "no study 'averaging'; did you mean 'averaging_samples'?"),
        (("show", "xyz"), "no study 'xyz'; there are "),
        (("run", NAME, "--arms", "onee"), "study tiny has no arm 'onee'; did you mean 'one'?"),
        (("run", NAME, "--arms", "xyz"), "no arm 'xyz'; there are one, two"),
        (("show", "nowhere.at_all:STUDY"), "No module named 'nowhere'"),
        (("show", "tests.experiments.tiny:train"), "'tests.experiments.tiny:train' is no study"),
    ],
)
def test_a_wrong_word_is_named_with_the_near_ones(capsys, tmp_path, arguments, said):
    assert ran(*arguments, "--store", str(tmp_path / "runs.sqlite")) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("jobs", ["0", "-1", "two", "1.5"])
def test_jobs_are_counted_from_one(capsys, jobs):
    assert ran("run", NAME, "--jobs", jobs) == 2
    assert f"jobs must be a whole number from 1, got '{jobs}'" in capsys.readouterr().err
