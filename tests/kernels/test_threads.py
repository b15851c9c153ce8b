"""A loop shared by threads: everything is done once, and nobody waits for a thread held up."""

import os
import subprocess
import sys
from threading import Event, Thread, get_ident

import pytest
import torch

from dropout.kernels import threads
from dropout.kernels.threads import spread


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 7, 100])
@pytest.mark.parametrize("pieces", [0, 1, 2, 3, 16, 200])
def test_everything_is_done_once_in_so_many_pieces(count, pieces):
    done = []
    spread(lambda begin, end: done.append((begin, end)), count, pieces)
    assert sorted(i for part in done for i in range(*part)) == list(range(count))
    assert len(done) == max(1, min(count, pieces))


def test_one_thread_does_all_at_once_and_in_the_caller():
    torch.set_num_threads(1)
    done = []
    spread(lambda *part: done.append((*part, get_ident())), 8, 8)
    assert done == [(0, 8, get_ident())]


def test_a_thread_that_has_not_begun_is_not_waited_for():
    release, done = Event(), []
    blocked = [threads._pool().submit(release.wait, 60) for _ in range(os.cpu_count())]
    try:
        spread(lambda *part: done.append(part), 8, 8)
        assert not any(each.done() for each in blocked)
    finally:
        release.set()
    assert sorted(done) == [(n, n + 1) for n in range(8)]


def test_a_thread_that_has_begun_is_waited_for():
    caller, begun, left, done = get_ident(), Event(), Event(), []

    def work(begin: int, end: int) -> None:
        if get_ident() == caller:
            assert begun.wait(60)
            left.set()
        else:
            begun.set()
            assert left.wait(60)
            left.clear()
            left.wait(0.1)  # seconds, in which a caller that did not wait would be back
        done.append(begin)

    spread(work, 2, 2)
    assert sorted(done) == [0, 1]


def test_what_fails_in_another_thread_fails_in_the_caller():
    caller, begun = get_ident(), Event()

    def work(begin: int, end: int) -> None:
        if get_ident() != caller:
            begun.set()
            raise ValueError(f"part {begin}")
        assert begun.wait(60)

    with pytest.raises(ValueError, match="part"):
        spread(work, 2, 2)


@pytest.fixture
def new_pool():
    threads._pool.cache_clear()
    yield
    threads._pool.cache_clear()


@pytest.mark.parametrize("allowed", [0, 1])
def test_where_no_thread_may_start_those_there_are_do_it_all(allowed, new_pool, monkeypatch):
    begin_thread, left = Thread.start, [None] * allowed

    def start(thread):
        if not left:
            raise RuntimeError("can't start new thread")
        left.pop()
        begin_thread(thread)

    torch.set_num_threads(3)
    monkeypatch.setattr(Thread, "start", start)
    done = []
    for _ in range(3):
        spread(lambda *part: done.append(part), 100, 100)
    assert sorted(done) == [(n, n + 1) for n in range(100) for _ in range(3)]


LAST_LINES = {
    "a thread that outlives the main one": "threading.Thread(target=late).start()",
    "atexit": "atexit.register(late)",
    "atexit, with threads that have worked": "call(); atexit.register(late)",
}


@pytest.mark.parametrize("last_line", LAST_LINES.values(), ids=LAST_LINES)
def test_the_mask_is_the_same_when_the_interpreter_ends(last_line):
    code = f"""
import atexit, threading, time, torch
from dropout import MaskKey, functional
x = torch.ones(1 << 22)
def call():
    torch.set_num_threads(2)
    return functional.dropout(x, key=MaskKey(5))
def late():
    if threading.current_thread() is not threading.main_thread():
        threading.main_thread().join()
        time.sleep(0.1)  # the pool closes after that
    print(torch.equal(call(), alone), flush=True)
torch.set_num_threads(1)
alone = functional.dropout(x, key=MaskKey(5))
{last_line}
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60
    )
    assert (done.stdout, done.stderr, done.returncode) == ("True\n", "", 0)
