"""Figure 9 of Srivastava et al. (2014): the error against the rate, and the rate on the input.

Three panels: hidden layers of 512 units at every rate; as many units as leave 128 in use at every
rate, so that a higher rate has a larger network; and rates on the input of the first network at
p = .5. A run is one network. The published figure has 2048 units a layer, and 256, 256 and 512 in
use. The final networks are measured on validation data as well, by which a rate is to be chosen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dropout.experiments.comparison import comparison, finals, interval, product
from dropout.experiments.mnist_networks import fit, measured, parts, training
from dropout.experiments.mnist_networks import train as tune
from dropout.experiments.study import Finished, Result, Settings
from dropout.training.seeds import seed, seeds

UNITS, IN_USE, HIDDEN = 512, 128, 0.5
SHARED = 1 - IN_USE / UNITS  # .75, at which both networks are the same
RATES = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, SHARED]
HIGHEST = 0.85
INPUT_RATES = [0.0, 0.1, 0.2, 0.3, 0.5]
EXAMPLES, STEPS = 5000, 2000
PARTS = "train", "validation", "test"


def arm(units: int, p: float, p_input: float = 0.0) -> str:
    """The name of an arm.

    >>> arm(512, 0.5), arm(512, 0.5, 0.2)
    ('512 at 0.5', '512 at 0.5, input at 0.2')
    """
    return f"{units} at {p}" + (f", input at {p_input}" if p_input else "")


def settings(units: int, p: float, p_input: float = 0.0) -> Settings:
    """The fixed settings of an arm."""
    return {
        "widths": [units] * 3, "p": p, "p_input": p_input,
        "examples": EXAMPLES, "steps": STEPS, "every": STEPS // 5,
    }  # fmt: skip


def learning_rates(p: float) -> tuple[float, ...]:
    """Those from which an arm chooses: the higher the rate, the noisier the gradients."""
    if p < 0.3:
        return 0.3, 1.0, 2.0, 4.0
    return (0.1, 0.3, 1.0, 2.0) if p < HIGHEST else (0.03, 0.1, 0.3, 1.0)


def points() -> dict[str, dict[float, tuple[int, float, float]]]:
    """For each panel its rates, and the units, hidden and input rate of the network at each."""
    return {
        "units": {p: (UNITS, p, 0.0) for p in [*RATES, HIGHEST]},
        "in_use": {p: (round(IN_USE / (1 - p)), p, 0.0) for p in RATES},
        "input": {p: (UNITS, HIDDEN, p) for p in INPUT_RATES},
    }


PANELS = {name: {p: arm(*at) for p, at in panel.items()} for name, panel in points().items()}
ARMS = {arm(*at): settings(*at) for panel in points().values() for at in panel.values()}


def train(*, arm: str, judge: str, device: str, **settings: Any) -> Result:
    """Tune as others do; a final network is measured on the validation data too."""
    if judge == "validation":
        return tune(arm=arm, judge=judge, device=device, **settings)
    model, _ = fit(device=device, **settings)
    found = {name: measured(model, parts(device)[name]) for name in ("validation", "test")}
    return found | {"train": measured(model, training(device, settings["examples"]))}


def errors(finished: Sequence[Finished], arm: str, part: str) -> dict[int, float]:
    """The errors (%) of an arm's final networks, by seed."""
    return {f.settings["seed"]: f.result[part]["error"] for f in finals(finished, arm)}


def panel(finished: Sequence[Finished], arms: Mapping[float, str]) -> Result:
    """A panel's errors (%) by rate, and which rates validation data choose.

    `chosen` is, for each seed whose networks are all there, the rate of the least validation error,
    and `chosen_test` the test errors that these choices lead to.
    """
    by_seed = {part: [errors(finished, name, part) for name in arms.values()] for part in PARTS}
    whole = sorted(set.intersection(*(set(each) for each in by_seed["test"])))
    places = [min(range(len(arms)), key=lambda k: by_seed["validation"][k][s]) for s in whole]
    return {
        "rates": list(arms),
        "arms": list(arms.values()),
        **{part: [interval(list(each.values())) for each in by_seed[part]] for part in PARTS},
        "chosen": [list(arms)[k] for k in places],
        "chosen_test": interval(
            [by_seed["test"][k][s] for k, s in zip(places, whole, strict=True)]
        ),
    }


_TRAINED = comparison(
    "rate",
    about="Which rate is best, with n units a layer, with qn of them in use, and on the input?",
    beside="Srivastava et al. (2014), figure 9",
    scale="three layers of 512 units in place of 2048, 128 in use in place of 256, 256 and 512 and "
    "rates up to .75 there; 5,000 training images in place of 60,000, 2,000 steps of 100",
    train=train,
    arms=ARMS,
    grids={name: product(lr=learning_rates(at["p"])) for name, at in ARMS.items()},
    tuning_seeds=seeds(1, 100),
    seeds=seeds(5),
    by="error",
    check={
        "arm": arm(UNITS, HIDDEN, 0.2), "widths": [64] * 3, "p": HIDDEN, "p_input": 0.2, "lr": 0.5,
        "examples": 1000, "steps": 200, "every": 200, "seed": seed(9), "judge": "test",
    },
)  # fmt: skip


def summary(finished: Sequence[Finished]) -> Result:
    """The comparison's, with each `panel`."""
    panels = {name: panel(finished, arms) for name, arms in PANELS.items()}
    return _TRAINED.summary(finished) | {"panels": panels}


STUDY = replace(_TRAINED, summary=summary)
