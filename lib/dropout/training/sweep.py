"""Many small networks trained at once: each like its own `fit`, by batched matrix products."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import one_hot

from dropout.mask import threshold
from dropout.nn import Dropout
from dropout.training.data import Images
from dropout.training.loops import History, check_batch_size, check_every, evaluate
from dropout.training.stacked import STACKED, Dropouts, Layer

TOGETHER = 1 << 21  # weights, about: with their velocities they fit in a cache of 32 MiB
ALTERED = "has hooks or a forward of its own, which do not run here: use fit"


def sweep(
    builds: Sequence[Callable[[], nn.Module]],
    train: Images,
    validation: Images,
    *,
    seed: int | Sequence[int],
    epochs: int,
    lr: float | Sequence[float],
    momentum: float = 0.9,
    weight_decay: float | Sequence[float] = 0.0,
    batch_size: int | None = None,
    examples: int | Sequence[int] | None = None,
    every: int = 1,
) -> tuple[list[nn.Sequential], History]:
    """Train many classifiers, each as `fit` would: the same weights, batches and masks.

    Network k is what `builds[k]()` makes: an nn.Sequential, such as `mlp` returns, of nn.Linear,
    nn.ReLU, nn.Tanh, nn.BatchNorm1d, nn.LayerNorm and dropout.nn.Dropout. Its seed, learning rate,
    weight decay and number of training `examples`, the first of `train` (None: all), are entry k of
    what is given, or the one value for all. What comes back differs from that of `fit` by rounding
    only: the networks, and a history with a leading axis, one entry a network, and an entry after
    `every` so many epochs.

    Networks with the same kinds of layers, as many examples, and widths of like magnitude run
    together, the narrower as wider ones whose other weights are 0 and stay so.

    Raises ValueError for lengths that do not agree, more examples than there are, layers that
    cannot be trained here (of another kind, with hooks, frozen, or whose weights are computed from
    others or shared), no parameters, no epochs, a batch size below 1, and where `every` does not
    divide `epochs`.

    >>> from dropout.training.data import digits
    >>> from dropout.training.loops import mlp
    >>> train, validation, _ = digits(train=200)
    >>> builds = [lambda p=p: mlp(64, 32, 10, p=p) for p in (0.0, 0.5)]
    >>> models, history = sweep(builds, train, validation, seed=0, epochs=3, lr=[0.2, 0.4])
    >>> models[1][3], history.train_loss.shape
    (Dropout(p=0.5, inplace=False), (2, 3))
    """
    check_every(every, epochs)
    check_batch_size(batch_size)
    examples = len(train.y) if examples is None else examples
    given = {"seed": seed, "lr": lr, "weight_decay": weight_decay, "examples": examples}
    columns = [_each(name, value, len(builds)) for name, value in given.items()]
    runs = [_Run(*row) for row in zip(range(len(builds)), builds, *columns, strict=True)]
    kinds = defaultdict(list)
    for run in runs:
        run.prepare(train, batch_size)
        kinds[run.kind].append(run)
    history = np.empty((4, len(runs), epochs // every))
    for alike in kinds.values():
        weights = max(sum(a.numel() for a in run.model.parameters()) for run in alike)
        networks = max(1, TOGETHER // weights)
        for start in range(0, len(alike), networks):
            part = alike[start : start + networks]
            measured = _fit(part, train, validation, epochs, every, momentum, batch_size)
            history[:, [run.number for run in part]] = measured
    return [run.model for run in runs], History(*history)


def _each(name: str, value, networks: int) -> list:
    """A value for each network, of a sequence or of the one for all."""
    values = list(value) if isinstance(value, Sequence | np.ndarray) else [value] * networks
    if len(values) != networks:
        raise ValueError(f"{name} has {len(values)} values for {networks} networks")
    return values


class _Run:
    """A network, what is to be done with it, and the generator that `fit` would use."""

    def __init__(self, number, build, seed, lr, decay, examples):
        self.number, self.lr, self.decay, self.examples = number, lr, decay, examples
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = build()
            self.generator = Generator().set_state(torch.get_rng_state())

    def prepare(self, train: Images, batch_size: int | None) -> None:
        """Find how wide the inputs of the layers are, and refuse what cannot be trained."""
        n = self.examples
        if not 1 <= n <= len(train.y):
            raise ValueError(f"examples must be from 1 to {len(train.y)}, got {n}")
        if type(self.model) is not nn.Sequential:  # a subclass may have a forward of its own
            kind = type(self.model).__name__
            raise ValueError(f"builds[{self.number}] must make an nn.Sequential, got {kind}")
        if _altered(self.model):
            raise ValueError(f"builds[{self.number}] {ALTERED}: {self.model}")
        if next(self.model.parameters(), None) is None:
            raise ValueError(f"builds[{self.number}] has no parameters to train: {self.model}")
        self.widths = [train.x.shape[1]]
        for layer in self.model:
            if fault := _fault(layer, self.widths[-1], n % (batch_size or n) or batch_size or n):
                raise ValueError(f"builds[{self.number}]: {layer} {fault}")
            self.widths.append(getattr(layer, "out_features", self.widths[-1]))
        weights = [id(p) for layer in self.model for p in layer.parameters()]
        if len(weights) != len(set(weights)):
            raise ValueError(
                f"builds[{self.number}] has layers that share weights, use fit: {self.model}"
            )
        rates = [layer.p for layer in self.model if isinstance(layer, Dropout)]
        self.drops = [at for at, p in enumerate(rates) if threshold(p)]

    @property
    def kind(self) -> tuple:
        """What networks that run together have in common."""
        layers = [(type(a), getattr(a, "eps", 0), getattr(a, "momentum", 0)) for a in self.model]
        magnitudes = [(width - 1).bit_length() for width in self.widths]
        return *layers, *magnitudes, self.widths[-1], self.examples


def _fault(layer: nn.Module, width: int, last_batch: int) -> str | None:
    """Why a layer cannot be trained on inputs of a width, or None where it can."""
    if type(layer) not in STACKED:
        return f"is none of {', '.join(kind.__name__ for kind in STACKED)}"
    if isinstance(layer, Dropout) and (layer.key or layer.generator):
        return "has a key or generator of its own: leave it out, `seed` settles the masks"
    if _altered(layer):
        return ALTERED
    parts = "weight", "bias", "running_mean", "momentum"
    if any(getattr(layer, part, 0) is None for part in parts):
        return "is not as its class makes it by default, which is what can be trained here"
    own = [getattr(layer, part) for part in parts[:2] if hasattr(layer, part)]
    if not all(isinstance(p, nn.Parameter) and p.requires_grad for p in own):
        return "is frozen or has computed weights, and here all are trained as they are: use fit"
    takes = getattr(layer, "in_features", getattr(layer, "num_features", width))
    if getattr(layer, "normalized_shape", (takes,)) != (width,):
        return f"gets {width} inputs"
    if isinstance(layer, nn.BatchNorm1d) and last_batch == 1:
        return "needs batches of 2 or more, and the last of an epoch has 1"
    return None


def _altered(module: nn.Module) -> bool:
    """Whether a module has hooks around its forward or backward, or a forward set on it alone."""
    own = vars(module)
    hooks = [value for name, value in own.items() if re.search("(for|back)ward.*hooks$", name)]
    return any(hooks) or "forward" in own


@torch.no_grad()
def _fit(runs, train, validation, epochs, every, momentum, batch_size) -> np.ndarray:
    """Train networks of one kind, step by step together; the four fields of their `History`."""
    layers = _stacked(runs, train.x, momentum)
    dropouts = [layer for layer in layers if isinstance(layer, Dropouts)]
    train = Images(train.x[: runs[0].examples], train.y[: runs[0].examples])
    lr = train.x.new_tensor([run.lr for run in runs])[:, None, None]
    target = one_hot(train.y, runs[0].widths[-1]).to(train.x)
    history = np.empty((4, len(runs), epochs // every))
    for epoch in range(1, epochs + 1):
        for index, seeds in _epoch(runs, len(train.y), batch_size or len(train.y)):
            for dropout, drawn in zip(dropouts, seeds, strict=True):
                dropout.seeds = drawn
            scores = train.x[index]
            for layer in layers:
                scores = layer.forward(scores)
            # The gradient of the mean cross-entropy, times the learning rate.
            _backward(layers, scores.softmax(2).sub_(target[index]).mul_(lr / index.shape[1]))
        if epoch % every:
            continue
        for layer in layers:
            layer.give_back()
        for k, run in enumerate(runs):
            history[::2, k, epoch // every - 1] = evaluate(run.model, train)
            history[1::2, k, epoch // every - 1] = evaluate(run.model, validation)
    return history


def _stacked(runs, x: Tensor, momentum: float) -> list[Layer]:
    """The layers of networks of one kind."""
    decay = x.new_tensor([run.lr * run.decay for run in runs])[:, None, None]
    columns = zip(*(run.model for run in runs), strict=True)
    widths = zip(*(run.widths[:-1] for run in runs), strict=True)
    return [
        STACKED[type(column[0])](column, width, momentum, decay)
        for column, width in zip(columns, widths, strict=True)
    ]


def _epoch(runs, n: int, batch_size: int) -> Iterator[tuple[Tensor, np.ndarray]]:
    """The batches of an epoch, and the seeds of the masks: for each layer, of each network.

    A network's generator gives them in the order in which they are drawn in `fit`.
    """
    steps = -(-n // batch_size)
    layers = sum(isinstance(layer, Dropout) for layer in runs[0].model)
    order, seeds = [], np.zeros((steps, layers, len(runs)), np.uint64)
    for k, run in enumerate(runs):
        order.append(torch.randperm(n, generator=run.generator))
        drawn = torch.empty(steps, len(run.drops), dtype=torch.int64, device="cpu")
        drawn.random_(-(2**63), None, generator=run.generator)
        seeds[:, run.drops, k] = drawn.numpy().view(np.uint64)
    return zip(torch.stack(order).split(batch_size, dim=1), seeds, strict=True)


def _backward(layers: list[Layer], grad: Tensor) -> None:
    """Update all layers; the gradient is not carried below the first that has parameters."""
    lowest = next(at for at, layer in enumerate(layers) if layer.stacks)
    for layer in reversed(layers[lowest + 1 :]):
        below = layer.backward(grad)
        layer.update(grad)
        grad = below
    layers[lowest].update(grad)
