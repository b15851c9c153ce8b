"""A sweep of 64 networks, beside training them one after the other with torch.nn's dropout."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from dropout.bench.timing import in_turns, summaries, times_faster
from dropout.bench.timing import table as table_of
from dropout.training.data import digits
from dropout.training.loops import fit, mlp
from dropout.training.sweep import sweep

NETWORKS, EPOCHS, TURNS = 64, 2, 5
SIZES = (((64, 64, 64, 10), 32), ((64, 256, 256, 10), 64))  # widths, examples in a batch


def plain(*widths: int, p: float) -> nn.Sequential:
    """`mlp` with torch.nn's dropout in place of the library's."""
    layers = mlp(*widths, p=p)
    return nn.Sequential(*(nn.Dropout(a.p) if isinstance(a, nn.Dropout) else a for a in layers))


def in_turn(one: Callable[..., object]) -> None:
    """Train one network after the other."""
    for seed in range(NETWORKS):
        one(seed=seed)


def run() -> list[dict[str, Any]]:
    """One row for each size. Both ways evaluate after each epoch."""
    train, validation, _ = digits()
    rows = []
    for widths, batch_size in SIZES:
        ours = [partial(mlp, *widths, p=0.5)] * NETWORKS
        theirs = partial(plain, *widths, p=0.5)
        settings: dict[str, Any] = {"epochs": EPOCHS, "lr": 0.1, "batch_size": batch_size}
        one = partial(fit, theirs, train, validation, **settings)
        functions: dict[str, Callable[[], object]] = {
            "sweep": partial(sweep, ours, train, validation, seed=range(NETWORKS), **settings),
            "loop": partial(in_turn, one),
        }
        row: dict[str, Any] = {"widths": list(widths), "batch_size": batch_size}
        row |= {"networks": NETWORKS, "epochs": EPOCHS}
        rows.append(row | {"seconds": summaries(in_turns(title(row), functions, TURNS))})
        print(table(rows[-1]), flush=True)
    return rows


def title(row: dict[str, Any]) -> str:
    """What a row is of."""
    widths = "-".join(map(str, row["widths"]))
    return (
        f"{row['networks']} networks {widths}, float64, batches of {row['batch_size']}, "
        f"{row['epochs']} epochs of digits"
    )


def table(row: dict[str, Any]) -> str:
    """The times of both, and how many times faster the sweep is."""
    gain = times_faster(row["seconds"], "loop")
    return table_of(title(row), row["seconds"], {"speed-up": gain})
