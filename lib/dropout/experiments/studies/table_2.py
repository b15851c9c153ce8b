"""With and without dropout, ReLU and logistic units, max-norm: table 2 and figure 4 in part.

Srivastava et al. (2014), table 2, errors on MNIST: a standard network with logistic units 1.60 %
(2 x 800 units), dropout 1.35 % with logistic units and 1.25 % with ReLU, dropout with max-norm
1.06 % (3 x 1024 units each). Figure 4 shows the test error as training goes on, which ends at 1.62
to 1.82 % without dropout and at 1.03 to 1.18 % with it. Here test images are looked at once, so the
curves are those of the validation error. Rates are the paper's, .5 on hidden units and .2 on the
input. Its bound, c = 2, never acted in a first round at the rates that were chosen, since PyTorch's
first weights are short: it is .7, as in `regularizers`. That round had the same learning rates for
all; where a way chose an end of its grid, it was moved there. A run trains one network.
"""

from collections.abc import Sequence
from dataclasses import replace

from dropout.experiments.comparison import TUNE, comparison, of, product
from dropout.experiments.mnist_networks import train
from dropout.experiments.study import Finished, Result, Settings
from dropout.training.seeds import seeds

SMALL = {"widths": [512, 512], "steps": 10_000, "every": 1000}
LARGE = SMALL | {"widths": [1024, 1024]}
LOGISTIC = SMALL | {"units": "logistic"}
DROPOUT = {"p": 0.5, "p_input": 0.2}
MAX_NORM = DROPOUT | {"c": 0.7}
WAYS: dict[str, tuple[Settings, Sequence[float]]] = {
    "standard, 512": (SMALL, (0.5, 1.0, 2.0)),
    "dropout, 512": (SMALL | DROPOUT, (0.25, 0.5, 1.0)),
    "dropout + max-norm, 512": (SMALL | MAX_NORM, (0.25, 0.5, 1.0)),
    "standard, logistic, 512": (LOGISTIC, (1.0, 2.0, 4.0)),
    "dropout, logistic, 512": (LOGISTIC | DROPOUT, (1.0, 2.0, 4.0)),
    "standard, 1024": (LARGE, (0.25, 0.5, 1.0)),
    "dropout + max-norm, 1024": (LARGE | MAX_NORM, (0.25, 0.5, 1.0)),
}
ARMS = {arm: fixed for arm, (fixed, _) in WAYS.items()}


def summary(finished: Sequence[Finished]) -> Result:
    """What `comparison` tells, and validation loss and error of each choice as training went on."""
    found = COMPARED.summary(finished)
    for arm, told in found["arms"].items():
        if told["chosen"]:
            runs = of(finished, stage=TUNE, arm=arm, **told["chosen"]["point"])
            told["curves"] = [{"at": run.result["at"], **run.result["validation"]} for run in runs]
    return found


COMPARED = comparison(
    "table_2",
    about="with and without dropout, ReLU and logistic units, max-norm, on MNIST",
    beside="Srivastava et al. (2014), table 2 and figure 4",
    scale="two hidden layers of 512 or 1024 units (paper 3 x 1024 to 2 x 8192), 10,000 steps of "
    "100 images (20 epochs; paper 1,000,000 steps), 50,000 images (paper 60,000 after tuning), "
    "three seeds",
    train=train,
    arms=ARMS,
    grids={arm: product(lr=lrs) for arm, (_, lrs) in WAYS.items()},
    tuning_seeds=seeds(1, 900),
    seeds=seeds(3, 1000),
    check={"arm": "dropout + max-norm, 512", "judge": "test", "widths": [64, 64], "p": 0.5,
           "p_input": 0.2, "c": 0.7, "lr": 1.0, "steps": 600, "every": 600, "seed": 1},
    by="error",
)  # fmt: skip
STUDY = replace(COMPARED, summary=summary)
