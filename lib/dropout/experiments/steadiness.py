"""Does dropout beside batch norm make training unsteady? Losses from epoch to epoch.

Digits, 300 for training, at the same learning rates for all. `python -m
dropout.experiments.steadiness` takes about five minutes on one core and stores the result as
"steadiness".
"""

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch
from jaxtyping import Float
from torch import nn
from torch.optim.swa_utils import update_bn

from dropout.experiments.batch_norm import arms, network
from dropout.experiments.results import write
from dropout.theory.variance_shift import reestimate
from dropout.training.data import Images, digits
from dropout.training.loops import evaluate, train_epoch
from dropout.training.seeds import seeds

WATCHED = (
    "batch norm", "batch norm after ReLU", "last 0.3", "between 0.3", "direct 0.3", "direct 0.5",
    "dropout 0.3", "direct 0.3, momentum 0.02",
)  # fmt: skip
LRS, EPOCHS, LAST, BATCH = (0.02, 0.08, 0.3), 40, 20, 50
SEEDS = seeds(10, first=200)


def slow_averages() -> nn.Sequential:
    """Dropout at 0.3 right before batch norms whose running averages remember five times longer."""
    model = network(0.3, "direct")
    for layer in model:
        if isinstance(layer, nn.BatchNorm1d):
            layer.momentum = 0.02
    return model


def watch(
    build: Callable[[], nn.Sequential],
    train: Images,
    validation: Images,
    *,
    seed: int,
    lr: float,
    epochs: int = EPOCHS,
    last: int = LAST,
) -> Float[np.ndarray, "statistics last"]:
    """Validation loss in evaluation mode after each of the `last` epochs of training, in nats.

    With batch norm, three rows: with its running averages as they are, and with statistics of the
    training data taken anew, with dropout on and with dropout off. Without, one row. SGD with
    momentum 0.9 and batches of 50; the caller's generator is left as it was.
    """
    seen = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build()
        normed = any(isinstance(layer, nn.BatchNorm1d) for layer in model)
        optimiser = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
        for epoch in range(epochs):
            train_epoch(model, optimiser, train, BATCH)
            if epoch >= epochs - last:
                twins = _anew(model, train) if normed else []
                seen.append([evaluate(m, validation)[0] for m in (model, *twins)])
    return np.array(seen).T


def _anew(model: nn.Module, train: Images) -> list[nn.Module]:
    batches = list(train.x.split(BATCH)) * 3
    noisy = deepcopy(model)
    with torch.random.fork_rng(devices=[]):  # so that to watch does not change what is watched
        update_bn(batches, noisy)
    return [noisy, reestimate(deepcopy(model), batches)]


def residual(losses: Float[np.ndarray, "*runs epochs"]) -> Float[np.ndarray, "*runs"]:
    """The standard deviation of each run about its own quadratic trend: how much it swings.

    >>> residual(np.arange(8.0) ** 2).round(12)
    np.float64(0.0)
    """
    time = np.vander(np.linspace(-1, 1, losses.shape[-1]), 3)
    flat = losses.reshape(-1, losses.shape[-1]).T
    trend = time @ np.linalg.lstsq(time, flat, rcond=None)[0]
    return (flat - trend).std(axis=0, ddof=3).reshape(losses.shape[:-1])


def main() -> None:
    torch.set_num_threads(1)
    train, validation, _ = digits(train=300)
    builds = {**arms(), WATCHED[-1]: slow_averages}
    found = {}
    for name in WATCHED:
        for lr in LRS:
            runs = np.array([watch(builds[name], train, validation, seed=s, lr=lr) for s in SEEDS])
            found[f"{name}, lr {lr}"] = {
                "residual": residual(runs).tolist(),
                "end": runs[:, :, -1].tolist(),
            }
            print(name, lr, residual(runs).mean(axis=0).round(3), runs[:, 0, -1].mean().round(2),
                  flush=True)  # fmt: skip
    write(
        "steadiness",
        "python -m dropout.experiments.steadiness",
        SEEDS,
        grid={"lrs": LRS, "epochs": EPOCHS, "last": LAST},
        arms=found,
    )


if __name__ == "__main__":
    main()
