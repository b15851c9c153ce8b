"""Training a network on a data set, and what it learned on the way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from dropout.nn import Dropout
from dropout.training.data import Images


@dataclass(frozen=True)
class History:
    """Mean cross-entropy (nats) and accuracy in evaluation mode, as training went on."""

    train_loss: Float64[np.ndarray, "*networks times"]
    validation_loss: Float64[np.ndarray, "*networks times"]
    train_accuracy: Float64[np.ndarray, "*networks times"]
    validation_accuracy: Float64[np.ndarray, "*networks times"]

    @classmethod
    def stack(cls, histories: "list[History]") -> "History":
        """Several runs as one: the fields gain a leading axis, one entry a run."""
        return cls(*(np.stack([getattr(h, f.name) for h in histories]) for f in fields(cls)))


def mlp(
    *widths: int,
    p: float | Sequence[float] | Float[np.ndarray, "hidden"] = 0.0,
    p_input: float = 0.0,
    norm: Callable[[int], nn.Module] | None = None,
) -> nn.Sequential:
    """A ReLU network in float64 with dropout at rate p after each hidden layer, p_input before all.

    `widths` runs from the inputs to the outputs: mlp(64, 256, 10) has one hidden layer. A sequence
    or an array p has a rate for each hidden layer. `norm`, such as nn.BatchNorm1d, makes from a
    width the layer that stands between each hidden layer's weights and its ReLU.

    >>> [type(layer).__name__ for layer in mlp(2, 3, 2, p=0.5, norm=nn.LayerNorm)]
    ['Dropout', 'Linear', 'LayerNorm', 'ReLU', 'Dropout', 'Linear']
    """
    hidden = len(widths) - 2
    rates = p if isinstance(p, Sequence | np.ndarray) else [p] * hidden
    if len(rates) != hidden:
        raise ValueError(f"p has {len(rates)} rates for {hidden} hidden layers")
    layers: list[nn.Module] = [Dropout(p_input)]
    for inputs, outputs, rate in zip(widths[:-2], widths[1:-1], rates, strict=True):
        layers += [nn.Linear(inputs, outputs), *([norm(outputs)] if norm else [])]
        layers += [nn.ReLU(), Dropout(rate)]
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
    weight_decay: float = 0.0,
    batch_size: int | None = None,
    every: int = 1,
) -> tuple[nn.Module, History]:
    """Build a classifier and train it by SGD with momentum; batch_size None is full batch.

    The history has an entry after `every` so many epochs. `seed` settles weights, masks and the
    order of the examples; the caller's generator is left as it was.

    Raises ValueError for no epochs, where `every` does not divide `epochs`, and for a batch size
    below 1.

    >>> from dropout.training.data import digits
    >>> train, validation, _ = digits(train=200)
    >>> build = lambda: mlp(64, 32, 10, p=0.5)
    >>> model, history = fit(build, train, validation, seed=0, epochs=3, lr=0.2)
    >>> history.train_loss.shape
    (3,)
    """
    check_every(every, epochs)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build()
        optimiser = torch.optim.SGD(
            model.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay
        )
        measured = []
        for epoch in range(1, epochs + 1):
            train_epoch(model, optimiser, train, batch_size)
            if epoch % every == 0:
                measured.append([*evaluate(model, train), *evaluate(model, validation)])
    train_loss, train_accuracy, validation_loss, validation_accuracy = np.array(measured).T
    return model, History(train_loss, validation_loss, train_accuracy, validation_accuracy)


def train_epoch(
    model: nn.Module, optimiser: Optimizer, train: Images, batch_size: int | None = None
) -> None:
    """One pass over the examples in a drawn order, a step a batch; batch_size None is full batch.

    The order and the masks come from PyTorch's generator. The model is left in training mode.
    """
    check_batch_size(batch_size)
    model.train()
    for batch in torch.randperm(len(train.y)).split(batch_size or len(train.y)):
        optimiser.zero_grad()
        cross_entropy(model(train.x[batch]), train.y[batch]).backward()
        optimiser.step()


def check_every(every: int, epochs: int) -> None:
    """Refuse no epochs, and evaluations so far apart that the last epoch would have none."""
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs}")
    if every < 1 or epochs % every:
        raise ValueError(f"every must divide the {epochs} epochs, got {every}")


def check_batch_size(batch_size: int | None) -> None:
    """Refuse batches of no examples."""
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, or None for all, got {batch_size}")


@torch.no_grad()
def evaluate(model: nn.Module, data: Images) -> tuple[float, float]:
    """Mean cross-entropy and accuracy of a classifier in evaluation mode."""
    model.eval()
    scores = model(data.x)
    accuracy = (scores.argmax(dim=1) == data.y).double().mean()
    return cross_entropy(scores, data.y).item(), accuracy.item()
