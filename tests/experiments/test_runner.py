"""Studies that are stopped, killed and shared: the same runs, to the bit, and none lost.

One store is filled without disturbance; every other way to fill one is held against it.
"""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dropout.experiments.runner import RunError, run_study
from dropout.experiments.store import Store

ROOT = Path(__file__).parents[2]
TINY = "tests.experiments.tiny:SLOW"
KILLED = Path(__file__).with_name("killed.py")
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "lib"), str(ROOT)])}


def started(*arguments: str, **environment: str) -> subprocess.Popen:
    """A Python in a session of its own, so that its whole group can be killed."""
    return subprocess.Popen(
        [sys.executable, *arguments], env=ENVIRONMENT | environment, start_new_session=True,
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def running(name: str, path: Path, *more: str, **environment: str) -> subprocess.Popen:
    """The command line at work on a study."""
    command = ["-m", "dropout", "experiment", "run", name, "--store", str(path)]
    return started(*command, *more, **environment)


def rows(path: Path) -> dict[str, str]:
    """The results in a store, as they stand there, by key."""
    with sqlite3.connect(path) as file:
        return dict(file.execute("SELECT key, result FROM runs").fetchall())


def at_least(path: Path, runs: int, process: subprocess.Popen) -> None:
    """Wait until a process has stored so many runs."""
    while process.poll() is None:
        try:
            if len(rows(path)) >= runs:
                return
        except sqlite3.OperationalError:  # no table yet
            pass
        time.sleep(0.05)
    raise AssertionError(f"ended before: {process.communicate()}")


def alive(group: int) -> bool:
    """Whether a process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def ends(group: int, seconds: float = 30) -> bool:
    """Whether all processes of a group are gone within so many seconds."""
    until = time.monotonic() + seconds
    while alive(group) and time.monotonic() < until:
        time.sleep(0.05)
    return not alive(group)


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, str]:
    path = tmp_path_factory.mktemp("store") / "runs.sqlite"
    process = running(TINY, path, "--jobs", "1")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert "11 of 11 runs are finished" in out
    return rows(path)


def test_killed_at_ten_moments_a_study_loses_nothing_and_ends_the_same(tmp_path, undisturbed):
    path = tmp_path / "runs.sqlite"
    process = started(str(KILLED), str(path))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.split().count("killed") >= 8
    assert rows(path) == undisturbed
    assert not list(tmp_path.glob("*.lock"))


def test_killed_with_its_workers_a_study_keeps_what_is_finished(tmp_path, undisturbed):
    path = tmp_path / "runs.sqlite"
    process = running(TINY, path, "--jobs", "2")
    at_least(path, 4, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = rows(path)
    assert 4 <= len(before) < len(undisturbed)
    with Store(path) as store:
        run_study(TINY, store, jobs=1)
    assert rows(path) == undisturbed


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_the_study(tmp_path, how):
    """The signal goes to the parent alone; an interrupt ends it at once, without a traceback."""
    path = tmp_path / "runs.sqlite"
    process = running("tests.experiments.tiny:LONG", path, "--jobs", "2")
    at_least(path, 1, process)
    os.kill(process.pid, how)
    _, err = process.communicate(timeout=30)
    assert ends(process.pid)
    assert process.returncode == (130 if how == signal.SIGINT else -how)
    assert "Traceback" not in err
    assert len(rows(path)) >= 1


def test_two_processes_on_one_study_do_every_run_once(tmp_path, undisturbed):
    path, log = tmp_path / "runs.sqlite", tmp_path / "log"
    both = [running(TINY, path, "--jobs", "1", DROPOUT_TEST_LOG=str(log)) for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
    assert rows(path) == undisturbed
    done = log.read_text("utf-8").split()
    assert len(done) == len(undisturbed)
    assert len(set(done)) == 2


def test_a_killed_worker_is_replaced_and_its_run_done_again(tmp_path):
    path, mark = tmp_path / "runs.sqlite", tmp_path / "mark"
    process = running("tests.experiments.tiny:KILLING", path, "--jobs", "1",
                      DROPOUT_TEST_KILLER=str(mark))  # fmt: skip
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert mark.exists()
    assert len(rows(path)) == 11


def test_a_run_that_fails_stops_the_study_and_the_others_are_kept(tmp_path):
    path = tmp_path / "runs.sqlite"
    process = running("tests.experiments.tiny:FAULTY", path, "--jobs", "1")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "ValueError: this arm is at fault" in err
    assert "Traceback" not in err
    assert len(rows(path)) == 3  # the check and the tuning of the arm before


@pytest.fixture
def cluster(tmp_path):
    """The address of a Dask scheduler, with two workers, each a process with one thread."""
    pytest.importorskip("dask.distributed")
    script = (
        "import sys, time\n"
        "from dask.distributed import LocalCluster\n"
        "if __name__ == '__main__':\n"
        "    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as c:\n"
        "        print(c.scheduler_address, *(w.pid for w in c.workers.values()), flush=True)\n"
        "        time.sleep(600)\n"
    )
    program = tmp_path / "cluster.py"
    program.write_text(script, "utf-8")
    process = started(str(program))
    try:
        address, *pids = process.stdout.readline().split()
        yield address, [int(pid) for pid in pids]
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_dask_does_the_same_although_a_worker_is_killed_in_mid_run(tmp_path, cluster, undisturbed):
    address, pids = cluster
    path = tmp_path / "runs.sqlite"
    process = running(TINY, path, "--scheduler", address)
    at_least(path, 3, process)
    os.kill(pids[0], signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert rows(path) == undisturbed


def test_no_scheduler_is_said_at_once(tmp_path):
    with Store(tmp_path / "runs.sqlite") as store, pytest.raises(RunError, match="no Dask"):
        run_study(TINY, store, scheduler="tcp://127.0.0.1:9")
