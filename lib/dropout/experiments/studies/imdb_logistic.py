"""Dropout as a penalty of logistic regression: Wager, Wang and Liang (2013), on IMDB's reviews.

They trained a linear classifier on which words, or words and pairs of adjacent words, a review has.
Instead of drawing masks they added what dropout costs to second order: a quadratic penalty, little
for a feature whose reviews are sure of their class. Beside it stand here L2, and dropout itself, a
fresh mask for each review and pass.

The quadratic penalty is not convex, and vanishes where each review is far on its side; nor does
dropout bound the weight of a feature that one class alone has. So both have some L2 in their grids,
and an arm shows the penalty alone. L2 and the penalties are fitted by L-BFGS, which draws nothing:
one final run each. No arm may choose when to stop. The final runs train on all 25,000 reviews that
are for training.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import expit, log_expit
from scipy.stats import norm
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from dropout.experiments.comparison import FINAL, TUNE, comparison, of, product
from dropout.experiments.film_reviews import Part, Texts, split
from dropout.experiments.study import Finished, Result, Settings
from dropout.training import seeds

WORDS = 1 << 20  # more than there are different words; a pair is (first + 1) * WORDS + second
LEAST = 2  # reviews of the training part that a feature must be in
ITERATIONS = 200  # of L-BFGS, at most
EPOCHS, BATCH, LR, TINY = 40, 500, 0.1, 1e-12  # of AdaGrad

Vector = Float64[np.ndarray, "features+1"]


@dataclass(frozen=True)
class Bags:
    """Which features each review has, as a sparse matrix of ones, and the reviews' labels, 0 or 1.

    The last column is the constant feature, that no penalty and no mask touches.
    """

    x: csr_array
    y: Int64[np.ndarray, "n"]


@lru_cache(maxsize=1)
def bags(pairs: bool, *, whole: bool, examples: int | None = None) -> dict[Part, Bags]:
    """The parts of the reviews; the first is that for training and validation where it is `whole`.

    With `examples`, the first so many reviews of each part.
    """
    parts, number = split(examples), dict[str, int]()
    if whole:
        train, held_out = parts["train"], parts.pop("validation")
        parts["train"] = Texts(
            train.texts + held_out.texts, np.append(train.labels, held_out.labels)
        )
    found = {
        part: [codes(review, number, pairs) for review in texts.words()]
        for part, texts in parts.items()
    }
    features, counts = np.unique(np.concatenate(found["train"]), return_counts=True)
    features = features[counts >= LEAST]
    return {part: Bags(matrix(found[part], features), parts[part].labels) for part in parts}


def codes(review: list[str], number: dict[str, int], pairs: bool) -> Int64[np.ndarray, "k"]:
    """The features of a review, each once; `number` takes up the words that it lacks."""
    words = np.array([number.setdefault(word, len(number)) for word in review], np.int64)
    if not pairs:
        return np.unique(words)
    return np.unique(np.concatenate([words, (words[:-1] + 1) * WORDS + words[1:]]))


def matrix(reviews: list[np.ndarray], features: Int64[np.ndarray, "d"]) -> csr_array:
    """Which of these features, in ascending order, each review has: (reviews, features + 1)."""
    columns, lengths = [], []
    for review in reviews:
        at = np.searchsorted(features, review)
        at = at[features[np.minimum(at, len(features) - 1)] == review]
        columns.append(np.append(at, len(features)))
        lengths.append(len(at) + 1)
    starts, column = np.append(0, np.cumsum(lengths)), np.concatenate(columns).astype(np.int32)
    shape = (len(reviews), len(features) + 1)
    return csr_array((np.ones(len(column)), column, starts.astype(np.int32)), shape)


def penalised(w: Vector, data: Bags, l2: float, p: float) -> tuple[float, Vector]:
    """Mean loss, dropout's quadratic penalty at drop rate p, and l2/2 ‖w‖²; and the gradient.

    The penalty of a review is ½ (p/q) σ(z) (1 - σ(z)) Σ_j x_j² w_j², where x_j² = x_j.
    """
    n, free = len(data.y), np.append(w[:-1], 0)
    z, squares = (data.x @ np.stack([w, free**2], axis=1)).T
    probability, c = expit(z), p / (1 - p) / 2
    curvature = probability * (1 - probability)
    loss = -log_expit(np.where(data.y, z, -z)).sum() + c * curvature @ squares
    by_z = probability - data.y + c * curvature * (1 - 2 * probability) * squares
    by_w, by_squares = (data.x.T @ np.stack([by_z, c * curvature], axis=1)).T
    return (
        float(loss / n + l2 / 2 * free @ free),
        (by_w + 2 * by_squares * free) / n + l2 * free,
    )


def fit_penalised(data: Bags, *, l2: float, p: float) -> Vector:
    """The weights that L-BFGS finds from none, the constant's the last."""
    start, options = np.zeros(data.x.shape[1]), {"maxiter": ITERATIONS, "gtol": 1e-6, "ftol": 1e-9}
    with threadpool_limits(1):  # sums that depend on the number of cores would change the result
        found = minimize(
            penalised, start, (data, l2, p), method="L-BFGS-B", jac=True, options=options
        )
    return found.x


def fit_sampled(data: Bags, *, l2: float, p: float, seed: int, epochs: int = EPOCHS) -> Vector:
    """The weights that AdaGrad finds with a fresh mask for each review and pass, and l2/2 ‖w‖².

    An epoch is a pass in a drawn order, a step 500 reviews; the steps shrink to nothing in a
    straight line. Source of AdaGrad: Duchi, Hazan and Singer (2011).
    """
    draw, constant = np.random.default_rng(seed), data.x.shape[1] - 1
    w, squares, done = np.zeros(constant + 1), np.zeros(constant + 1), 0.0
    steps = epochs * -(-len(data.y) // BATCH)
    for _ in range(epochs):
        order = draw.permutation(len(data.y))
        for at in np.split(order, range(BATCH, len(order), BATCH)):
            x, y = data.x[at], data.y[at]
            kept = draw.random(x.nnz, np.float32) >= p
            x.data = np.where(x.indices == constant, 1.0, kept / (1 - p))
            gradient = x.T @ (expit(x @ w) - y) / len(at)
            gradient[:-1] += l2 * w[:-1]
            squares += gradient**2
            w -= LR * (1 - done) * gradient / np.sqrt(squares + TINY)
            done += 1 / steps
    return w


def measured(w: Vector, data: Bags) -> dict[str, float]:
    """Loss (nats) and error (%) without dropout."""
    z = data.x @ w
    loss = -log_expit(np.where(data.y, z, -z)).mean()
    return {"loss": float(loss), "error": float(100 * np.mean((z > 0) != data.y))}


def train(
    *, arm: str, judge: str, device: str, seed: int, pairs: bool, sampled: bool, l2: float,
    p: float, stop: int | None = None, examples: int | None = None,
) -> Result:  # fmt: skip
    """Fit one classifier, whose end no arm chooses (`stop` is that end), and measure it.

    A final run has under "wrong" the test reviews that it gets wrong: bits in hexadecimal digits.
    Raises ValueError for another device than the CPU, which alone does this work.
    """
    if device != "cpu":
        raise ValueError(f"this study is done on the CPU: leave out --device {device}")
    data = bags(pairs, whole=judge != "validation", examples=examples)
    if sampled:
        w = fit_sampled(data["train"], l2=l2, p=p, seed=seed)
    else:
        w = fit_penalised(data["train"], l2=l2, p=p)
    if judge == "validation":
        found = measured(w, data["validation"])
        at = EPOCHS if sampled else ITERATIONS
        return {"at": [at], "validation": {name: [value] for name, value in found.items()}}
    test = data["test"]
    wrong = np.packbits((test.x @ w > 0) != test.y).tobytes().hex()
    return {part: measured(w, data[part]) for part in ("train", "test")} | {"wrong": wrong}


def runs(finished: Sequence[Finished]) -> list[Settings]:
    """The runs of `comparison`, with one final run of what draws nothing."""
    return [
        each for each in COMPARISON.runs(finished)
        if each["stage"] != FINAL or each["sampled"] or each["seed"] == SEEDS[0]
    ]  # fmt: skip


def summary(finished: Sequence[Finished]) -> Result:
    """What `comparison` tells, each arm's validation errors, and its gains over L2 on test data."""
    found = COMPARISON.summary(finished)
    for arm, of_arm in found["arms"].items():
        tuned = of(finished, stage=TUNE, arm=arm)
        of_arm["grid"] = [
            {name: each.settings[name] for name in ("p", "l2")}
            | {name: values[0] for name, values in each.result["validation"].items()}
            for each in tuned
        ]
        base = of(finished, stage=FINAL, arm=f"{arm.split('-')[0]}-l2")
        final = of(finished, stage=FINAL, arm=arm, seed=SEEDS[0])
        of_arm["gain"] = gain(base[0].result, final[0].result) if base and final else None
    return found


def gain(base: Result, other: Result) -> dict[str, float]:
    """How many percent more of the test reviews the second gets right, ± 95 %, by pairs."""
    first, second = (
        np.unpackbits(np.frombuffer(bytes.fromhex(each["wrong"]), np.uint8)).astype(float)
        for each in (base, other)
    )
    difference = 100 * (first - second)
    half = norm.ppf(0.975) * difference.std(ddof=1) / len(difference) ** 0.5
    return {"mean": float(difference.mean()), "half": float(half)}


def arms() -> tuple[dict[str, Settings], dict[str, list[Settings]]]:
    """The arms' fixed settings, and the points from which each is chosen."""
    decay = [0.0001 * factor for factor in (0.1, 0.2, 0.5, 1, 2, 3, 5, 7, 10, 20, 50, 100)]
    rates = product(p=(0.3, 0.5, 0.7, 0.9), l2=(0.0001, 0.0003, 0.001))
    fixed: dict[str, Settings] = {}
    grids: dict[str, list[Settings]] = {}
    for features in ("words", "pairs"):
        kind: dict[str, Any] = {"pairs": features == "pairs"}
        fixed[f"{features}-l2"] = kind | {"sampled": False, "p": 0.0}
        grids[f"{features}-l2"] = product(l2=decay)
        for name, sampled in (("quadratic", False), ("sampled", True)):
            fixed[f"{features}-{name}"] = kind | {"sampled": sampled}
            grids[f"{features}-{name}"] = rates
    alone = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
    fixed["words-alone"] = {"pairs": False, "sampled": False, "l2": 0.0}
    grids["words-alone"] = product(p=alone)
    return fixed, grids


SEEDS = seeds.seeds(5, first=1)
ARMS, GRIDS = arms()
COMPARISON = comparison(
    "imdb_logistic",
    about="logistic regression on film reviews: L2, dropout's quadratic penalty, dropout",
    beside="no published table; the method is that of Wager, Wang and Liang (2013)",
    scale="all reviews with labels, as there; none without, which the paper adds for its best "
    "results; words are letters, digits and apostrophes, and features those of two reviews or more",
    train=train,
    arms=ARMS,
    grids=GRIDS,
    tuning_seeds=[seeds.seed(0)],
    seeds=SEEDS,
    by="error",
    check={
        "arm": "pairs-quadratic", "pairs": True, "sampled": False, "p": 0.5, "l2": 0.0001,
        "seed": 0, "judge": "test", "examples": 1500,
    },
)  # fmt: skip
STUDY = replace(COMPARISON, runs=runs, summary=summary)
