"""Does a deep network with dropout end where one with weight decay does? Chapter 07.

    python -m dropout.experiments.dropout_or_decay

Two hidden layers, 300 digits. Both arms are tuned, by validation loss, and trained on fresh seeds.
Then distances: between the networks of the two arms, and, as controls, between dropout and the same
dropout with other seeds, or at half the learning rate, for as many epochs and for twice as many.
Three splits of the digits; six minutes on one core.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from dropout.experiments.results import write
from dropout.experiments.tuned import compare
from dropout.training.data import Images, digits
from dropout.training.loops import mlp
from dropout.training.seeds import seeds
from dropout.training.sweep import sweep

Logits = Float64[Tensor, "networks images classes"]

SPLITS, TUNING = seeds(3, first=400), seeds(2, first=410)
FRESH, OTHERS = seeds(12, first=420), seeds(12, first=440)
GRID: dict[str, Any] = {
    "lrs": (0.00625, 0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8),
    "epochs": 640,
    "every": 20,
    "batch_size": 100,
}
DECAYS = (5e-4, 1e-3, 2e-3, 4e-3, 8e-3)
TEMPERATURES = np.geomspace(1 / 3, 3, 45)
NETWORK = {"dropout": partial(mlp, 64, 64, 64, 10, p=0.5), "decay": partial(mlp, 64, 64, 64, 10)}


def distances(a: Logits, b: Logits) -> np.ndarray:
    """Mean total variation distance of the predictions, each network of a with each of b."""
    a, b = a.softmax(-1), b.softmax(-1)
    return (a[:, None] - b[None]).abs().sum(-1).mean(-1).numpy() / 2


def apart(a: Logits, b: Logits) -> dict[str, float]:
    """How far two groups of networks lie apart, beyond how far their members lie from each other.

    `between` is the mean distance of a network of a from one of b, `within` the mean distance of
    two of the same group, over both groups, and `excess` what `between` has more: on average 0 for
    two groups that differ in their seeds only.

    >>> a = torch.tensor([[[0.0, 0.0]], [[0.0, 2.0]]]).double()
    >>> {name: round(value, 3) for name, value in apart(a, -a).items()}
    {'between': 0.381, 'within': 0.381, 'excess': 0.0}
    """
    between = float(distances(a, b).mean())
    others = [distances(group, group).sum() / (len(group) ** 2 - len(group)) for group in (a, b)]
    within = float(np.mean(others))
    return {"between": between, "within": within, "excess": between - within}


def apart_in_all_but_confidence(a: Logits, b: Logits) -> dict[str, float]:
    """The same, once b's logits are divided by the `temperature` that brings b nearest to a."""
    between = [distances(a, b / t).mean() for t in TEMPERATURES]
    temperature = float(TEMPERATURES[int(np.argmin(between))])
    return apart(a, b / temperature) | {"temperature": temperature}


def trained(
    arm: str, lr: float, weight_decay: float, epochs: int, data: tuple[Images, ...], each: list[int]
) -> Logits:
    """The logits on the test images of one network for each seed."""
    models, _ = sweep(
        [NETWORK[arm]] * len(each), data[0], data[1], seed=each, lr=lr, epochs=epochs, every=epochs,
        weight_decay=weight_decay, batch_size=GRID["batch_size"],
    )  # fmt: skip
    with torch.no_grad():
        return torch.stack([model(data[2].x) for model in models])


def study(split: int) -> dict[str, Any]:
    """Both arms, tuned, on one split of the digits, and the distances of five pairs of groups."""
    data = digits(train=300, seed=split)
    settings = GRID | {"tuning_seeds": TUNING, "seeds": FRESH}
    arms = compare({"dropout": NETWORK["dropout"]}, data, **settings)
    arms |= compare({"decay": NETWORK["decay"]}, data, decays=DECAYS, **settings)
    at = {name: arm["chosen"] for name, arm in arms.items()}
    half = {name: point | {"lr": point["lr"] / 2} for name, point in at.items()}
    twice = half["dropout"] | {"epochs": 2 * at["dropout"]["epochs"]}
    dropout = trained("dropout", **at["dropout"], data=data, each=FRESH)
    decay = trained("decay", **at["decay"], data=data, each=FRESH)
    pairs = {
        "dropout | weight decay": (dropout, decay),
        "dropout | other seeds": (
            dropout,
            trained("dropout", **at["dropout"], data=data, each=OTHERS),
        ),
        "dropout | half the learning rate": (
            dropout,
            trained("dropout", **half["dropout"], data=data, each=OTHERS),
        ),
        "dropout | half the rate, twice the epochs": (
            dropout,
            trained("dropout", **twice, data=data, each=OTHERS),
        ),
        "weight decay | half the learning rate": (
            decay,
            trained("decay", **half["decay"], data=data, each=OTHERS),
        ),
    }
    found = {
        name: {"as they are": apart(a, b), "one temperature": apart_in_all_but_confidence(a, b)}
        for name, (a, b) in pairs.items()
    }
    return {"split": split, "arms": arms, "apart": found}


def main() -> None:
    """Run the study and store it."""
    write(
        "dropout_or_decay",
        "python -m dropout.experiments.dropout_or_decay",
        [*SPLITS, *TUNING, *FRESH, *OTHERS],
        images=300,
        grid={**GRID, "weight_decays": DECAYS},
        splits=[study(split) for split in SPLITS],
    )


if __name__ == "__main__":
    main()
