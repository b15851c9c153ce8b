"""Runs of a study, by processes of this machine or by a Dask cluster, into a store.

A run has one thread: on small networks a second one gains nothing. A process does one run at a
time, since PyTorch's generator is the process's. What is lost when a worker dies is done again;
what fails by itself stops the study, after the runs that are under way.
"""

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.synchronize import Event

import torch
from tqdm import tqdm

from dropout.experiments.results import surroundings
from dropout.experiments.store import Store
from dropout.experiments.study import Finished, Settings, find

Pool = AbstractContextManager[tuple[Executor, int]]
DEATHS = 3  # of workers that do one run and no other, after which it is taken to be their cause
ANSWER = 10  # seconds for a scheduler to answer
PAUSE = 2.0  # seconds between looks at what another process has finished
ALONE = threading.Lock()  # a Dask worker may have many threads, which would draw in turn


class RunError(Exception):
    """A run that failed, or that its workers do not survive."""


def work(name: str, settings: Settings, device: str) -> Finished:
    """Do one run of a study that is found by its name; what a worker does."""
    study = find(name)
    given = {key: value for key, value in settings.items() if key != "stage"}
    with ALONE:
        torch.set_num_threads(1)
        begin = time.perf_counter()
        result = study.train(**given, device=device)
        json.dumps(result)  # a result that no store can hold is this run's fault
        return Finished(settings, result, time.perf_counter() - begin, surroundings())


def run_study(
    name: str,
    store: Store,
    *,
    arms: Sequence[str] = (),
    jobs: int | None = None,
    scheduler: str | None = None,
    device: str = "cpu",
) -> None:
    """Do all runs of a study that the store lacks; what is stored already is left as it is.

    `name` is that of a study of the library or "module:attribute". `jobs` processes work, by
    default one for each core that this one may use; with `scheduler`, the address of a Dask
    scheduler, its workers do. Other processes may work on the same store at the same time.

    Raises RunError where a run fails or the scheduler ends, UnknownError for an unknown study or
    arm, StoreError where the store cannot be written. After a run's failure those that are under
    way are still finished and stored; otherwise they end, and are done again another time.
    """
    make = (lambda: cluster(scheduler)) if scheduler else lambda: processes(jobs)
    Work(name, store, arms, device).all(make)


@contextmanager
def processes(jobs: int | None) -> Iterator[tuple[Executor, int]]:
    """Processes of this machine, and how many there are. Whatever ends this one ends them."""
    jobs, context = jobs or cores(), get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(jobs, context, _end_with_the_parent, (stop,)) as pool:
        try:
            yield pool, jobs
        except BaseException:
            stop.set()
            raise


def cores() -> int:
    """How many cores this process may use: of a shared machine seldom all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def cluster(scheduler: str) -> Iterator[tuple[Executor, int]]:
    """The workers of a Dask scheduler, and how many there are: each does one run at a time.

    What a worker was doing when it died is given to another one by Dask.
    """
    try:
        from dask.distributed import Client
    except ModuleNotFoundError as error:
        raise RunError(f'--scheduler needs Dask ({error}): pip install ".[cluster]"') from error
    try:
        client = Client(scheduler, timeout=ANSWER)
    except (OSError, ValueError) as error:
        raise RunError(f"no Dask scheduler answers at {scheduler!r}: {error}") from error
    with client:
        yield client.get_executor(pure=False), max(1, len(client.nthreads()))


def _end_with_the_parent(stop: Event) -> None:
    """Let a worker end when the process that made it is gone, however it went, or says so."""
    parent = parent_process()
    assert parent is not None
    for over in (parent.join, stop.wait):
        threading.Thread(target=_end_after, args=(over,), daemon=True).start()


def _end_after(over: Callable[[], object]) -> None:
    over()
    os._exit(1)


class Work:
    """The runs of a study: which are to do, and what becomes of those that are being done."""

    def __init__(self, name: str, store: Store, arms: Sequence[str], device: str) -> None:
        self.name, self.study, self.store = name, find(name), store
        self.arms, self.device = arms, device
        self.suspects: set[str] = set()  # at work when a worker died, and not finished since
        self.deaths: Counter[str] = Counter()  # of suspects that no other run was beside
        self.fault: RunError | None = None
        self.planned: dict[str, Settings] = {}
        self.done = 0

    def all(self, make: Callable[[], Pool]) -> None:
        """Work until nothing is left to do, with a new pool whenever one broke."""
        missing = self.missing()
        # What was there at the start says nothing of the pace.
        bar = tqdm(
            desc=self.study.name, unit="run", initial=self.done, total=self.done + len(missing),
            disable=None,
        )  # fmt: skip
        with bar:
            while self.missing():
                with make() as (pool, width):
                    self.use(pool, width, bar)
                if self.fault:
                    raise self.fault

    def missing(self) -> dict[str, Settings]:
        """The runs that can be told by now and are not finished, by key."""
        finished = self.store.finished(self.study, self.device)
        planned = {
            self.study.key(settings, self.device): settings
            for settings in self.study.plan(list(finished.values()), self.arms)
        }
        self.planned |= planned
        self.done = len(planned.keys() & finished.keys())
        return {key: settings for key, settings in planned.items() if key not in finished}

    def use(self, pool: Executor, width: int, bar: tqdm) -> None:
        """Keep a pool busy until all is done, a run has failed, or the pool is broken.

        A pool that breaks does not tell whose worker died: all runs that were under way are
        suspects, which are done first and one at a time.
        """
        busy: dict[Future[Finished], str] = {}
        broken = False
        while not broken:
            missing = {} if self.fault else self.missing()
            bar.n, bar.total = self.done, self.done + len(missing)
            bar.refresh()
            room = 1 if self.suspects & missing.keys() else width
            order = sorted(missing, key=lambda key: (key not in self.suspects, self.deaths[key]))
            while not broken and len(busy) < room and (key := self.store.claim(order)):
                try:
                    busy[pool.submit(work, self.name, missing[key], self.device)] = key
                except BrokenProcessPool:  # before this run had a worker
                    self.store.release(key)
                    broken = True
            if busy:
                alone = len(busy) == 1
                for future in wait(busy, PAUSE, FIRST_COMPLETED).done:
                    broken |= self.take(future, busy.pop(future), alone)
            elif missing:  # another process is at work on them
                time.sleep(PAUSE)
            else:
                return
        for future in wait(busy).done:
            self.take(future, busy[future], alone=False)

    def take(self, future: Future[Finished], key: str, alone: bool) -> bool:
        """Store what a run brought, or note why it failed; whether the pool is broken.

        `alone` says that no other run was at work, which might have been the cause.
        """
        if future.cancelled():
            self.store.release(key)
            self.fault = RunError("the Dask scheduler has ended; the same command goes on")
            return True
        error = future.exception()
        if error is None:
            self.store.add(key, self.study, future.result())
            self.suspects.discard(key)
            return False
        self.store.release(key)
        if isinstance(error, BrokenProcessPool):
            self.lost(key, alone)
            return True
        self.fault = self.failed(key, f"{type(error).__name__}: {error}")
        self.fault.__cause__ = error
        return False

    def lost(self, key: str, alone: bool) -> None:
        """Suspect a run of its worker's death, and give up where it is the cause a few times."""
        self.suspects.add(key)
        self.deaths[key] += alone
        if self.deaths[key] == DEATHS:
            self.fault = self.failed(
                key,
                f"its worker died {DEATHS} times with no other run beside it, perhaps of too "
                "little memory",
            )

    def failed(self, key: str, how: str) -> RunError:
        """How a run failed, and which it is: its key alone says nothing."""
        settings = json.dumps(self.planned[key])
        return RunError(f"run {key} of {self.study.name}: {how}\nsettings: {settings}")
