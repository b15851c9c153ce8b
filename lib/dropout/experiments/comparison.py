"""Studies that compare arms: each tuned on validation data, all judged on test data.

Every arm has a grid of points, as many as any other. Each point is trained with the tuning seeds
and measured on validation data; the best is trained anew with fresh seeds, and only these networks
see the test data.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import t

from dropout.experiments.study import Finished, Result, Settings, Study, as_json

TUNE, FINAL = "tune", "final"
LEVEL = 0.95  # of the intervals


def comparison(
    name: str,
    *,
    about: str,
    beside: str,
    scale: str,
    train: Callable[..., Result],
    arms: Mapping[str, Settings],
    grids: Mapping[str, Sequence[Settings]],
    tuning_seeds: Sequence[int],
    seeds: Sequence[int],
    check: Settings,
    by: str = "loss",
    version: int = 1,
) -> Study:
    """A study of arms: `arms` has for each its fixed settings, `grids` the points to choose from.

    `train(arm=..., seed=..., judge=..., device=..., **fixed, **point)` trains one network. To tune,
    `judge` is "validation", and the result has, under "validation", for each time at which the
    network was measured its "loss" (nats) and "error" (%), and under "at" those times. The final
    runs get `judge` "test" and `stop`, the time that was chosen; the result has the loss and error
    under "train" and "test".

    The point and the time with the least mean over the tuning seeds are chosen, `by` "loss" or
    "error". Raises ValueError where the grids are not of equal size or seeds are used twice.
    """
    arms, grids = as_json(dict(arms)), as_json(dict(grids))
    sizes = {arm: len(grids[arm]) for arm in arms}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"the arms' grids must be of equal size, got {sizes}")
    if again := set(tuning_seeds) & set(seeds):
        raise ValueError(f"seeds {sorted(again)} would both tune and judge")

    def tuning(arm: str) -> list[Settings]:
        fixed = {"stage": TUNE, "arm": arm, "judge": "validation"} | arms[arm]
        return [fixed | {"seed": s} | point for point in grids[arm] for s in tuning_seeds]

    def chosen_of(finished: Sequence[Finished], arm: str) -> Result | None:
        tuned = among(of(finished, stage=TUNE, arm=arm), tuning(arm))
        return choice(tuned, arm, grids[arm], len(tuning_seeds), by)

    def judging(arm: str, chosen: Result | None) -> list[Settings]:
        if not chosen:
            return []
        fixed = {"stage": FINAL, "arm": arm, "judge": "test"} | arms[arm]
        point = chosen["point"] | {"stop": chosen["stop"]}
        return [fixed | {"seed": s} | point for s in seeds]

    def runs(finished: Sequence[Finished]) -> list[Settings]:
        listed = [each for arm in arms for each in tuning(arm)]
        for arm in arms:
            listed += judging(arm, chosen_of(finished, arm))
        return listed

    def summary(finished: Sequence[Finished]) -> Result:
        found: Result = {"grid_size": len(next(iter(grids.values()))), "by": by, "arms": {}}
        for arm in arms:
            chosen = chosen_of(finished, arm)
            final = among(finals(finished, arm), judging(arm, chosen))
            found["arms"][arm] = {"settings": arms[arm], "chosen": chosen, **judged(final)}
        return found | {"tuning_seeds": list(tuning_seeds), "seeds": list(seeds)}

    return Study(name, about, beside, scale, train, runs, summary, check, version)


def curve(measured: Sequence[tuple[int, float, float]]) -> Result:
    """The result of a run that tunes, from the time, loss and error of each measurement.

    >>> curve([(10, 0.5, 20.0), (20, 0.25, 10.0)])
    {'at': (10, 20), 'validation': {'loss': (0.5, 0.25), 'error': (20.0, 10.0)}}
    """
    at, loss, error = zip(*measured, strict=True)
    return {"at": at, "validation": {"loss": loss, "error": error}}


def choice(
    finished: Sequence[Finished], arm: str, grid: Sequence[Settings], tuned: int, by: str
) -> Result | None:
    """The best point of an arm and when to stop, or None while a run of its tuning is missing.

    `finished` has no other runs of the arm's tuning than those to choose by, `tuned` for a point.
    `edge` names the numbers whose best value is the least or greatest that was tried.
    """
    curves = []
    for point in grid:
        of_point = [each.result for each in of(finished, stage=TUNE, arm=arm, **point)]
        if len(of_point) < tuned:
            return None
        values = np.array([each["validation"][by] for each in of_point], float)
        curves.append(np.nan_to_num(values, nan=np.inf).mean(axis=0))
        at = of_point[0]["at"]
    best, time = np.unravel_index(np.argmin(curves), np.shape(curves))
    point = grid[int(best)]
    numbers = {name: value for name, value in point.items() if isinstance(value, int | float)}
    edge = [
        name for name, value in numbers.items()
        if len(axis := sorted({each[name] for each in grid})) > 1 and value in (axis[0], axis[-1])
    ]  # fmt: skip
    if len(at) > 1 and time == len(at) - 1:
        edge.append("stop")
    return {"point": point, "stop": at[int(time)], by: float(curves[best][time]), "edge": edge}


def of(finished: Sequence[Finished], **settings: Any) -> list[Finished]:
    """The runs that have these settings."""
    return [each for each in finished if each.settings.items() >= settings.items()]


def among(finished: Sequence[Finished], planned: Sequence[Settings]) -> list[Finished]:
    """The runs whose settings are planned: no others, of earlier seeds or fixed settings."""
    return [each for each in finished if each.settings in planned]


def finals(finished: Sequence[Finished], arm: str) -> list[Finished]:
    """The networks of an arm that are judged, by seed: those of two arms stand in pairs."""
    return sorted(of(finished, stage=FINAL, arm=arm), key=lambda run: run.settings["seed"])


def judged(final: Sequence[Finished]) -> Result:
    """The seconds of final networks, and the `interval` of loss and error in training and test."""
    found: Result = {"seconds": [round(f.seconds, 2) for f in final]}
    for part in ("train", "test"):
        found[part] = {
            name: interval([f.result[part][name] for f in final]) for name in ("loss", "error")
        }
    return found


def interval(values: Sequence[float], level: float = LEVEL) -> Result:
    """The values, their mean, standard deviation, and half the interval of Student for the mean.

    >>> found = interval([1.0, 2.0, 3.0])
    >>> found["mean"], found["sd"], round(found["half"], 2)
    (2.0, 1.0, 2.48)
    """
    n = len(values)
    mean = float(np.mean(values)) if n else None
    sd = float(np.std(values, ddof=1)) if n > 1 else None
    half = float(t.ppf((1 + level) / 2, n - 1) * sd / n**0.5) if sd is not None else None
    return {"values": list(values), "mean": mean, "sd": sd, "half": half}


def product(**axes: Sequence[Any]) -> list[Settings]:
    """The points of a grid: every combination of the values of its axes.

    >>> product(lr=(0.1, 0.2), p=(0.5,))
    [{'lr': 0.1, 'p': 0.5}, {'lr': 0.2, 'p': 0.5}]
    """
    points: list[Settings] = [{}]
    for name, values in axes.items():
        points = [point | {name: value} for point in points for value in values]
    return points
