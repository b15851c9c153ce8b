"""Taking turns: what is compared is timed in one run, so that all have the same weather."""

import statistics
import sys
from collections.abc import Callable, Mapping
from time import perf_counter

import torch

Samples = dict[str, list[float]]
Summary = dict[str, float]
Seconds = dict[str, Summary]


def sample(function: Callable[[], object], calls: int, device: str = "cpu") -> float:
    """Seconds for one call, the mean of some."""
    start = perf_counter()
    for _ in range(calls):
        function()
    if device == "cuda":
        torch.cuda.synchronize()
    return (perf_counter() - start) / calls


def in_turns(
    title: str,
    functions: Mapping[str, Callable[[], object]],
    turns: int,
    budget: float = 0.0,
    device: str = "cpu",
) -> Samples:
    """Seconds of each function, a sample a turn; `title` is said to those who wait.

    A sample is the mean of as many calls as fit into the `budget` of seconds, but at least of one.
    Before that each function runs, which compiles and touches the memory.
    """
    print(f"{title} …", file=sys.stderr, flush=True)
    calls = {}
    for name, function in functions.items():
        sample(function, 2 if budget else 1, device)
        calls[name] = max(1, int(budget / sample(function, 3, device))) if budget else 1
    times: Samples = {name: [] for name in functions}
    for _ in range(turns):
        for name, function in functions.items():
            times[name].append(sample(function, calls[name], device))
    return times


def summary(samples: list[float]) -> Summary:
    """Median, least and greatest."""
    return {
        "median": statistics.median(samples), "least": min(samples), "greatest": max(samples),
    }  # fmt: skip


def summaries(samples: Samples) -> Seconds:
    """The same of each."""
    return {name: summary(of_one) for name, of_one in samples.items()}


def added(samples: Samples, base: str) -> Seconds:
    """What each takes beyond the base, by the differences within a turn."""
    return {
        name: summary([t - without for t, without in zip(of_one, samples[base], strict=True)])
        for name, of_one in samples.items()
        if name != base
    }


def times_of(seconds: Seconds, one: str) -> dict[str, float]:
    """How many times what one takes each of them takes, by the medians."""
    return {name: t["median"] / seconds[one]["median"] for name, t in seconds.items()}


def times_faster(seconds: Seconds, one: str) -> dict[str, float]:
    """How many times faster than one each of them is, by the medians."""
    return {name: 1 / ratio for name, ratio in times_of(seconds, one).items()}


def table(title: str, seconds: Seconds, columns: dict[str, dict[str, float]]) -> str:
    """Times, a line each, in the unit that suits them, and further columns of numbers."""
    longest = max(t["median"] for t in seconds.values())
    unit, factor = ("µs", 1e6) if longest < 0.01 else ("ms", 1e3) if longest < 10 else ("s", 1.0)
    width = max(map(len, seconds)) + 2
    widths = [max(11, len(name) + 2) for name in columns]
    heads = "".join(f"{name:>{w}}" for name, w in zip(columns, widths, strict=True))
    lines = [title, f"{'':{width}}{'median ' + unit:>11}{'least':>11}{'greatest':>11}{heads}"]
    for name, t in seconds.items():
        numbers = "".join(f"{t[key] * factor:11.2f}" for key in ("median", "least", "greatest"))
        more = (
            f"{column[name]:{w}.2f}" if name in column else " " * w
            for column, w in zip(columns.values(), widths, strict=True)
        )
        lines.append(f"{name:{width}}{numbers}{''.join(more)}".rstrip())
    return "\n".join(lines) + "\n"
