"""python -m dropout experiment list | run NAME | show NAME | export NAME."""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from dropout.experiments.results import FOLDERS, replace
from dropout.experiments.store import Store, StoreError, default_path
from dropout.experiments.study import CHECK, Finished, Result, Study, UnknownError, find, names


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `experiment` to a command line."""
    top = commands.add_parser("experiment", help="the studies on real data: run, resume, export")
    actions = top.add_subparsers(dest="action", required=True)
    listing = actions.add_parser("list", help="the studies, and how much of each is done")
    running = actions.add_parser(
        "run", help="do what is missing of a study",
        description="Do the runs of a study that are not stored yet. A study that was stopped, in "
        "whatever way, goes on where it was.",
    )  # fmt: skip
    showing = actions.add_parser("show", help="what a study found so far")
    exporting = actions.add_parser("export", help="write what a study found as JSON")
    for each in (running, showing, exporting):
        each.add_argument("name", help="a study of `list`, or module:attribute of your own")
    running.add_argument("--arms", nargs="+", default=[], metavar="ARM", help="these arms only")
    running.add_argument("--jobs", type=count, metavar="N",
                         help="processes, by default one for each core it may use")  # fmt: skip
    running.add_argument("--scheduler", metavar="ADDRESS", help="of Dask: its workers do the runs")
    exporting.add_argument("--to", type=Path, metavar="FILE",
                           help="by default NAME.json among the book's results, for its studies, "
                           "and no less complete than what is there")  # fmt: skip
    for each in (listing, running, showing, exporting):
        each.add_argument("--store", type=Path, metavar="FILE",
                          help="of the finished runs, by default $DROPOUT_RUNS, else "
                          "~/.local/state/dropout-book/runs.sqlite")  # fmt: skip
        each.add_argument("--device", default="cpu", choices=["cpu", "cuda"])


def count(text: str) -> int:
    """A number of processes."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"jobs must be a whole number from 1, got {text!r}")
    return int(text)


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Do what the command line asks; the exit status."""
    here = options.action == "run" and not options.scheduler
    if here and options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch finds no CUDA device on this machine")
    from dropout.experiments.runner import RunError, run_study  # it wants tqdm, `info` does not

    try:
        options.store = options.store or default_path()
        if options.action == "list":
            return listed(options)
        study = find(options.name)
        if options.action == "run":
            study.plan([], options.arms)
        with Store(options.store) as store:
            if options.action == "run":
                run_study(
                    options.name, store, arms=options.arms, jobs=options.jobs,
                    scheduler=options.scheduler, device=options.device,
                )  # fmt: skip
            finished = planned(study, store, options.device)
    except (UnknownError, StoreError, RunError) as error:
        print(f"error: {error.args[0]}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from what is finished", file=sys.stderr)
        return 130
    print(progress(study, finished))
    if options.action == "show":
        print(f"{study.about}\nbeside: {study.beside}\nscale: {study.scale}\n")
        print(json.dumps(study.summary(finished), indent=1))
    if options.action == "export":
        try:
            print(export(options.name, study, finished, options.device, options.to))
        except ExportError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    return 0


def listed(options: argparse.Namespace) -> int:
    """Print the studies of the library."""
    with Store(options.store) as store:
        for study in map(find, names()):
            finished = planned(study, store, options.device)
            print(f"{progress(study, finished)}\n    {study.about}\n    beside {study.beside}")
    return 0


def planned(study: Study, store: Store, device: str) -> list[Finished]:
    """The finished runs of a study that are in its plan.

    Others may be there: where a wider grid has led to another choice, the final runs of the first.
    """
    finished = store.finished(study, device)
    keys = {study.key(settings, device) for settings in study.plan(list(finished.values()))}
    return [run for key, run in finished.items() if key in keys]


def progress(study: Study, finished: Sequence[Finished]) -> str:
    """How much of a study is done, and the time that it took."""
    done, all_runs = counted(study, finished)
    hours = sum(each.seconds for each in finished) / 3600
    return f"{study.name}: {done} of {all_runs} runs are finished, {hours:.2f} hours of one core"


def counted(study: Study, finished: Sequence[Finished]) -> tuple[int, int]:
    """How many runs are done, and how many there are as far as can be told."""
    return len(finished), len(study.plan(finished))


class ExportError(Exception):
    """Results that cannot be written, or would replace better ones, and what to do about it."""


def export(
    name: str, study: Study, finished: Sequence[Finished], device: str, to: Path | None
) -> Path:
    """Write a study's summary with its provenance, and its check with what it gave.

    By default to the book's results: then `name` must be one of the library's studies, and a file
    there is replaced by no less complete a result. Raises ExportError.
    """
    if not finished:
        raise ExportError(f"nothing of {study.name} is finished yet")
    path = to or place(name, study, finished)
    content = exported(name, study, finished, device)
    try:
        return replace(path, content)
    except OSError as error:
        raise ExportError(f"{path} cannot be written ({error}): name another by --to") from error


def place(name: str, study: Study, finished: Sequence[Finished]) -> Path:
    """Where a study stands among the book's results, if it may."""
    if name not in names():
        raise ExportError(f"{name} is a study of your own: name a file for its results by --to")
    path = FOLDERS[0] / f"{name}.json"
    done, all_runs = counted(study, finished)
    if done < all_runs and path.is_file():
        there = json.loads(path.read_text("utf-8"))["runs"]
        if there["complete"] or there["finished"] > done:
            raise ExportError(
                f"{path} has {there['finished']} of {there['planned']} runs, and {done} of "
                f"{all_runs} are here: run the rest first, or name another file by --to"
            )
    return path


def exported(name: str, study: Study, finished: Sequence[Finished], device: str) -> Result:
    """What `export` writes."""
    done, all_runs = counted(study, finished)
    places = [each.surroundings for each in finished]
    seeds = {each.settings["seed"] for each in finished if "seed" in each.settings}
    command = f"python -m dropout experiment run {name}"
    return {
        "provenance": {
            "command": command if device == "cpu" else f"{command} --device {device}",
            "device": device,
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "seeds": sorted(seeds),
            **places[-1],
            "others": [
                place for k, place in enumerate(places[:-1]) if place not in places[k + 1 :]
            ],
        },
        "about": study.about,
        "beside": study.beside,
        "scale": study.scale,
        "version": study.version,
        "runs": {"finished": done, "planned": all_runs, "complete": done == all_runs},
        "seconds": round(sum(each.seconds for each in finished), 1),
        "check": next(
            (
                {"settings": each.settings, "result": each.result}
                for each in finished
                if each.settings.items() >= CHECK.items()
            ),
            None,
        ),
        **study.summary(finished),
    }
