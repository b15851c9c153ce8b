"""What dropout gains on 300 digits when every arm is tuned: chapter 01.

    python -m dropout.experiments.overfitting

Each split of the digits is a study of its own: its arms are tuned on its validation images, trained
on fresh seeds, and judged on its test images.
"""

from functools import partial
from typing import Any

from dropout.experiments.results import write
from dropout.experiments.tuned import compare
from dropout.training.data import digits
from dropout.training.loops import mlp
from dropout.training.seeds import seeds

SPLITS = seeds(4, first=100)
TUNING, FRESH = seeds(2, first=200), seeds(6, first=300)
DECAYS = (3e-4, 1e-3, 3e-3)
MANY: dict[str, Any] = {
    "lrs": (0.01, 0.02, 0.05, 0.1, 0.2, 0.4),
    "epochs": 200,
    "every": 10,
    "batch_size": 50,
}


def network(p: float) -> partial:
    """What builds the chapter's network with dropout at rate p after each hidden layer."""
    return partial(mlp, 64, 150, 150, 10, p=p)


def arms(by: str, split: int) -> dict[str, Any]:
    """All arms on one split of the digits with 300 training images, tuned by loss or accuracy."""
    data = digits(train=300, seed=split)
    rates = (0.0, 0.1, 0.2, 0.5, 0.8) if by == "loss" else (0.0, 0.5)
    alone = {"no dropout" if not p else f"dropout {p}": network(p) for p in rates}
    decayed = {"weight decay": network(0.0), "dropout 0.5, weight decay": network(0.5)}
    settings = MANY | {"by": by, "tuning_seeds": TUNING, "seeds": FRESH}
    return compare(alone, data, **settings) | compare(decayed, data, decays=DECAYS, **settings)


def main() -> None:
    """Run the study and store it."""
    write(
        "overfitting",
        "python -m dropout.experiments.overfitting",
        [*SPLITS, *TUNING, *FRESH],
        images=300,
        grid={**MANY, "weight_decays": DECAYS},
        by_loss=[arms("loss", split) for split in SPLITS],
        by_accuracy=[arms("accuracy", split) for split in SPLITS],
    )


if __name__ == "__main__":
    main()
