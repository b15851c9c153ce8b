"""A fair comparison: every arm at its best on validation data, all of them judged on test data."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from torch import nn

from dropout.training.data import Images
from dropout.training.loops import History, evaluate
from dropout.training.sweep import sweep

Build = Callable[[], nn.Module]
Splits = tuple[Images, Images, Images]


def compare(
    arms: Mapping[str, Build],
    data: Splits,
    *,
    lrs: Sequence[float],
    decays: Sequence[float] = (0.0,),
    epochs: int,
    every: int,
    tuning_seeds: Sequence[int],
    seeds: Sequence[int],
    by: str = "loss",
    momentum: float = 0.9,
    batch_size: int | None = None,
    trainer: Callable[..., tuple[Sequence[nn.Module], History]] = sweep,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Tune each arm, then train it on fresh seeds and measure it on test data.

    `data` is training, validation and test data. The grid, the same for each arm: learning rates
    `lrs`, weight decays `decays`, and a budget, any multiple of `every` up to `epochs`. The point
    with the best mean validation value over `tuning_seeds` is chosen, `by` "loss" or "accuracy".
    Networks are then trained at that point with `seeds`, none of which took part in the choice, and
    evaluated on all three sets. `trainer` is `sweep`, or a function with its arguments and results.

    The result has for each arm the point `chosen`, whether it lies on the grid's `edge`, and for
    each seed the loss (nats) and accuracy in training, validation and test.
    """
    sign = {"loss": 1, "accuracy": -1}[by]
    train, validation, test = data
    settings = {"momentum": momentum, "batch_size": batch_size}
    found = {}
    for name, build in arms.items():
        grid = list(product(lrs, decays))
        runs = [(lr, decay, seed) for lr, decay in grid for seed in tuning_seeds]
        lr_each, decay_each, seed_each = zip(*runs, strict=True)
        _, history = trainer(
            [build] * len(runs), train, validation, seed=seed_each, lr=lr_each,
            weight_decay=decay_each, epochs=epochs, every=every, **settings,
        )  # fmt: skip
        values = getattr(history, f"validation_{by}")
        values = np.nan_to_num(values, nan=np.inf * sign)
        mean = values.reshape(len(grid), len(tuning_seeds), -1).mean(axis=1)
        point, budget = np.unravel_index((sign * mean).argmin(), mean.shape)
        lr, decay = grid[point]
        best = every * (int(budget) + 1)
        models, final = trainer(
            [build] * len(seeds), train, validation, seed=seeds, lr=lr,
            weight_decay=decay, epochs=best, every=best, **settings,
        )  # fmt: skip
        test_loss, test_accuracy = zip(*(evaluate(m, test) for m in models), strict=True)
        found[name] = {
            "chosen": {"lr": lr, "weight_decay": decay, "epochs": best},
            "edge": lr in (min(lrs), max(lrs)) or best == epochs,
            "validation_at_choice": float(mean[point, budget]),
            "train_loss": final.train_loss[:, -1].tolist(),
            "train_accuracy": final.train_accuracy[:, -1].tolist(),
            "validation_loss": final.validation_loss[:, -1].tolist(),
            "validation_accuracy": final.validation_accuracy[:, -1].tolist(),
            "test_loss": list(test_loss),
            "test_accuracy": list(test_accuracy),
        }
        report(f"{name}: {found[name]['chosen']}, test {np.mean(test_loss):.4f} nats, "
               f"{np.mean(test_accuracy):.2%}")  # fmt: skip
    return found
