"""Figure 10 of Srivastava et al. (2014): the gain by dropout, from 100 to 50,000 images.

The published network with half its units, with dropout (.5, on the input .2) and without, on six
sizes of training set. A run is one network. The images of a seed are the same with dropout and
without, and no two seeds share any, but for 50,000. Learning rate and time are chosen on 10,000
validation images, however few the training images are: more than anyone would have beside 100, so
that the choice is not what makes the small sets difficult.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dropout.experiments.comparison import FINAL, comparison, interval, of, product
from dropout.experiments.mnist_networks import TRAIN
from dropout.experiments.mnist_networks import train as train_one
from dropout.experiments.study import Finished, Result, Settings, Study
from dropout.training.seeds import seed, seeds

WIDTHS = [512, 512, 1024]
RATES: dict[str, Settings] = {
    "dropout": {"p": 0.5, "p_input": 0.2},
    "none": {"p": 0.0, "p_input": 0.0},
}
STEPS = {100: 500, 500: 1000, 1000: 1500, 5000: 2500, 10_000: 3000, 50_000: 10_000}  # by images
SMALL, LARGE = (100, 500, 1000), (5000, 10_000, 50_000)


def train(*, seed: int, examples: int, **settings: Any) -> Result:
    """Train as others do, on the images of this seed."""
    return train_one(seed=seed, examples=examples, first=first(seed, examples), **settings)


def first(seed: int, examples: int) -> int:
    """Where the images of a seed begin: the training images are cut into sets of this size.

    >>> [first(seed, 10_000) for seed in range(6)]
    [0, 10000, 20000, 30000, 40000, 0]
    """
    return seed % (TRAIN // examples) * examples


def arm(examples: int, rates: str) -> str:
    """The name of an arm.

    >>> arm(100, "dropout")
    '100 dropout'
    """
    return f"{examples} {rates}"


def learning_rates(examples: int, rates: str) -> tuple[float, ...]:
    """Those from which an arm chooses.

    Placed by earlier trials on validation data, such that the best is none of the outer two.
    """
    if rates == "dropout":
        return (0.1, 0.3, 1.0) if examples in (5000, 50_000) else (0.3, 1.0, 2.0)
    if examples == 100:
        return 0.03, 0.1, 0.3
    return (0.3, 1.0, 3.0) if examples in SMALL else (0.5, 1.5, 4.0)


def part(sizes: Sequence[int], tuned: int, final: int) -> Study:
    """Some of the sizes, with `tuned` seeds to choose by and `final` ones to judge by."""
    arms, grids = {}, {}
    for examples in sizes:
        steps = STEPS[examples]
        fixed = {"widths": WIDTHS, "examples": examples, "steps": steps, "every": steps // 5}
        for name, rates in RATES.items():
            arms[arm(examples, name)] = fixed | rates
            grids[arm(examples, name)] = product(lr=learning_rates(examples, name))
    return comparison(
        "data_size",
        about="How does the gain by dropout depend on the number of training images?",
        beside="Srivastava et al. (2014), figure 10",
        scale="784-512-512-1024-10 in place of 784-1024-1024-2048-10; 500 to 10,000 steps of at "
        "most 100 images; tuned on 10,000 validation images at every size",
        train=train,
        arms=arms,
        grids=grids,
        tuning_seeds=seeds(tuned, final),  # next to the others, and so on images of their own
        seeds=seeds(final),
        by="error",
        check={
            "arm": arm(500, "dropout"), "widths": [64, 64, 128], **RATES["dropout"], "lr": 0.5,
            "examples": 500, "steps": 200, "every": 200, "seed": seed(9), "judge": "test",
        },
    )  # fmt: skip


PARTS = part(SMALL, tuned=2, final=5), part(LARGE, tuned=1, final=3)


def runs(finished: Sequence[Finished]) -> list[Settings]:
    """The runs of all sizes, the small ones first."""
    return [settings for part in PARTS for settings in part.runs(finished)]


def summary(finished: Sequence[Finished]) -> Result:
    """What the comparisons find, under "parts", and for each size the `gain`."""
    return {
        "parts": [part.summary(finished) for part in PARTS],
        "gains": [{"examples": n} | gain(finished, n) for n in STEPS],
    }


def gain(finished: Sequence[Finished], examples: int) -> Result:
    """By how much error (%) and loss (nats) are less with dropout, on the same images each."""
    test = {
        name: {
            f.settings["seed"]: f.result["test"]
            for f in of(finished, stage=FINAL, arm=arm(examples, name))
        }
        for name in RATES
    }
    both = sorted(test["dropout"].keys() & test["none"].keys())
    return {
        measure: interval([test["none"][s][measure] - test["dropout"][s][measure] for s in both])
        for measure in ("error", "loss")
    }


STUDY = replace(PARTS[0], runs=runs, summary=summary)
