"""Regularizers against each other and against nothing, each tuned: table 9 on fewer images.

Srivastava et al. (2014), table 9, errors on MNIST of a network 784-1024-1024-2048-10: L2 1.62 %, L2
with L1 towards the end 1.60 %, L2 with KL-sparsity 1.55 %, max-norm 1.35 %, dropout with L2 1.25 %,
dropout with max-norm 1.05 %. Here two layers of 512 units learn from 10,000 images, so that there
is more to regularize in fewer steps.

L1 is used throughout training, and alone. The paper does not say what KL-sparsity means for units
that exceed 1: here a unit's mean activation over the batch is cut to (0, 1), as in
`mnist_networks.sparsity`. Means begin below .4, and the penalty is a wall before 1. The L2 beside
it is not tuned. Dropout is at the paper's rates, .5 on hidden units and .2 on the input. A first
round had one grid of learning rates for all; where an arm chose an end of its grid, it was moved
there. A run trains one network.
"""

from typing import Any

from dropout.experiments.comparison import comparison, product
from dropout.experiments.mnist_networks import train
from dropout.experiments.study import Settings
from dropout.training.seeds import seeds

BOUNDS = 0.35, 0.5, 0.7, 1.0  # of max-norm; units begin at .6
SIZE = {"widths": [512, 512], "examples": 10_000, "steps": 3000, "every": 500}
DROPOUT = SIZE | {"p": 0.5, "p_input": 0.2}


def arms() -> dict[str, tuple[Settings, list[Settings]]]:
    """Each arm's fixed settings and its grid of twelve points."""

    def tuned(fixed: Settings, *lrs: float, **axes: Any) -> tuple[Settings, list[Settings]]:
        return fixed, product(lr=lrs, **axes)

    return {
        "none": (SIZE, product(lr=[round(0.25 * 2 ** (k / 3), 3) for k in range(12)])),
        "l2": tuned(SIZE, 1.0, 2.0, 4.0, l2=(1e-4, 3e-4, 1e-3, 3e-3)),
        "l1": tuned(SIZE, 1.0, 2.0, 4.0, l1=(1e-7, 3e-7, 1e-6, 3e-6)),
        "sparsity + l2": tuned(SIZE | {"l2": 1e-4}, 0.5, 1.0, 2.0, kl=(3e-4, 1e-3, 3e-3, 1e-2)),
        "max-norm": tuned(SIZE, 1.0, 2.0, 4.0, c=BOUNDS),
        "dropout + l2": tuned(DROPOUT, 0.25, 0.5, 1.0, l2=(1e-6, 3e-6, 1e-5, 3e-5)),
        "dropout + max-norm": tuned(DROPOUT, 0.25, 0.5, 1.0, c=BOUNDS),
    }


STUDY = comparison(
    "regularizers",
    about="L2, L1, KL-sparsity, max-norm, and dropout with L2 or max-norm, tuned on equal grids",
    beside="Srivastava et al. (2014), table 9",
    scale="2 x 512 units (paper 1024-1024-2048), 10,000 images (paper 60,000), 3,000 steps of 100 "
    "images (30 epochs); L1 alone instead of L2 with L1 towards the end",
    train=train,
    arms={arm: fixed for arm, (fixed, _) in arms().items()},
    grids={arm: grid for arm, (_, grid) in arms().items()},
    tuning_seeds=seeds(1, 900),
    seeds=seeds(5, 1000),
    check={"arm": "sparsity + l2", "judge": "test", "widths": [64, 64], "examples": 1000,
           "kl": 1e-3, "l2": 1e-4, "lr": 1.0, "steps": 600, "every": 600, "seed": 1},
    by="error",
)  # fmt: skip
