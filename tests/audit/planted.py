"""Faults, and models of several styles to plant them in.

A fault is a part that maps numbers of shape (..., 16) to the same shape. A style is a model around
a part, and where in it the part is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from dropout import nn as dnn
from tests.audit.sound import features, tokens

WIDTH = 16


# --- Styles --------------------------------------------------------------------------------------


def sequential(part):
    return nn.Sequential(nn.Linear(12, WIDTH), nn.Tanh(), part, nn.Linear(WIDTH, 4))


class WithFunctions(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(WIDTH, 12) / 4)
        self.part, self.out = part, nn.Linear(WIDTH, 4)

    def forward(self, x):
        h = self.part(torch.tanh(F.linear(x, self.weight)))
        h = F.dropout(F.gelu(h + 1), 0.1, training=self.training)
        return self.out(h)


class Inner(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.lift, self.part = nn.Linear(WIDTH, WIDTH), part

    def forward(self, x):
        return {"x": torch.tanh(self.part(torch.tanh(self.lift(x))))}


class Nested(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.stem = nn.Linear(12, WIDTH)
        self.layers = nn.ModuleList([nn.Identity(), Inner(part)])
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(WIDTH, 4))

    def forward(self, batch, *, scale):
        h = self.stem(batch["x"]) * scale
        h = self.layers[1](self.layers[0](h))["x"]
        return {"logits": self.head(h), "more": (None, "text")}


class Attention(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.embed = nn.Embedding(20, WIDTH)
        self.attend = nn.MultiheadAttention(WIDTH, 2, 0.1, batch_first=True)
        self.norm, self.part, self.out = nn.LayerNorm(WIDTH), part, nn.Linear(WIDTH, 4)

    def forward(self, x):
        h = self.embed(x)
        h = self.norm(h + self.attend(h, h, h, need_weights=False)[0])
        return self.out(torch.tanh(self.part(h)))


class Recurrent(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.embed, self.part = nn.Embedding(20, 12), part
        self.rnn = nn.LSTM(12, WIDTH, 2, dropout=0.2, batch_first=True)
        self.out = nn.Linear(WIDTH, 4)

    def forward(self, x):
        h, _ = self.rnn(self.embed(x))
        return self.out(torch.tanh(self.part(h)))


class Residual(nn.Module):
    """Convolutions, with the channels last where the part is."""

    def __init__(self, part):
        super().__init__()
        self.first, self.second = (nn.Conv2d(c, WIDTH, 3, padding=1) for c in (3, WIDTH))
        self.norm, self.part, self.out = nn.BatchNorm2d(WIDTH), part, nn.Linear(WIDTH, 4)

    def forward(self, x):
        x = F.relu(self.norm(self.first(x)))
        x = x + F.relu(self.second(x))
        x = F.relu(self.part(x.mean((2, 3))))
        return self.out(x)


@dataclass
class Style:
    make: Callable[[nn.Module], nn.Module]
    give: Callable[[], tuple]
    keywords: dict[str, Any]
    path: str
    rank: int


STYLES = {
    "sequential": Style(sequential, lambda: (features(16, 12),), {}, "2", 2),
    "functions": Style(WithFunctions, lambda: (features(16, 12),), {}, "part", 2),
    "nested": Style(Nested, lambda: ({"x": features(16, 12)},), {"scale": 2.0}, "layers.1.part", 2),
    "attention": Style(Attention, lambda: (tokens(8, 7),), {}, "part", 3),
    "recurrent": Style(Recurrent, lambda: (tokens(8, 7),), {}, "part", 3),
    "residual": Style(Residual, lambda: (features(16, 3, 6, 6),), {}, "part", 2),
}  # fmt: skip


# --- Faults --------------------------------------------------------------------------------------


class Part(nn.Module):
    """A part whose fault is in how it drops."""

    def __init__(self):
        super().__init__()
        self.p = 0.4


class ForgetsTraining(Part):
    def forward(self, x):
        return F.dropout(x, self.p)


class TossesItsOwnCoins(Part):
    def forward(self, x):
        mask = torch.rand_like(x) > self.p
        return x * mask / (1 - self.p)


class StaysInTraining(Part):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.4)

    def train(self, mode=True):
        self.training = mode
        return self

    def forward(self, x):
        return self.drop(x)


class MakesItsLayer(Part):
    def forward(self, x):
        return nn.Dropout(self.p)(x)


class OutOfReach(Part):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Dropout(0.4)]

    def forward(self, x):
        return self.layers[0](x)


class AttendsAlways(Part):
    def forward(self, x):
        y = x if x.dim() == 3 else x[None]
        y = F.scaled_dot_product_attention(y, y, y, dropout_p=self.p)
        return x + y.reshape(x.shape)


class NeverTrains(Part):
    def forward(self, x):
        return F.dropout(x, self.p, training=False)


class NeverCalls(Part):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.4)

    def forward(self, x):
        return torch.tanh(x)


class ThrowsAway(Part):
    def forward(self, x):
        F.dropout(x, self.p, self.training)
        return x


class StaysInEvaluation(Part):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.4)

    def train(self, mode=True):
        super().train(mode)
        self.drop.eval()
        return self

    def forward(self, x):
        return self.drop(x)


class OneLayer(Part):
    def __init__(self):
        super().__init__()
        self.weight = nn.Linear(WIDTH, WIDTH)
        with torch.no_grad():
            self.rnn = quiet(nn.GRU, WIDTH, WIDTH, dropout=0.4)

    def forward(self, x):
        return self.rnn(x)[0]


def quiet(kind, *args, **options):
    rate = options.pop("dropout")
    made = kind(*args, **options)
    made.dropout = rate  # PyTorch warns of it at once, if it is told
    return made


class OneMask(Part):
    def forward(self, x):
        if not self.training:
            return x
        return x * x.new_empty(x.shape[1:]).bernoulli_(1 - self.p) / (1 - self.p)


class OneMaskOfOnes(Part):
    def forward(self, x):
        return x * F.dropout(torch.ones_like(x[:1]), self.p, self.training)


class OneMaskForAll(Part):
    def forward(self, x):
        if self.training:
            x = torch.where(torch.rand(x.shape[-1]) < self.p, 0.0, x) / (1 - self.p)
        return x


class SeedsAGenerator(Part):
    def forward(self, x):
        if not self.training:
            return x
        same = torch.Generator().manual_seed(3)
        mask = torch.rand(x.shape, generator=same) > self.p
        return x * mask / (1 - self.p)


class SeedsInAFork(Part):
    def forward(self, x):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            return F.dropout(x, self.p, self.training)


class DrawsOnce(Part):
    """A mask that is drawn when the part is made."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mask", (torch.rand(WIDTH) > self.p) / (1 - self.p))
        self.mask[0] = 0

    def forward(self, x):
        return x * self.mask if self.training else x


class KeepsItsMask(Part):
    """A mask that is drawn in the first forward."""

    def __init__(self):
        super().__init__()
        self.mask = None

    def forward(self, x):
        if not self.training:
            return x
        if self.mask is None:
            self.mask = (torch.rand_like(x) > self.p).float() / (1 - self.p)
        return x * self.mask


class Seeds(Part):
    def forward(self, x):
        if self.training:
            torch.manual_seed(int(x.detach().abs().sum() * 1e6) + torch.initial_seed() % 1000)
        return F.dropout(x, self.p, self.training)


class Unscaled(Part):
    def forward(self, x):
        return x * (torch.rand_like(x) > self.p) if self.training else x


class UnscaledDropout(nn.Module):
    def __init__(self):
        super().__init__()
        self.p = 0.4

    def forward(self, x):
        return x.masked_fill(torch.rand_like(x) < self.p, 0) if self.training else x


class ScaledTwice(Part):
    def forward(self, x):
        x = F.dropout(x, self.p, self.training)
        return x / (1 - self.p) if self.training else x


class ScaledInBothModes(Part):
    def forward(self, x):
        x = F.dropout(x, self.p, self.training)
        return x if self.training else x * (1 - self.p)


class DropsAndAddsInPlace(Part):
    def forward(self, x):
        x = x + 1
        return x + F.dropout(x, self.p, self.training, inplace=True)


class Checkpoints(Part):
    def __init__(self, reentrant, drop=nn.Dropout, keeps=False):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), drop(0.4))
        self.options = {"use_reentrant": reentrant, "preserve_rng_state": keeps}

    def forward(self, x):
        return checkpoint(self.body, x, **self.options)


class CheckpointsAFunction(Part):
    def forward(self, x):
        def body(x):
            return torch.sin(F.dropout(torch.tanh(x), self.p, self.training))

        return checkpoint(body, x, use_reentrant=False, preserve_rng_state=False)


class OverTime(nn.Module):
    """Batch norm of the last axis, whatever the rank."""

    def __init__(self, *layers):
        super().__init__()
        self.layers, self.norm = nn.Sequential(*layers), nn.BatchNorm1d(WIDTH)

    def forward(self, x):
        return self.norm(self.layers(x).reshape(-1, WIDTH)).reshape(x.shape)


class Viewed(nn.Module):
    """Channels of an image of one row, to give a layer of channels the wrong rank."""

    def __init__(self, layer, shape):
        super().__init__()
        self.layer, self.shape = layer, shape

    def forward(self, x):
        return self.layer(x.reshape(x.shape[0], *self.shape)).reshape(x.shape)


def frozen(*layers):
    return nn.Sequential(*layers).requires_grad_(False)


@dataclass
class Fault:
    kind: str
    make: Callable[[], nn.Module]
    inner: str = ""  # where in the part
    also: tuple[str, ...] = ()  # what is a fault too
    rank: int | None = None  # of the numbers that it takes


FAULTS = {
    "without training=": Fault("drops-in-evaluation", ForgetsTraining),
    "coins of its own": Fault("drops-in-evaluation", TossesItsOwnCoins),
    "stays in training": Fault("drops-in-evaluation", StaysInTraining, "drop"),
    "makes its layer": Fault("drops-in-evaluation", MakesItsLayer),
    "out of reach": Fault("drops-in-evaluation", OutOfReach),
    "attention with a rate": Fault("drops-in-evaluation", AttendsAlways),
    "training=False": Fault("idle-rate", NeverTrains),
    "never called": Fault("idle-rate", NeverCalls, "drop"),
    "thrown away": Fault("idle-rate", ThrowsAway),
    "stays in evaluation": Fault("idle-rate", StaysInEvaluation, "drop"),
    "one recurrent layer": Fault("idle-rate", OneLayer, "rnn"),
    "p is 1": Fault("drops-everything", lambda: nn.Dropout(1.0)),
    "p is 0.9": Fault("keep-for-drop", lambda: nn.Dropout(0.9)),
    "2d of 2": Fault("wrong-shape", lambda: nn.Dropout2d(0.3), rank=2),
    "2d of 3": Fault("wrong-shape", lambda: nn.Dropout2d(0.3), rank=3),
    "1d of 2": Fault("wrong-shape", lambda: nn.Dropout1d(0.3), rank=2),
    "3d of 4": Fault("wrong-shape", lambda: Viewed(nn.Dropout3d(0.3), (4, 4, 1)), "layer", rank=2),
    "batch norm": Fault("before-batch-norm", lambda: OverTime(nn.Dropout(0.4)), "layers.0"),
    "weights and batch norm": Fault(
        "before-batch-norm", lambda: OverTime(nn.Dropout(0.4), nn.Linear(WIDTH, WIDTH)), "layers.0"
    ),
    "twice": Fault(
        "dropped-twice", lambda: nn.Sequential(nn.Dropout(0.2), nn.Dropout(0.3)), "1"
    ),
    "one mask": Fault("shared-over-batch", OneMask),
    "one mask of ones": Fault("shared-over-batch", OneMaskOfOnes),
    "one mask for all": Fault("shared-over-batch", OneMaskForAll),
    "seeds a generator": Fault("same-mask", SeedsAGenerator),
    "seeds in a fork": Fault("same-mask", SeedsInAFork),
    "keeps its mask": Fault("same-mask", KeepsItsMask),
    "draws once": Fault("same-mask", DrawsOnce),
    "seeds": Fault("reseeds", Seeds),
    "unscaled": Fault("wrong-scale", Unscaled),
    "unscaled by a name": Fault("wrong-scale", UnscaledDropout),
    "scaled twice": Fault("wrong-scale", ScaledTwice),
    "scaled in both modes": Fault("wrong-scale", ScaledInBothModes),
    "frozen": Fault(
        "frozen-but-dropping", lambda: frozen(nn.Linear(WIDTH, WIDTH), nn.Dropout(0.4))
    ),
    "in place": Fault(
        "in-place", lambda: nn.Sequential(nn.Sigmoid(), nn.Dropout(0.4, inplace=True)), "1"
    ),
    "in place, two branches": Fault("in-place", DropsAndAddsInPlace),
    "checkpoint": Fault("recomputed-otherwise", lambda: Checkpoints(False), "body.2"),
    "checkpoint, reentrant": Fault("recomputed-otherwise", lambda: Checkpoints(True), "body.2"),
    "checkpoint of this library's": Fault(
        "recomputed-otherwise", lambda: Checkpoints(False, dnn.Dropout), "body.2"
    ),
    "checkpoint of this library's noise, reentrant": Fault(
        "recomputed-otherwise", lambda: Checkpoints(True, dnn.GaussianDropout), "body.2"
    ),
    "checkpoint of a generator": Fault(
        "recomputed-otherwise",
        lambda: Checkpoints(False, partial(dnn.Dropout, generator=torch.Generator()), keeps=True),
        "body.2",
    ),
    "checkpoint of a function": Fault("recomputed-otherwise", CheckpointsAFunction),
}  # fmt: skip


# --- Faults that are a model's --------------------------------------------------------------------


class Scores(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(12, WIDTH) for _ in range(3))
        self.drop, self.out = nn.Dropout(0.2), nn.Linear(WIDTH, 4)

    def forward(self, x):
        scores = self.drop(self.q(x) @ self.k(x).mT)
        hidden = torch.ones(scores.shape[-2:]).tril() == 0
        weights = (scores / 4).masked_fill(hidden, -1e9).softmax(-1)
        return self.out(weights @ self.v(x))


class Labels(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.out = nn.GRU(12, WIDTH, batch_first=True), nn.Linear(WIDTH, 5)

    def forward(self, x, labels):
        logits = F.dropout(self.out(self.rnn(x)[1][0]), 0.2, self.training)
        return F.cross_entropy(logits, labels), logits.argmax(-1)


class Head(nn.Module):
    def __init__(self, *last):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten())
        self.head = nn.Sequential(nn.Linear(8 * 16, 4), nn.Dropout(0.2), *last)

    def forward(self, x):
        return {"out": self.head(self.body(x))}


class Gates(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(12, WIDTH), nn.Linear(WIDTH, 1)

    def forward(self, x):
        return torch.sigmoid(F.dropout(self.b(torch.tanh(self.a(x))), 0.2, self.training))


def classifier(*last):
    return nn.Sequential(nn.Linear(12, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 4), *last)


def rows():
    return (features(16, 12),)


MODELS = {
    "softmax, sequential": ("before-softmax", "3", rows,
                            lambda: classifier(nn.Dropout(0.2), nn.Softmax(-1))),
    "softmax, nested": ("before-softmax", "head.1", lambda: (features(4, 3, 6, 6),),
                        lambda: Head(nn.LogSoftmax(-1))),
    "softmax, attention": ("before-softmax", "drop", lambda: (features(4, 7, 12),), Scores),
    "softmax, loss": ("before-softmax", "", lambda: (features(4, 7, 12), tokens(4, words=5)),
                      Labels),
    "output, sequential": ("on-output", "3", rows, lambda: classifier(nn.Dropout(0.2))),
    "output, nested": ("on-output", "head.1", lambda: (features(4, 3, 6, 6),), Head),
    "output, functions": ("on-output", "", rows, Gates),
    "lstm, sequential": ("idle-rate", "0", lambda: (features(4, 7, 12),),
                         lambda: quiet(nn.LSTM, 12, WIDTH, dropout=0.3, batch_first=True)),
}  # fmt: skip
