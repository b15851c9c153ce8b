"""Threads that share a loop which Numba compiled, on the CPU."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise

import torch


@lru_cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="dropout")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork


def spread(work: Callable[[int, int], object], count: int, pieces: int) -> None:
    """Do work(begin, end) over all of range(count), so many pieces at most.

    As many threads as PyTorch may use take the pieces one by one. One that is held up leaves them
    to the others, and is not waited for if it has not begun. Where no thread may start, the caller
    does what is left.
    """
    pieces = min(count, pieces)
    threads = min(pieces, torch.get_num_threads())
    if threads < 2:
        work(0, count)
        return
    parts = iter(list(pairwise(count * n // pieces for n in range(pieces + 1))))
    failures: list[BaseException] = []

    def some() -> None:
        try:
            for begin, end in parts:
                work(begin, end)
        except BaseException as failure:
            failures.append(failure)

    pool, others = _pool(), list[Future]()
    try:
        for _ in range(threads - 1):
            others.append(pool.submit(some))
    except RuntimeError:  # the interpreter ends, or has no thread left
        pool.shutdown(cancel_futures=True)  # the last one may have begun all the same
        _pool.cache_clear()
    some()
    for other in others:
        other.cancel() or other.result()
    if failures:
        raise failures[0]
