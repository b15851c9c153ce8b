"""Dropout in a classifier of texts: an embedding and two hidden layers on IMDB's reviews.

The atlas has for such a network, as an illustration, an accuracy of 98 % in training and 72 % in
validation without dropout, 88 % and 81 % with Dropout(.5). Which gap is left depends on when
training stops: each network is measured at the time that validation data choose, and again after
all epochs.

A review is its first 256 words, of which the 10,000 most frequent ones in the training part have
vectors of their own. Either the mean of the vectors leads to the hidden layers ("mean"), or all of
them side by side do ("flat"): both are called an embedding and two hidden layers. Dropout stands
behind the embedding and behind each hidden layer.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dropout.experiments.comparison import comparison, finals, interval, product
from dropout.experiments.film_reviews import Part, Texts, split
from dropout.experiments.study import Finished, Result
from dropout.nn import Dropout
from dropout.training.seeds import seed, seeds

VOCABULARY, LENGTH = 10_000, 256
NOTHING, UNKNOWN = 0, 1  # what stands behind the last word, and for a word that is not frequent
PARTS: tuple[Part, ...] = ("train", "validation", "test")
EPOCHS, BATCH = 20, 100
VECTOR = 8  # components of a word's vector where all of them lead on
CHUNK = 5_000  # reviews that are measured at a time: a flat network needs 40 MiB for them


@dataclass(frozen=True)
class Numbered:
    """Reviews as the numbers of their first words, NOTHING behind the last, and their labels."""

    x: Int64[Tensor, "n length"]
    y: Int64[Tensor, "n"]


@lru_cache(maxsize=1)
def numbered(device: str = "cpu", examples: int | None = None) -> dict[Part, Numbered]:
    """The parts of the reviews; with `examples`, the first so many of each."""
    parts = split(examples)
    counts = Counter(word for review in parts["train"].words() for word in review)
    frequent = sorted(counts, key=lambda word: (-counts[word], word))[:VOCABULARY]
    number = {word: k for k, word in enumerate(frequent, UNKNOWN + 1)}
    return {
        part: Numbered(rows(texts, number).to(device), torch.from_numpy(texts.labels).to(device))
        for part, texts in parts.items()
    }


def rows(texts: Texts, number: dict[str, int]) -> Int64[Tensor, "n length"]:
    """The numbers of each review's first words."""
    found = torch.full((len(texts.texts), LENGTH), NOTHING)
    for row, review in zip(found, texts.words(), strict=True):
        first = review[:LENGTH]
        row[: len(first)] = torch.tensor([number.get(word, UNKNOWN) for word in first])
    return found


def network(layout: str, width: int, p: float) -> nn.Sequential:
    """A network of two hidden ReLU layers of this width, with dropout at rate p before each layer.

    A word's vector has as many components where the mean leads on ("mean"), else 8 ("flat").
    """
    words, layers = VOCABULARY + UNKNOWN + 1, list[nn.Module]()
    if layout == "mean":
        layers.append(nn.EmbeddingBag(words, width, mode="mean", padding_idx=NOTHING))
    else:
        layers += [nn.Embedding(words, VECTOR, padding_idx=NOTHING), nn.Flatten()]
    for inputs in (width if layout == "mean" else LENGTH * VECTOR, width):
        layers += [Dropout(p), nn.Linear(inputs, width), nn.ReLU()]
    return nn.Sequential(*layers, Dropout(p), nn.Linear(width, 2))


def train(
    *, arm: str, judge: str, device: str, seed: int, layout: str, width: int, p: float, lr: float,
    epochs: int = EPOCHS, stop: int | None = None, examples: int | None = None,
) -> Result:  # fmt: skip
    """Train one network by Adam, and measure it: after each epoch, or when it is to stop.

    A final run goes on to the last epoch, and has under "long" what was measured there.
    """
    data = numbered(device, examples)
    torch.manual_seed(seed)
    model = network(layout, width, p).to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    tuning = judge == "validation"
    at = list(range(1, epochs + 1)) if tuning else [stop or epochs, epochs]
    parts = ("validation",) if tuning else PARTS
    found: list[Result] = []
    for epoch in range(1, epochs + 1):
        train_epoch(model, optimiser, data["train"])
        if epoch in at:
            found.append({part: measured(model, data[part]) for part in parts})
    if tuning:
        curves = {name: [each["validation"][name] for each in found] for name in ("loss", "error")}
        return {"at": at, "validation": curves}
    return {**found[0], "long": found[-1]}


def train_epoch(model: nn.Module, optimiser: torch.optim.Optimizer, data: Numbered) -> None:
    """One pass over the reviews in a drawn order."""
    model.train()
    for batch in torch.randperm(len(data.y)).split(BATCH):
        optimiser.zero_grad()
        cross_entropy(model(data.x[batch]), data.y[batch]).backward()
        optimiser.step()


@torch.no_grad()
def measured(model: nn.Module, data: Numbered) -> dict[str, float]:
    """Loss (nats) and error (%) in evaluation mode."""
    model.eval()
    scores = torch.cat([model(x) for x in data.x.split(CHUNK)])
    wrong = (scores.argmax(dim=1) != data.y).double().mean()
    return {"loss": cross_entropy(scores, data.y).item(), "error": 100 * wrong.item()}


def summary(finished: Sequence[Finished]) -> Result:
    """What `comparison` tells, and accuracy (%) and loss of each part, chosen stop and long."""
    found = COMPARISON.summary(finished)
    for arm, of_arm in found["arms"].items():
        results = [each.result for each in finals(finished, arm)]
        of_arm["stopped"] = accuracies(results)
        of_arm["long"] = accuracies([result["long"] for result in results])
    return found | {"epochs": EPOCHS}


def accuracies(results: Sequence[dict[str, Any]]) -> Result:
    """The accuracy (%) and loss (nats) of several networks on each part."""
    return {
        part: {
            "accuracy": interval([100 - result[part]["error"] for result in results]),
            "loss": interval([result[part]["loss"] for result in results]),
        }
        for part in PARTS
    }


RATES, WIDTHS = (0.001, 0.003, 0.01, 0.03), (32, 64)
COMPARISON = comparison(
    "imdb_network",
    about="an embedding and two hidden layers on film reviews, with and without dropout",
    beside="the atlas's illustration: 98 / 72 % in training / validation without, 88 / 81 % with",
    scale="25,000 reviews for training, of which 5,000 for validation, and 25,000 for testing; the "
    "atlas says 50,000 examples and names no data",
    train=train,
    arms={
        "mean-none": {"layout": "mean", "p": 0.0},
        "mean-half": {"layout": "mean", "p": 0.5},
        "mean-tuned": {"layout": "mean", "width": 64},
        "flat-none": {"layout": "flat", "p": 0.0},
        "flat-half": {"layout": "flat", "p": 0.5},
    },
    grids={
        "mean-none": product(lr=RATES, width=WIDTHS),
        "mean-half": product(lr=RATES, width=WIDTHS),
        "mean-tuned": product(lr=RATES, p=(0.3, 0.7)),
        "flat-none": product(lr=RATES, width=WIDTHS),
        "flat-half": product(lr=RATES, width=WIDTHS),
    },
    tuning_seeds=[seed(0)],
    seeds=seeds(5, first=1),
    check={
        "arm": "mean-half", "layout": "mean", "p": 0.5, "lr": 0.01, "width": 32, "seed": 0,
        "judge": "test", "stop": 3, "epochs": 5, "examples": 2000,
    },
)  # fmt: skip
STUDY = replace(COMPARISON, summary=summary)
