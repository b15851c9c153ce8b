"""Whole training steps: the library's layers, torch.nn's, and the same model without dropout.

A step is zero_grad, forward, cross-entropy, backward and SGD, on a batch that stays the same. The
three have the same weights at the start.
"""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dropout import nn as ours
from dropout.bench.timing import Samples, added, in_turns, summaries
from dropout.bench.timing import table as table_of

TURNS, BUDGET = 25, 0.1
NONE, THEIRS, OURS = "no dropout", "torch.nn", "ours"


class TorchAttention(nn.Module):
    """Attention with the dropout that PyTorch's function for it has."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, queries, keys, values, mask):
        p = self.p if self.training else 0.0
        return F.scaled_dot_product_attention(queries, keys, values, mask, dropout_p=p)


class LSTM(nn.Module):
    """Two layers of LSTM, with dropout between them and at the output, on inputs (T, N, width)."""

    def __init__(self, width: int, classes: int, p: float) -> None:
        super().__init__()
        self.first, self.second = nn.LSTM(width, width), nn.LSTM(width, width)
        self.between, self.after = nn.Dropout(p), nn.Dropout(p)
        self.out = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.between(self.first(x)[0])
        return self.out(self.after(self.second(hidden)[0]))


def mlp(*widths: int) -> nn.Sequential:
    """A ReLU network with dropout after each hidden layer."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths[:-1]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


def cnn() -> nn.Sequential:
    """Two convolutions on 28 x 28 pixels that drop channels, and a head that drops units."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(0.2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(0.2),
        nn.Flatten(), *mlp(1600, 128, 10),
    )  # fmt: skip


def encoder_layer(width: int) -> nn.Module:
    """PyTorch's layer with its three modules of dropout, and none on the attention weights.

    That fourth place is a number that PyTorch's own function reads: no module can take it.
    """
    layer = nn.TransformerEncoderLayer(width, 8, 4 * width, 0.1, batch_first=True)
    layer.self_attn.dropout = 0.0
    return layer


def block(width: int) -> nn.Module:
    """The library's transformer block as PyTorch would drop, on the attention weights too."""
    layer = ours.TransformerBlock(width, 8, 0.1)
    layer.attention.attention = TorchAttention(0.1)  # type: ignore[assignment]
    layer.dropout1, layer.dropout2 = nn.Dropout(0.1), nn.Dropout(0.1)  # type: ignore[assignment]
    return layer


# A model with torch.nn's layers, and the shape of its inputs.
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "MLP 784-512-512-10, 100 inputs": (partial(mlp, 784, 512, 512, 10), (100, 784)),
    "MLP 784-1024-1024-2048-10, 100 inputs": (
        partial(mlp, 784, 1024, 1024, 2048, 10), (100, 784),
    ),
    "nn.TransformerEncoderLayer, 128 wide, 16 x 128 tokens, attention weights never dropped": (
        partial(encoder_layer, 128), (16, 128, 128),
    ),
    "transformer block, 128 wide, 16 x 128 tokens, attention weights dropped too": (
        partial(block, 128), (16, 128, 128),
    ),
    "CNN, 28 x 28 pixels, 64 inputs": (cnn, (64, 1, 28, 28)),
    "LSTM, two layers, 256 wide, 35 x 20 tokens": (partial(LSTM, 256, 256, 0.5), (35, 20, 256)),
}  # fmt: skip

OF_OURS: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    nn.Dropout: lambda layer: ours.Dropout(layer.p),
    nn.Dropout2d: lambda layer: ours.Dropout2d(layer.p),
    TorchAttention: lambda layer: ours.Attention(layer.p),
}
WITHOUT: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    nn.Dropout: lambda layer: nn.Identity(),
    nn.Dropout2d: lambda layer: nn.Identity(),
    TorchAttention: lambda layer: TorchAttention(0.0),
}


def exchanged(model: nn.Module, parts: dict[type[nn.Module], Callable]) -> nn.Module:
    """A copy of a model with other layers in the place of its dropout."""
    model = deepcopy(model)
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) in parts:
                setattr(parent, name, parts[type(child)](child))
    return model


def step(model: nn.Module, x: Tensor) -> Callable[[], None]:
    """A training step of a model on x, whose outputs are scores of classes."""
    with torch.no_grad():
        shape = model(x).flatten(0, -2).shape
    labels = torch.randint(shape[-1], shape[:1], device=x.device)
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)

    def run() -> None:
        optimiser.zero_grad()
        F.cross_entropy(model(x).flatten(0, -2), labels).backward()
        optimiser.step()

    return run


def run(device: str, dtypes: list[str]) -> list[dict[str, Any]]:
    """One row for each model and data type."""
    rows = []
    for dtype in dtypes:
        for name, (build, shape) in MODELS.items():
            form: dict[str, Any] = {"device": device, "dtype": getattr(torch, dtype)}
            theirs, x = build().to(**form), torch.randn(shape).to(**form)
            models = {NONE: exchanged(theirs, WITHOUT), THEIRS: theirs}
            models[OURS] = exchanged(theirs, OF_OURS)
            row: dict[str, Any] = {"model": name, "dtype": dtype}
            steps = {who: step(model, x) for who, model in models.items()}
            samples = in_turns(title(row), steps, TURNS, BUDGET, device)
            rows.append(row | {"seconds": summaries(samples)} | costs(samples))
            print(table(rows[-1]), flush=True)
    return rows


def costs(samples: Samples) -> dict[str, Any]:
    """What dropout costs of a step, in seconds, and which part of torch.nn's cost is ours.

    A cost is the difference to the step without dropout of the same turn. There is no part, None,
    where torch.nn's costs nothing that can be measured.
    """
    cost = added(samples, NONE)
    theirs = cost[THEIRS]["median"]
    return {"cost": cost, "part": cost[OURS]["median"] / theirs if theirs > 0 else None}


def title(row: dict[str, Any]) -> str:
    """What a row is of."""
    return f"{row['model']}, {row['dtype']}"


def table(row: dict[str, Any]) -> str:
    """The times of a step, what dropout costs of it, and ours as a part of torch.nn's."""
    cost = {who: t["median"] * 1e3 for who, t in row["cost"].items()}
    part = {} if row["part"] is None else {OURS: row["part"]}
    return table_of(title(row), row["seconds"], {"dropout, ms": cost, "/ torch.nn's": part})
