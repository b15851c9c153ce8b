"""Training a network on a data set, and what it learned on the way."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float64
from torch import nn
from torch.nn.functional import cross_entropy

from dropout.nn import Dropout
from dropout.training.data import Images


@dataclass(frozen=True)
class History:
    """Mean cross-entropy (nats) and accuracy after every epoch, in evaluation mode."""

    train_loss: Float64[np.ndarray, "*seeds epochs"]
    validation_loss: Float64[np.ndarray, "*seeds epochs"]
    train_accuracy: Float64[np.ndarray, "*seeds epochs"]
    validation_accuracy: Float64[np.ndarray, "*seeds epochs"]

    @classmethod
    def stack(cls, histories: "list[History]") -> "History":
        """Several runs as one: the fields gain a leading axis, one entry a run."""
        return cls(*(np.stack([getattr(h, f.name) for h in histories]) for f in fields(cls)))


def mlp(*widths: int, p: float = 0.0, p_input: float = 0.0) -> nn.Sequential:
    """A ReLU network in float64 with dropout at rate p after each hidden layer, p_input before all.

    `widths` runs from the inputs to the outputs: mlp(64, 256, 10) has one hidden layer.
    """
    layers: list[nn.Module] = [Dropout(p_input)]
    for inputs, outputs in pairwise(widths[:-1]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(), Dropout(p)]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1])).double()


def fit(
    build: Callable[[], nn.Module],
    train: Images,
    validation: Images,
    *,
    seed: int,
    epochs: int,
    lr: float,
    momentum: float = 0.9,
    batch_size: int | None = None,
) -> tuple[nn.Module, History]:
    """Build a classifier and train it by SGD with momentum; batch_size None is full batch.

    `seed` settles weights, masks and the order of the examples; the caller's generator is left as
    it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build()
        optimiser = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum)
        measured = []
        for _ in range(epochs):
            model.train()
            for batch in torch.randperm(len(train.y)).split(batch_size or len(train.y)):
                optimiser.zero_grad()
                cross_entropy(model(train.x[batch]), train.y[batch]).backward()
                optimiser.step()
            measured.append([*evaluate(model, train), *evaluate(model, validation)])
    train_loss, train_accuracy, validation_loss, validation_accuracy = np.array(measured).T
    return model, History(train_loss, validation_loss, train_accuracy, validation_accuracy)


@torch.no_grad()
def evaluate(model: nn.Module, data: Images) -> tuple[float, float]:
    """Mean cross-entropy and accuracy of a classifier in evaluation mode."""
    model.eval()
    scores = model(data.x)
    accuracy = (scores.argmax(dim=1) == data.y).double().mean()
    return cross_entropy(scores, data.y).item(), accuracy.item()
