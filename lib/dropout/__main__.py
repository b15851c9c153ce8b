"""python -m dropout: `audit` tells what is wrong with the dropout in a model, `bench` times the
library here, `experiment` runs the studies on real data, `info` says which engines there are,
`grade` marks notebooks with the checks of the book's exercises.
"""

import argparse
import contextlib
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import torch

from dropout import bench
from dropout.experiments import command as experiment
from dropout.experiments.results import provenance, surroundings
from dropout.mask import threshold


def subject(text: str) -> str:
    """The name of what can be timed."""
    if text not in bench.SUBJECTS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(bench.SUBJECTS)}")
    return text


def size(text: str) -> int:
    """A number of elements."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a size must be a whole number from 1, got {text!r}")
    return int(text)


def rate(text: str) -> float:
    """A drop rate."""
    try:
        threshold(float(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return float(text)


def limit(text: str) -> float:
    """A number of seconds."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"a limit must be a number of seconds, got {text!r}")
    return seconds


def parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    top = argparse.ArgumentParser(prog="python -m dropout", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("info", help="engines, versions, machine")
    auditing = commands.add_parser(
        "audit", help="what is wrong with the dropout in a model",
        description="Run a model in both modes and tell what is wrong with its dropout. The exit "
        "status is 0 where nothing is found, 1 where something is, 2 where it cannot be audited.",
    )  # fmt: skip
    auditing.add_argument("factory", metavar="module:factory", help="a function that returns "
                          "(model, inputs) or (model, inputs, keywords)")  # fmt: skip
    auditing.add_argument("--json", type=Path, metavar="FILE", help="also write the findings here")
    experiment.add(commands)
    marking = commands.add_parser("grade", help="mark filled-in notebooks, as CSV")
    marking.add_argument("notebooks", metavar="notebook", type=Path, nargs="+")
    marking.add_argument("--seconds", type=limit, default=600,
                         help="for one notebook, which is ended then")  # fmt: skip
    marking.add_argument("--csv", type=Path, metavar="FILE", help="where the table goes, else "
                         "it is printed")  # fmt: skip
    timing = commands.add_parser(
        "bench", help="times, beside PyTorch's and a plain copy",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Time the library beside its rivals, each subject in one run.",
        epilog="subjects:\n" + "\n".join(f"  {n:10}{s.about}" for n, s in bench.SUBJECTS.items()),
    )  # fmt: skip
    timing.add_argument("subjects", metavar="subject", type=subject, nargs="*",
                        help=f"what to time; without one: {', '.join(bench.UNASKED)}")  # fmt: skip
    timing.add_argument("--sizes", type=size, nargs="+", help="of masks: numbers of elements",
                        default=[1 << 10, 1 << 16, 1 << 20, 1 << 24])  # fmt: skip
    timing.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"],
                        help="of masks and steps",
                        choices=["float64", "float32", "bfloat16", "float16"])  # fmt: skip
    timing.add_argument("--rates", type=rate, nargs="+", default=[0.1, 0.5], help="of masks")
    timing.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu",
                        choices=["cpu", "cuda"], help="of masks, family and steps")  # fmt: skip
    timing.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")
    timing.add_argument("--store", action="store_true", help="also keep the results of "
                        f"{' and '.join(bench.STORED)} in book/results, for the book")  # fmt: skip
    return top


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(arguments)
    if options.command == "info":
        print(describe(surroundings()))
        return
    if options.command == "audit":
        from dropout.audit.command import run

        sys.exit(run(options, parser()))
    if options.command == "experiment":
        sys.exit(experiment.run(options, parser()))
    if options.command == "grade":
        from dropout.exercises import grading

        if options.csv and not options.csv.absolute().parent.is_dir():
            parser().error(f"--csv: there is no folder {options.csv.absolute().parent}")
        with contextlib.ExitStack() as stack:
            out = stack.enter_context(options.csv.open("w", encoding="utf-8")) if options.csv \
                else sys.stdout  # fmt: skip
            grading.grade(options.notebooks, options.seconds, out)
        return
    names = list(dict.fromkeys(options.subjects or bench.UNASKED))
    if options.device == "cuda" and not torch.cuda.is_available():
        parser().error("--device cuda: PyTorch finds no CUDA device on this machine")
    if options.store and not set(names) & set(bench.STORED):
        parser().error(f"--store: only {' and '.join(bench.STORED)} are stored, name one of them")
    if options.json and not options.json.absolute().parent.is_dir():
        parser().error(f"--json: there is no folder {options.json.absolute().parent}")
    command = shlex.join(["python", "-m", "dropout", *arguments])
    result: dict[str, Any] = {"provenance": provenance(command, [bench.SEED])}
    print(describe(result["provenance"]) + "\n")
    for name in names:
        result[name] = bench.run(name, **vars(options))
        if options.store and name in bench.STORED:
            bench.store(name, result[name], command)
        if options.json:
            options.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


def describe(facts: dict[str, Any]) -> str:
    """A line for each fact."""
    lines = []
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {part}" for key, part in value.items()) or None
        lines.append(f"{name:12}{value}")
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        try:
            main()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # who was reading has left, `head` for instance
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
