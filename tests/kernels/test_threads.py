"""A loop shared by threads: everything is done once, and nobody waits for a thread held up."""

import os
from threading import Event, get_ident

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


def test_what_fails_in_another_thread_fails_in_the_caller():
    caller, begun = get_ident(), Event()

    def work(begin: int, end: int) -> None:
        if get_ident() != caller:
            begun.set()
            raise ValueError(f"part {begin}")
        assert begun.wait(60)

    with pytest.raises(ValueError, match="part"):
        spread(work, 2, 2)
