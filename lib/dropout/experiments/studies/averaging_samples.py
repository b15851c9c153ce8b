"""Figure 11 of Srivastava et al. (2014): one pass of weight scaling against the mean of k samples.

Networks that are trained to the end answer the test images once with scaled weights, and by the
mean of the probabilities of k sub-networks, for k from 1 to 120. A run is a network, its training
and its `draws` times 120 sub-networks, which make 120 sets of one, 40 of 3, and so on to one of
120. All test images meet the same sub-networks: to draw them anew for each image would leave the
means over the sets as they are, but not their spread.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from dropout import MaskKey
from dropout.bayes import predict
from dropout.experiments.averaging import judged
from dropout.experiments.comparison import FINAL, comparison, interval, of, product
from dropout.experiments.mnist_networks import fit, measured, parts
from dropout.experiments.mnist_networks import train as tune
from dropout.experiments.study import Finished, Result
from dropout.training.data import Images
from dropout.training.seeds import seed, seeds

KS = [1, 3, 5, 7, 9, 11, 20, 50, 120]  # those of the figure, and one
MEASURES = "error", "loss"


def train(
    *, arm: str, judge: str, device: str, draws: int, ks: Sequence[int], **settings: Any
) -> Result:
    """Tune as others do; a final network is also asked for its averages of each k of `ks`."""
    if judge == "validation":
        return tune(arm=arm, judge=judge, device=device, **settings)
    model, _ = fit(device=device, **settings)
    data = parts(device)
    return {
        "train": measured(model, data["train"]),
        "test": measured(model, data["test"]),
        "averages": averages(model, data["test"], ks, draws, settings["seed"]),
    }


def averages(
    model: nn.Module, data: Images, ks: Sequence[int], draws: int, seed: int
) -> list[Result]:
    """Error (%) and log loss (nats) of the averages of each k: means and deviations over the sets.

    Each of the `draws` makes as many sets of k as go into the greatest of `ks`; no two sets of one
    k share a sub-network.
    """
    found: dict[int, list[dict[str, float]]] = {k: [] for k in ks}
    for draw in range(draws):
        drawn = predict(model, data.x, max(ks), key=MaskKey(seed, step=draw)).double().softmax(-1)
        for k in ks:
            found[k] += sets_of(drawn, data.y, k)
    return [{"k": k, "sets": len(found[k])} | spread(found[k]) for k in ks]


def sets_of(
    drawn: Float[Tensor, "samples inputs classes"], labels: Int64[Tensor, "inputs"], k: int
) -> list[dict[str, float]]:
    """The mean predictions of the first k samples, the next k, and so on, each `judged`."""
    whole = len(drawn) // k * k
    return [judged(part.mean(0), labels) for part in drawn[:whole].split(k)]


def spread(sets: Sequence[dict[str, float]]) -> Result:
    """Mean and standard deviation of error and loss; no deviation of a single set."""
    found = {}
    for name in MEASURES:
        values = torch.tensor([each[name] for each in sets], dtype=torch.float64)
        sd = values.std().item() if len(sets) > 1 else None
        found[name] = {"mean": values.mean().item(), "sd": sd}
    return found


def compared(final: Sequence[Finished]) -> Result:
    """For each k the means of the networks, their differences from weight scaling, and spreads.

    `draws_sd` is the deviation over the sets of one network, the root of its mean square over the
    networks.
    """
    found: Result = {"weight_scaling": {}, "averages": []}
    for name in MEASURES:
        found["weight_scaling"][name] = interval([f.result["test"][name] for f in final])
    for place, first in enumerate(final[0].result["averages"] if final else []):
        row: Result = {"k": first["k"], "sets": first["sets"]}
        for name in MEASURES:
            each = [f.result["averages"][place][name] for f in final]
            once = found["weight_scaling"][name]["values"]
            means = [one["mean"] for one in each]
            sds = [one["sd"] for one in each]
            row[name] = interval(means) | {
                "minus_weight_scaling": interval([a - b for a, b in zip(means, once, strict=True)]),
                "draws_sd": None if None in sds else (sum(s**2 for s in sds) / len(sds)) ** 0.5,
            }
        found["averages"].append(row)
    return found


_TRAINED = comparison(
    "averaging_samples",
    about="How many sampled sub-networks, averaged, do as well as one pass of weight scaling?",
    beside="Srivastava et al. (2014), figure 11",
    scale="a network of 784-512-512-10, where the figure's has an error of 1.05 %; 50,000 images "
    "in place of 60,000, 10,000 steps of 100 in place of a million; the sub-networks are the same "
    "for all test images",
    train=train,
    arms={
        "dropout + max-norm": {
            "widths": [512, 512], "p": 0.5, "p_input": 0.2, "c": 2.0, "steps": 10_000,
            "every": 2500, "draws": 3, "ks": KS,
        },
    },
    grids={"dropout + max-norm": product(lr=(0.25, 0.5, 1.0, 2.0))},
    tuning_seeds=seeds(1, 100),
    seeds=seeds(5),
    by="error",
    check={
        "arm": "dropout + max-norm", "widths": [64], "p": 0.5, "p_input": 0.2, "c": 2.0, "lr": 0.5,
        "steps": 200, "every": 200, "draws": 1, "ks": [1, 3], "seed": seed(9), "judge": "test",
    },
)  # fmt: skip


def summary(finished: Sequence[Finished]) -> Result:
    """The comparison's, with what is `compared`."""
    final = sorted(of(finished, stage=FINAL), key=lambda f: f.settings["seed"])
    return _TRAINED.summary(finished) | compared(final)


STUDY = replace(_TRAINED, summary=summary)
