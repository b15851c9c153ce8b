"""Do a study in a process that is killed at ten moments, and then to its end: a program of its own.

A fork is killed and not a new interpreter, so that the time goes into the study and not into
imports: `python killed.py STORE`.
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

MOMENTS = 10


def do(path: Path) -> None:
    with Store(path) as store, ThreadPoolExecutor(1) as pool:
        Work("tests.experiments.tiny:SLOW", store, [], "cpu").all(lambda: nullcontext((pool, 1)))


def main() -> None:
    path, moments = Path(sys.argv[1]), random.Random(0)
    for _ in range(MOMENTS):
        if (child := os.fork()) == 0:
            do(path)
            os._exit(0)
        time.sleep(moments.uniform(0, 0.5))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print("killed" if os.WIFSIGNALED(status) else "over")
    do(path)


if __name__ == "__main__":
    main()
