"""Do a study in a process that is killed at ten moments, and then in two at once to its end.

`python killed.py STORE`, a program of its own: it forks, so that the time goes into the study and
not into imports.
"""

import os
import random
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

from dropout.experiments.runner import Work
from dropout.experiments.store import Store
from tests.experiments.tiny import LOG

MOMENTS = 10


def do(path: Path) -> None:
    with Store(path) as store, ThreadPoolExecutor(1) as pool:
        Work("tests.experiments.tiny:SLOW", store, [], "cpu").all(lambda: nullcontext((pool, 1)))


def forked(path: Path) -> int:
    """A process that does the study; its number."""
    if (child := os.fork()) == 0:
        do(path)
        os._exit(0)
    return child


def main() -> None:
    path, log, moments = Path(sys.argv[1]), Path(os.environ[LOG]), random.Random(0)
    log.touch()
    for kill in range(MOMENTS):
        size = log.stat().st_size
        child = forked(path)
        while kill % 2 and log.stat().st_size == size:  # every other one once a run has begun
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.25))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print("killed" if os.WIFSIGNALED(status) else "over")
    for child in [forked(path), forked(path)]:
        _, status = os.waitpid(child, 0)
        print("over" if status == 0 else "failed")


if __name__ == "__main__":
    main()
