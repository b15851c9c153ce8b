"""python -m dropout.training.bench: a sweep of 64 networks beside training them in turn."""

from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

from torch import nn

from dropout.training.data import digits
from dropout.training.loops import fit, mlp
from dropout.training.sweep import sweep

NETWORKS, EPOCHS, SAMPLES = 64, 2, 5
SIZES = (((64, 64, 64, 10), 32), ((64, 256, 256, 10), 64))  # widths, examples in a batch


def plain(*widths: int, p: float) -> nn.Sequential:
    """`mlp` with torch.nn's dropout in place of the library's."""
    layers = mlp(*widths, p=p)
    return nn.Sequential(*(nn.Dropout(a.p) if isinstance(a, nn.Dropout) else a for a in layers))


def seconds(function: Callable[[], object]) -> float:
    """The time of one call."""
    start = perf_counter()
    function()
    return perf_counter() - start


def compare(widths: tuple[int, ...], batch_size: int) -> dict[str, list[float]]:
    """Seconds of the sweep and of the loop, taken in turns; both evaluate after each epoch."""
    train, validation, _ = digits()
    settings: dict[str, Any] = {"epochs": EPOCHS, "lr": 0.1, "batch_size": batch_size}
    ours, theirs = partial(mlp, *widths, p=0.5), partial(plain, *widths, p=0.5)

    def together():
        sweep([ours] * NETWORKS, train, validation, seed=range(NETWORKS), **settings)

    def in_turn():
        for seed in range(NETWORKS):
            fit(theirs, train, validation, seed=seed, **settings)

    together()  # compiles, and touches the memory
    samples = [(seconds(together), seconds(in_turn)) for _ in range(SAMPLES)]
    return dict(zip(("sweep", "loop"), map(list, zip(*samples, strict=True)), strict=True))


def main() -> None:
    """Print a row for each size: the times of both, and how many times faster the sweep is."""
    print(f"{NETWORKS} networks, float64, {EPOCHS} epochs of 1,000 digits; seconds, median (least)")
    for widths, batch_size in SIZES:
        times = compare(widths, batch_size)
        name = f"{'-'.join(map(str, widths))}, batches of {batch_size}"
        parts = [f"{who} {median(t):5.2f} ({min(t):.2f})" for who, t in times.items()]
        gain = median(loop / ours for ours, loop in zip(*times.values(), strict=True))
        least = min(times["loop"]) / min(times["sweep"])
        print(f"{name:30}{parts[0]:22}{parts[1]:22}{gain:5.1f} times ({least:.1f})", flush=True)


if __name__ == "__main__":
    main()
