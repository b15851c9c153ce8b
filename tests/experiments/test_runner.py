"""Studies that are stopped, killed and shared: the same runs, to the bit, and none lost.

One store is filled without disturbance; every other way to fill one is held against it.
"""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Timer
from unittest.mock import Mock

import pytest
import torch

from dropout.experiments import runner
from dropout.experiments.runner import RunError, Work, run_study
from dropout.experiments.store import Store
from tests.experiments import tiny

ROOT = Path(__file__).parents[2]
TINY = "tests.experiments.tiny:SLOW"
KILLED = Path(__file__).with_name("killed.py")
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "lib"), str(ROOT)])}


def started(*arguments: str, **environment: str) -> subprocess.Popen:
    """A Python in a session of its own, so that its whole group can be killed.

    It is interrupted by SIGINT, also where these tests run in the background, which ignores it.
    """
    return subprocess.Popen(
        [sys.executable, *arguments], env=ENVIRONMENT | environment, start_new_session=True,
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
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


def do(name: str, path: Path) -> None:
    """Do a study here, in a thread in place of processes."""
    with Store(path) as store, ThreadPoolExecutor(1) as pool:
        Work(name, store, [], "cpu").all(lambda: nullcontext((pool, 1)))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, str]:
    path = tmp_path_factory.mktemp("store") / "runs.sqlite"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        do(TINY, path)
    found = rows(path)
    assert len(found) == 11
    return found


def test_killed_ten_times_and_shared_by_two_a_study_loses_nothing_and_ends_the_same(
    tmp_path, undisturbed
):
    """What was finished before a kill is not done again, and the two do every run once."""
    path, log = tmp_path / "runs.sqlite", tmp_path / "log"
    process = started(str(KILLED), str(path), DROPOUT_TEST_LOG=str(log))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.split() == ["killed"] * 10 + ["over"] * 2
    assert rows(path) == undisturbed
    assert not list(tmp_path.glob("*.lock"))
    began = log.read_text("utf-8").split()
    assert len(undisturbed) < len(began) <= len(undisturbed) + 10  # a kill costs a run at most
    assert len(set(began[-4:])) == 2


def test_threads_of_one_process_leave_each_other_s_numbers_alone(tmp_path, undisturbed):
    path = tmp_path / "runs.sqlite"
    with Store(path) as store, ThreadPoolExecutor(4) as pool:
        Work(TINY, store, [], "cpu").all(lambda: nullcontext((pool, 4)))
    assert rows(path) == undisturbed


def test_the_parent_killed_its_workers_end_and_the_rest_is_done_later(tmp_path, undisturbed):
    path = tmp_path / "runs.sqlite"
    process = running(TINY, path, "--jobs", "1")
    at_least(path, 4, process)
    process.kill()
    process.communicate(timeout=30)
    assert ends(process.pid)
    assert 4 <= len(rows(path)) < len(undisturbed)
    do(TINY, path)
    assert rows(path) == undisturbed


def test_an_interrupt_ends_a_study_at_once_with_a_word_and_its_workers(tmp_path):
    """Of the parent alone, which does not wait for a run of a minute."""
    path = tmp_path / "runs.sqlite"
    process = running("tests.experiments.tiny:LONG", path, "--jobs", "1")
    at_least(path, 1, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "stopped; the same command goes on from what is finished\n"
    assert ends(process.pid)
    assert len(rows(path)) == 1


def test_a_killed_worker_is_replaced_and_its_run_done_again(tmp_path, monkeypatch):
    path, mark = tmp_path / "runs.sqlite", tmp_path / "mark"
    monkeypatch.setenv("DROPOUT_TEST_KILLER", str(mark))
    with Store(path) as store:
        run_study("tests.experiments.tiny:KILLING", store, jobs=1)
    assert mark.exists()
    assert len(rows(path)) == 11


def test_a_run_that_its_workers_never_survive_is_given_up(tmp_path):
    """The pool is one whose every future says that a worker died."""
    pool, died = Mock(), Future()
    pool.submit.return_value = died
    died.set_exception(BrokenProcessPool("a worker died"))
    with Store(tmp_path / "runs.sqlite") as store:
        with pytest.raises(RunError, match="worker died 3 times with no other run beside it"):
            Work(TINY, store, [], "cpu").all(lambda: nullcontext((pool, 1)))
        assert pool.submit.call_count == 3
        assert store.claim(["free"]) == "free"


def test_a_scheduler_that_ends_is_said_and_its_runs_are_free_again(tmp_path):
    """Dask then cancels every future, as this pool has done."""
    pool, gone = Mock(), Future()
    pool.submit.return_value = gone
    gone.cancel()
    gone.set_running_or_notify_cancel()
    with Store(tmp_path / "runs.sqlite") as store:
        work = Work(TINY, store, [], "cpu")
        with pytest.raises(RunError, match="the Dask scheduler has ended"):
            work.all(lambda: nullcontext((pool, 1)))
        keys = list(work.planned)
        assert store.claim(keys) == keys[0]


class Mortal:
    """A pool that breaks soon after the one deadly run began; every other run takes longer."""

    def __init__(self) -> None:
        self.begun: list[Future] = []

    def submit(self, work, name, settings, device):
        self.begun.append(run := Future())
        if (settings["stage"], settings["arm"], settings["lr"]) == ("tune", "one", 0.1):
            Timer(0.05, self.breaks).start()
        else:
            Timer(0.5, self.ends, (run, settings)).start()
        return run

    def ends(self, run: Future, settings: dict) -> None:
        if not run.done():
            run.set_result(tiny.done(settings))

    def breaks(self) -> None:
        for run in self.begun:
            if not run.done():
                run.set_exception(BrokenProcessPool("a worker died"))


def test_the_run_that_its_workers_never_survive_is_told_from_those_beside_it(tmp_path):
    check, deadly, innocent, *_ = (tiny.STUDY.key(each, "cpu") for each in tiny.STUDY.plan([]))
    path = tmp_path / "runs.sqlite"
    with Store(path) as store, pytest.raises(RunError, match=f"run {deadly} of tiny: its worker"):
        Work("tests.experiments.tiny:STUDY", store, [], "cpu").all(
            lambda: nullcontext((Mortal(), 3))
        )
    assert rows(path).keys() == {check, innocent}


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_a_process_counts_the_cores_that_it_may_use():
    script = (
        "import os; from dropout.experiments.runner import cores; "
        "os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1]); print(cores())"
    )
    out, err = started("-c", script).communicate(timeout=60)
    assert out == "1\n", err


def test_a_run_that_fails_stops_the_study_and_the_others_are_kept(tmp_path):
    path = tmp_path / "runs.sqlite"
    said = (
        r'run .* of tiny: ValueError: this arm is at fault\nsettings: .*"arm": "faulty".*"seed": 0'
    )
    with pytest.raises(RunError, match=said):
        do("tests.experiments.tiny:FAULTY", path)
    assert len(rows(path)) == 3  # the check and the tuning of the arm before


def test_a_result_that_no_store_can_hold_is_the_fault_of_its_run(tmp_path, monkeypatch):
    holds = replace(tiny.STUDY, train=lambda **settings: {"loss": torch.tensor(1.0)})
    monkeypatch.setattr(tiny, "STUDY", holds)
    with pytest.raises(RunError, match=r'TypeError: .* Tensor is not JSON(.|\n)*"stage": "check"'):
        do("tests.experiments.tiny:STUDY", tmp_path / "runs.sqlite")


@pytest.fixture
def cluster(tmp_path):
    """The address of a Dask scheduler, with two workers, each a process with two threads."""
    pytest.importorskip("dask.distributed")
    script = (
        "import sys, time\n"
        "from dask.distributed import LocalCluster\n"
        "if __name__ == '__main__':\n"
        "    with LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None) as c:\n"
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

    def study() -> None:
        with Store(path) as store:
            run_study(TINY, store, scheduler=address)

    Store(path).close()
    with ThreadPoolExecutor(1) as other:
        running = other.submit(study)
        while len(rows(path)) < 3 and not running.done():
            time.sleep(0.05)
        os.kill(pids[0], signal.SIGKILL)
        running.result(timeout=120)
    assert rows(path) == undisturbed


def test_no_scheduler_is_said_at_once(tmp_path, monkeypatch):
    pytest.importorskip("dask.distributed")
    monkeypatch.setattr(runner, "ANSWER", 1)
    with Store(tmp_path / "runs.sqlite") as store, pytest.raises(RunError, match="no Dask"):
        run_study(TINY, store, scheduler="tcp://127.0.0.1:9")
