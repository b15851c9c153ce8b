"""A million sub-networks by doubling, beside the ways that do without.

    python -m dropout.theory.bench

Every way ends with the same two means of a softmax layer's sub-networks. The times go to
book/results/enumeration.json: the least and the median of each, of some rounds in which all take
their turn. What else the machine does can only add to a time, so the least says most. A few
minutes.
"""

import statistics
from collections.abc import Callable
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn

from dropout.experiments import write
from dropout.nn import Dropout
from dropout.theory.ensembles import (
    all_masks,
    arithmetic_mean,
    geometric_mean,
    mask_probabilities,
    sub_networks,
)

UNITS, CLASSES, P, SEED, ROUNDS = 20, 10, 0.5, 1, 5

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


def main() -> None:
    """Time the three in turns, check that they agree, and store their times."""
    torch.manual_seed(SEED)
    linear = nn.Linear(UNITS, CLASSES).double()
    x = torch.rand(1, UNITS, dtype=torch.float64)
    ways: dict[str, Callable[[nn.Linear, Tensor], Means]] = {
        "doubling": doubling, "one product": one_product, "one by one": one_by_one,
    }  # fmt: skip
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found = {}
    for turn in range(1, ROUNDS + 1):
        for name, way in ways.items():
            start = perf_counter()
            found[name] = way(linear, x)
            seconds[name].append(perf_counter() - start)
            print(f"{turn} of {ROUNDS}: {name} {seconds[name][-1]:.2f} s", flush=True)
    for means in found.values():
        for ours, other in zip(found["doubling"], means, strict=True):
            torch.testing.assert_close(other, ours, rtol=1e-10, atol=0.0)
    times = {name: {"least": min(t), "median": statistics.median(t)} for name, t in seconds.items()}
    write(
        "enumeration", "python -m dropout.theory.bench", [SEED],
        units=UNITS, classes=CLASSES, rounds=ROUNDS, seconds=times,
    )  # fmt: skip


if __name__ == "__main__":
    main()
