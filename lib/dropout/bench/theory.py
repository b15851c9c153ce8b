"""A million sub-networks by doubling, beside the ways that do without.

Every way ends with the same two means of a softmax layer's sub-networks. What else the machine does
can only add to a time, so the least says most.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dropout.bench import SEED
from dropout.bench.timing import in_turns, summaries, times_of
from dropout.bench.timing import table as table_of
from dropout.experiments import write
from dropout.nn import Dropout
from dropout.theory.ensembles import (
    all_masks,
    arithmetic_mean,
    geometric_mean,
    mask_probabilities,
    sub_networks,
)

UNITS, CLASSES, P, ROUNDS = 20, 10, 0.5, 5

Means = tuple[Tensor, Tensor]


def doubling(linear: nn.Linear, x: Tensor) -> Means:
    """As the library does it."""
    scores, probability = sub_networks(nn.Sequential(Dropout(P), linear), x)
    return arithmetic_mean(scores, probability)[0], geometric_mean(scores, probability)[0]


@torch.no_grad()
def one_product(linear: nn.Linear, x: Tensor) -> Means:
    """All masks as the rows of one matrix, times the weights."""
    masks = all_masks(UNITS)
    probability = torch.from_numpy(mask_probabilities(masks, 1 - P))
    scores = linear(torch.from_numpy(masks) * x / (1 - P))
    return arithmetic_mean(scores, probability), geometric_mean(scores, probability)


def one_by_one(linear: nn.Linear, x: Tensor) -> Means:
    """A loop over the masks, in NumPy, which has the least to do for a single call."""
    terms = (linear.weight.detach() * x / (1 - P)).numpy().T.copy()
    bias, digits = linear.bias.detach().numpy(), np.arange(UNITS)[::-1]
    arithmetic, geometric = np.zeros(CLASSES), np.zeros(CLASSES)
    for k in range(2**UNITS):
        mask = k >> digits & 1
        kept = mask.sum()
        probability = (1 - P) ** kept * P ** (UNITS - kept)
        scores = mask @ terms + bias
        scores -= scores.max()
        exponentials = np.exp(scores)
        total = exponentials.sum()
        arithmetic += probability / total * exponentials
        geometric += probability * (scores - np.log(total))
    return torch.from_numpy(arithmetic), torch.from_numpy(geometric).softmax(0)


WAYS: dict[str, Callable[[nn.Linear, Tensor], Means]] = {
    "doubling": doubling, "one product": one_product, "one by one": one_by_one,
}  # fmt: skip


def run() -> list[dict[str, Any]]:
    """One row, after a check that the ways agree."""
    linear = nn.Linear(UNITS, CLASSES).double()
    x = torch.rand(1, UNITS, dtype=torch.float64)
    found: dict[str, Means] = {}

    def keep(name: str) -> None:
        found[name] = WAYS[name](linear, x)

    samples = in_turns("theory", {name: partial(keep, name) for name in WAYS}, ROUNDS)
    for means in found.values():
        for ours, other in zip(found["doubling"], means, strict=True):
            torch.testing.assert_close(other, ours, rtol=1e-10, atol=0.0)
    row: dict[str, Any] = {"units": UNITS, "classes": CLASSES, "rounds": ROUNDS}
    rows = [row | {"seconds": summaries(samples)}]
    print(table(rows[0]), flush=True)
    return rows


def table(row: dict[str, Any]) -> str:
    """The times, and how many times doubling's each of the others takes."""
    title = f"all 2^{row['units']} sub-networks, {row['classes']} classes"
    return table_of(title, row["seconds"], {"/ doubling": times_of(row["seconds"], "doubling")})


def store(rows: list[dict[str, Any]], command: str) -> None:
    """Keep the row as book/results/enumeration.json."""
    write("enumeration", command, [SEED], **rows[0])
