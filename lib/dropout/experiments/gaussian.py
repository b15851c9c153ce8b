"""Coins or normal numbers, and how much of it is the gradient's noise: chapter 05.

    python -m dropout.experiments.gaussian

Each split of the digits is a study of its own: its arms are tuned on its validation images, trained
on fresh seeds, and judged on its test images.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import Sequential
from torch.nn.functional import cross_entropy

from dropout.experiments.results import write
from dropout.experiments.tuned import Splits, compare
from dropout.nn import Dropout, GaussianDropout
from dropout.training.data import Images, digits
from dropout.training.loops import History, evaluate, fit, mlp
from dropout.training.seeds import seeds

SPLITS, TUNING, FRESH = seeds(3, first=500), seeds(3, first=600), seeds(5, first=700)
RATES = (0.2, 0.5)
GRID: dict[str, Any] = {"lrs": (0.006, 0.02, 0.06, 0.2), "epochs": 500, "every": 20}
STEPS: dict[str, Any] = {
    "lrs": (0.003, 0.01, 0.03, 0.1),
    "epochs": 60,
    "every": 5,
    "batch_size": 20,
}
MASKS = (1, 8)


def normal(p: float) -> Sequential:
    """`mlp(64, 64, 64, 10)` with Gaussian dropout at rate p after each hidden layer."""
    layers = mlp(64, 64, 64, 10, p=0.5)
    return Sequential(*(GaussianDropout(p) if _drops(layer) else layer for layer in layers))


def _drops(layer: nn.Module) -> bool:
    return isinstance(layer, Dropout) and layer.p > 0


def each(
    train_one: Callable[..., tuple[nn.Module, History]],
    builds: Sequence[Callable[[], nn.Module]],
    train: Images,
    validation: Images,
    *,
    seed: Sequence[int],
    lr: float | Sequence[float],
    weight_decay: float | Sequence[float],
    **settings: Any,
) -> tuple[list[nn.Module], History]:
    """What `sweep` does, one network after the other, by `train_one` in place of `fit`."""
    lrs, decays = (np.broadcast_to(value, len(builds)).tolist() for value in (lr, weight_decay))
    runs = [
        train_one(build, train, validation, seed=s, lr=rate, weight_decay=decay, **settings)
        for build, s, rate, decay in zip(builds, seed, lrs, decays, strict=True)
    ]
    return [model for model, _ in runs], History.stack([history for _, history in runs])


def fit_averaged(
    build: Callable[[], nn.Module],
    train: Images,
    validation: Images,
    *,
    masks: int,
    seed: int,
    epochs: int,
    lr: float,
    momentum: float,
    weight_decay: float,
    batch_size: int,
    every: int,
) -> tuple[nn.Module, History]:
    """`fit`, but each step takes the mean loss over `masks` masks for each image of its batch.

    The expected loss is that of dropout; the gradient's noise from the masks has 1/masks of the
    variance. Source: Wei, Kakade and Ma (2020), section 3, "Dropout_k".
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, measured = build(), []
        optimiser = torch.optim.SGD(
            model.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay
        )
        for epoch in range(1, epochs + 1):
            model.train()
            for batch in torch.randperm(len(train.y)).split(batch_size):
                optimiser.zero_grad()
                scores = model(train.x[batch].repeat(masks, 1))
                cross_entropy(scores, train.y[batch].repeat(masks)).backward()
                optimiser.step()
            if epoch % every == 0:
                measured.append([*evaluate(model, train), *evaluate(model, validation)])
    train_loss, train_accuracy, validation_loss, validation_accuracy = np.array(measured).T
    return model, History(train_loss, validation_loss, train_accuracy, validation_accuracy)


def laws(data: Splits) -> dict[str, Any]:
    """No noise, coins and normal numbers, full batch, each tuned by validation loss."""
    coins = {f"coin {p}": partial(mlp, 64, 64, 64, 10, p=p) for p in RATES}
    normals = {f"normal {p}": partial(normal, p) for p in RATES}
    settings = GRID | {"tuning_seeds": TUNING, "seeds": FRESH}
    return compare({"none": partial(mlp, 64, 64, 64, 10)} | coins, data, **settings) | compare(
        normals, data, trainer=partial(each, fit), **settings
    )


def averaged(data: Splits) -> dict[str, Any]:
    """Dropout at 0.5 in small batches, the gradient the mean over one mask or over several."""
    found: dict[str, Any] = {}
    for masks in MASKS:
        trainer = partial(each, partial(fit_averaged, masks=masks))
        arm = {f"{masks} masks": partial(mlp, 64, 64, 64, 10, p=0.5)}
        settings = STEPS | {"tuning_seeds": TUNING, "seeds": FRESH, "trainer": trainer}
        found |= compare(arm, data, **settings)
    return found


def main() -> None:
    """Run the study and store it, anew after each split."""
    found: dict[str, list] = {"laws": [], "averaged": []}
    for split in SPLITS:
        data = digits(train=300, seed=split)
        found["averaged"].append(averaged(data))
        found["laws"].append(laws(data))
        write(
            "gaussian",
            "python -m dropout.experiments.gaussian",
            [*SPLITS, *TUNING, *FRESH],
            images=300,
            grid=GRID,
            rates=RATES,
            small_batch_grid=STEPS,
            **found,
        )


if __name__ == "__main__":
    main()
