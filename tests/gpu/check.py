"""Check the library and the book on a CUDA machine, which needs neither network nor Jupyter.

    PYTHONPATH=lib python3 -m tests.gpu.check [--device cpu]

Runs the GPU's tests, the code cells of every chapter with their tensors on the GPU, and the
benchmark; writes book/results/gpu.json and, for people, gpu.md. With --device cpu it rehearses: the
same steps on small numbers, and nothing is written.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

import torch

from dropout.bench import family, masks
from dropout.experiments.results import provenance

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "book/results"
WORKERS = max(1, (os.cpu_count() or 1) // 4)
BENCHMARK = {
    "cuda": "--sizes 1048576 16777216 268435456 --dtypes float32 bfloat16 --rates 0.1 0.5",
    "cpu": "--sizes 4096 --dtypes float32 --rates 0.5",
}


def driver() -> str:
    """The version of the GPU's driver."""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    return subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()


def run(*arguments) -> int:
    """Run Python in a process of its own: a crash on the GPU ends that process alone."""
    # Threads that spin while they wait slow each other tenfold on a busy machine.
    settings = {"PYTHONPATH": str(ROOT / "lib"), "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=os.environ | settings, check=False).returncode


def tests(device: str, work: Path) -> dict:
    """How many tests passed, and which did not."""
    # The book's own settings ask for nbval, and take the warnings of other versions for errors.
    settings = ["-q", "--import-mode=importlib", "-o", "addopts=", "-o", "filterwarnings=default"]
    settings += ["-n", WORKERS, f"--junitxml={work}/tests.xml", "--device", device]
    status = run("-m", "pytest", *settings, "tests/gpu", "tests/kernels")
    if status > 1:
        sys.exit(f"the tests did not run: pytest ended with status {status}; nothing was written")
    suite = ElementTree.parse(work / "tests.xml").find("testsuite")
    bad = [c for c in suite.iter("testcase") if {"failure", "error"} & {e.tag for e in c}]
    return {
        "run": int(suite.get("tests")) - int(suite.get("skipped")),
        "skipped": int(suite.get("skipped")),
        "failed": [f"{case.get('classname')}::{case.get('name')}" for case in bad],
    }


def chapters(device: str, work: Path) -> dict:
    """What the cells of each notebook print there that is not what is stored."""
    paths = sorted([*ROOT.glob("chapters/*.ipynb"), *ROOT.glob("book/*.ipynb")])

    def compare(path: Path) -> dict:
        report = work / f"{path.stem}.json"
        status = run("-m", "tests.gpu.notebook", path, device, report)
        print(f"{path.stem}: {'read' if status == 0 else f'status {status}'}", flush=True)
        return json.loads(report.read_text()) if status == 0 else {"status": status}

    with ThreadPoolExecutor(WORKERS) as pool:
        return dict(zip((path.stem for path in paths), pool.map(compare, paths), strict=True))


def benchmark(device: str, work: Path) -> dict:
    """What `python -m dropout bench` writes."""
    times = work / "times.json"
    settings = [*BENCHMARK[device].split(), "--device", device, "--json", times]
    if status := run("-m", "dropout", "bench", "masks", "family", *settings):
        sys.exit(f"the benchmark ended with status {status}; nothing was written")
    found = json.loads(times.read_text())
    command = found["provenance"]["command"]
    found["provenance"]["command"] = command.removesuffix(f" --json {times}")  # soon gone
    return found


def faults(result: dict) -> list[str]:
    """What is not as it should be, a line each."""
    found = [f"test failed: {name}" for name in result["tests"]["failed"]]
    for name, chapter in result["chapters"].items():
        if "status" in chapter:
            found.append(f"{name}: ended with status {chapter['status']}")
        for cell in chapter.get("differences", []):
            stored, printed = cell["stored"].strip(), cell["printed"].strip()
            found.append(f"{name}, cell {cell['cell']}: {cell.get('error', 'prints otherwise')}")
            found += [f"  stored:  {line}" for line in stored.splitlines()]
            found += [f"  printed: {line}" for line in printed.splitlines()]
    return found


def readable(result: dict) -> str:
    """The result as Markdown."""
    source, tested = result["provenance"], result["tests"]
    versions = ", ".join(f"{name} {number}" for name, number in source["versions"].items())
    lines = [
        f"{source['gpu']}, driver {source['driver']}, {source['date']}; {versions}.",
        f"Tests: {tested['run']} run, {len(tested['failed'])} failed, {tested['skipped']} skipped.",
        "",
        "| chapter | cells run | print otherwise | seconds |",
        "|---|---|---|---|",
    ]
    for name, c in result["chapters"].items():
        if "status" in c:
            lines.append(f"| {name} | ended with status {c['status']} | | |")
        else:
            cells = f"{c['run']} of {c['cells']}"
            lines.append(f"| {name} | {cells} | {len(c['differences'])} | {c['seconds']} |")
    listed = faults(result)
    lines += ["", "```text", *listed, "```"] if listed else []
    times = result["benchmark"]
    tables = [masks.table(row) for row in times["masks"]]
    tables += [family.table(row) for row in times["family"]]
    lines += [line for text in tables for line in ("", "```text", text + "```")]
    return "\n".join(lines) + "\n"


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, "utf-8")
    part.replace(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=BENCHMARK, default="cuda")
    device = parser.parse_args().device
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit(
            "--device cuda: PyTorch finds no CUDA device on this machine; --device cpu rehearses "
            "the check without one"
        )
    # Seeds are fixed in each test and cell, and times do not depend on them.
    source = provenance("make gpu-check", [])
    source |= (
        {"driver": driver(), "cuda": torch.version.cuda} if device == "cuda" else {"driver": None}
    )
    with TemporaryDirectory() as folder:
        work = Path(folder)
        result = {
            "provenance": source,
            "tests": tests(device, work),
            "chapters": chapters(device, work),
            "benchmark": benchmark(device, work),
        }
    print(readable(result))
    if device == "cuda":
        RESULTS.mkdir(exist_ok=True)
        write(RESULTS / "gpu.json", json.dumps(result, indent=1) + "\n")
        write(RESULTS / "gpu.md", readable(result))
    return int(bool(faults(result)))


if __name__ == "__main__":
    sys.exit(main())
