"""Do the assertions of the chapters hold on seeds that nobody looked at?

    python -m tests.notebooks.robust [--shifts 20] [--store] [notebook ...]

Runs every notebook (default: all of the book) under fresh seeds, `dropout.training.seeds` with the
shifts 1, 2, 3 and so on, without comparing outputs, and counts for each assertion how often it
held. What has run is kept in _build/robust, so that a run which was stopped goes on; a change to a
notebook's code, or to a module of the library that it used, makes it run again. With --store the
table goes to book/results/robust.json.
"""

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import redirect_stdout
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # so that it also runs as a file

from dropout.experiments import results  # noqa: E402
from tests.notebooks import cells, normalise  # noqa: E402

KEPT = ROOT / "_build" / "robust"
SHIFTS = 20
NEEDED = 19 / 20  # an assertion that holds less often leaves the book, with its sentence
NOT_WATCHED = ("dropout.figures",)


def run_once(path: Path) -> dict:
    """One run in this process: what each assertion said, an error, and the modules it used."""
    checks, error = cells.Checks(), None
    try:
        cells.run(cells.code_cells(path), checks=checks)
    except Exception as failed:
        error = f"{type(failed).__name__}: {failed}"
    modules = {
        str(Path(module.__file__).relative_to(ROOT)): file_sum(Path(module.__file__))
        for name, module in sys.modules.items()
        if name.split(".")[0] == "dropout"
        and not name.startswith(NOT_WATCHED)
        and getattr(module, "__file__", None)
    }
    held = {f"{cell}.{count}": value for (cell, count), value in checks.held.items()}
    return {"held": held, "error": error, "modules": modules}


def file_sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else "gone"


def kept_file(path: Path, digest: str, shift: int) -> Path:
    return KEPT / f"{path.stem}-{digest}" / f"{shift}.json"


def kept_run(path: Path, digest: str, shift: int) -> dict | None:
    """The run under one shift that was kept, if it still stands for the present library."""
    file = kept_file(path, digest, shift)
    run = json.loads(file.read_text("utf-8")) if file.is_file() else None
    good = run and all(file_sum(ROOT / name) == old for name, old in run["modules"].items())
    return run if good else None


def make_runs(path: Path, digest: str, shifts: list[int]) -> None:
    """Run a notebook under some shifts in a process of its own, and keep each run as it comes."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "tests.notebooks.robust", "--once", str(path)]
    command += ["--only", *map(str, shifts)]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        for shift in shifts:
            if not (line := process.stdout.readline()):
                raise RuntimeError(f"{path} under shift {shift}: {process.stderr.read()[-2000:]}")
            file = kept_file(path, digest, shift)
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_suffix(f".{os.getpid()}.part")
            part.write_text(line, "utf-8")
            part.replace(file)


def table(path: Path, digest: str, runs: list[dict]) -> dict:
    """A notebook's row: for each assertion its label, its text and in how many runs it held."""
    rows = [
        {
            "label": cell.label,
            "assertion": text,
            "held": sum(run["held"].get(f"{cell.number}.{count}", False) for run in runs),
        }
        for cell in cells.code_cells(path)
        for count, text in enumerate(cells.assertions(cell))
    ]
    return {"digest": digest, "shifts": len(runs), "assertions": rows}


def report(path: Path, row: dict, runs: list[dict]) -> int:
    """Print a notebook's row; how many assertions do not hold often enough."""
    print(f"\n{path.stem}: {row['shifts']} shifts")
    weak = 0
    for found in row["assertions"]:
        bad = found["held"] < NEEDED * row["shifts"]
        weak += bad
        mark = "!!" if bad else "  "
        print(f"{mark} {found['held']:3d}  {found['label']:28s} {found['assertion'][:90]}")
    for shift, run in enumerate(runs, start=1):
        if run["error"]:
            print(f"!! shift {shift} stopped: {run['error'][:300]}")
    return weak


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shifts", type=int, default=SHIFTS)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at a time")
    parser.add_argument("--store", action="store_true", help="write book/results/robust.json")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--only", type=int, nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("notebooks", nargs="*", type=Path)
    options = parser.parse_args()
    if options.once:
        for shift in options.only:
            os.environ["DROPOUT_SEED_SHIFT"] = str(shift)
            with redirect_stdout(io.StringIO()):
                found = run_once(options.notebooks[0])
            print(json.dumps(found), flush=True)
        return 0

    paths = options.notebooks or normalise.notebooks()
    digests = {path: cells.digest(cells.code_cells(path)) for path in paths}
    shifts = range(1, options.shifts + 1)
    jobs = []
    for path in paths:
        missing = [shift for shift in shifts if not kept_run(path, digests[path], shift)]
        jobs += [(path, digests[path], missing[at : at + 5]) for at in range(0, len(missing), 5)]
    with ThreadPoolExecutor(options.jobs) as pool:
        running = [pool.submit(make_runs, *job) for job in jobs]
        for count, done in enumerate(as_completed(running), start=1):
            done.result()
            print(f"\r{count} of {len(jobs)} parts", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    runs = {(p, shift): kept_run(p, digests[p], shift) for p in paths for shift in shifts}
    weak, rows = 0, {}
    for path in paths:
        of_path = [runs[path, shift] for shift in shifts]
        rows[path.stem] = table(path, digests[path], of_path)
        weak += report(path, rows[path.stem], of_path)
    if options.store:
        try:
            stored = results.read("robust")["notebooks"]
        except FileNotFoundError:
            stored = {}
        known = {path.stem for path in normalise.notebooks()}
        rows = {name: row for name, row in (stored | rows).items() if name in known}
        results.write(
            "robust",
            "make robust",
            range(1, options.shifts + 1),
            notebooks=dict(sorted(rows.items())),
        )
    return int(weak > 0)


if __name__ == "__main__":
    sys.exit(main())
