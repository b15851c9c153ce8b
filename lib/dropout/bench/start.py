"""What `import dropout` and its first call add to `import torch`, each in a fresh process."""

import subprocess
import sys
from functools import partial
from typing import Any

from dropout.bench.timing import added, in_turns, summaries
from dropout.bench.timing import table as table_of

TURNS = 7
TORCH, OURS = "import torch", "import torch, dropout.functional"
PROGRAMS = {
    TORCH: TORCH,
    OURS: OURS,
    "… and a call on 2^10 elements": f"{OURS}; dropout.functional.dropout(torch.ones(1 << 10))",
}


def python(program: str) -> None:
    """Run a program in a process of its own."""
    subprocess.run([sys.executable, "-c", program], check=True)


def run() -> list[dict[str, Any]]:
    """One row. The first call finds its code on disk: an untimed process compiled it before."""
    programs = {name: partial(python, program) for name, program in PROGRAMS.items()}
    samples = in_turns("start", programs, TURNS)
    rows = [{"seconds": summaries(samples), "added": added(samples, TORCH)}]
    print(table(rows[0]), flush=True)
    return rows


def table(row: dict[str, Any]) -> str:
    """The times of whole processes, and how many seconds each adds to `import torch`."""
    seconds = {name: t["median"] for name, t in row["added"].items()}
    return table_of("start of a process", row["seconds"], {"added, s": seconds})
