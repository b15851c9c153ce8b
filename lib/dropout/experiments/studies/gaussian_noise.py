"""Coins against normal noise of the same variance: two hidden layers on MNIST.

Srivastava et al. (2014), table 10: dropout at rate .5 gives an error of 1.08 ± .04 %,
multiplication by N(1, (1 - p)/p) of .95 ± .04 %, over ten networks of 2 x 1024 units each. Here
networks of 2 x 512 units learn from 10,000 images, few enough for noise to help within the steps
that there are; without noise is the control. The noise is on the hidden units only, so that nothing
else differs between the arms, and both kinds draw equally much from the generator: two networks of
one seed begin with the same weights and see the images in the same order. Hence the differences are
told seed by seed.

A run trains one network.
"""

from collections.abc import Sequence
from dataclasses import replace

from dropout.experiments.comparison import FINAL, comparison, interval, of, product
from dropout.experiments.mnist_networks import train
from dropout.experiments.study import Finished, Result
from dropout.training.seeds import seeds

SIZE = {"widths": [512, 512], "examples": 10_000, "steps": 6000, "every": 1500}
ARMS = {
    "bernoulli": SIZE | {"p": 0.5, "noise": "bernoulli"},
    "gaussian": SIZE | {"p": 0.5, "noise": "gaussian"},
    "none": SIZE,
}
SEEDS = seeds(8, 1000)


def paired(finished: Sequence[Finished], arm: str, other: str) -> Result:
    """Test loss (nats) and error (%) of an arm minus those of another, seed by seed."""
    found = {}
    for name in ("loss", "error"):
        one, two = (
            {each.settings["seed"]: each.result["test"][name] for each in final}
            for final in (of(finished, stage=FINAL, arm=arm) for arm in (arm, other))
        )
        found[name] = interval(
            [one[seed] - two[seed] for seed in SEEDS if seed in one.keys() & two.keys()]
        )
    return found


def summary(finished: Sequence[Finished]) -> Result:
    """What `comparison` tells, and the difference between the two kinds of noise."""
    return COMPARED.summary(finished) | {
        "gaussian - bernoulli": paired(finished, "gaussian", "bernoulli")
    }


COMPARED = comparison(
    "gaussian_noise",
    about="dropout against multiplication by normal noise of equal variance, paired by seed",
    beside="Srivastava et al. (2014), table 10, MNIST",
    scale="2 x 512 units (paper 2 x 1024), 10,000 images (paper 60,000), 6,000 steps of 100 images "
    "(60 epochs), eight seeds (paper ten), no noise on the input, no max-norm",
    train=train,
    arms=ARMS,
    grids=dict.fromkeys(ARMS, product(lr=(0.5, 1.0, 2.0))),
    tuning_seeds=seeds(1, 900),
    seeds=SEEDS,
    check={"arm": "gaussian", "judge": "test", "widths": [64, 64], "p": 0.5, "noise": "gaussian",
           "lr": 1.0, "steps": 600, "every": 600, "seed": 1},
    by="error",
)  # fmt: skip
STUDY = replace(COMPARED, summary=summary)
