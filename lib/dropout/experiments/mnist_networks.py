"""One network on MNIST, trained as its settings say: what most studies of chapter 14 share.

Single precision. Of the first 50,000 training images `examples` train, from `first` on, the last
10,000 of the 60,000 are for validation, the 10,000 test images for the test.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dropout.experiments.comparison import curve
from dropout.experiments.study import Result
from dropout.layers.max_norm import max_norm_
from dropout.nn import Dropout, GaussianDropout
from dropout.training.data import Images, mnist
from dropout.training.loops import evaluate

TRAIN, CLASSES, PIXELS = 50_000, 10, 784
UNITS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "logistic": nn.Sigmoid, "tanh": nn.Tanh,
}  # fmt: skip
NOISE: dict[str, Callable[[float], nn.Module]] = {
    "bernoulli": Dropout,
    "gaussian": GaussianDropout,
}
SPARSITY = 1e-6  # keeps the logarithms of mean activations finite


@lru_cache(maxsize=1)
def parts(device: str = "cpu") -> dict[str, Images]:
    """Training, validation and test images, in single precision."""
    training, test = mnist()
    cut = {
        "train": (training, slice(0, TRAIN)),
        "validation": (training, slice(TRAIN, None)),
        "test": (test, slice(None)),
    }
    return {
        name: Images(data.x[at].float().to(device), data.y[at].to(device))
        for name, (data, at) in cut.items()
    }


def training(device: str = "cpu", examples: int = TRAIN, first: int = 0) -> Images:
    """The training images from `first` on, so many.

    Raises ValueError where there are not so many.
    """
    if not 0 <= first <= TRAIN - examples:
        raise ValueError(f"there are {TRAIN} training images, not {examples} from {first} on")
    data = parts(device)["train"]
    return Images(data.x[first : first + examples], data.y[first : first + examples])


def network(
    widths: Sequence[int], *, units: str = "relu", p: float = 0.0, p_input: float = 0.0,
    noise: str = "bernoulli",
) -> nn.Sequential:  # fmt: skip
    """A network of hidden layers of these widths, with dropout at rate p behind each.

    `noise` "bernoulli" or "gaussian" says what kind.
    """
    layers: list[nn.Module] = [Dropout(p_input)] if p_input else []
    sizes = [PIXELS, *widths, CLASSES]
    for place, (inputs, outputs) in enumerate(pairwise(sizes)):
        layers.append(nn.Linear(inputs, outputs))
        if place < len(widths):
            layers.append(UNITS[units]())
            if p:
                layers.append(NOISE[noise](p))
    return nn.Sequential(*layers)


def sparsity(activations: Sequence[Tensor], target: float) -> Tensor:
    """Σ KL(target || mean activation) over the units, in nats; activations are cut to (0, 1)."""
    found = []
    for each in activations:
        mean = each.mean(0).clamp(SPARSITY, 1 - SPARSITY)
        on, off = (target / mean).log(), ((1 - target) / (1 - mean)).log()
        found.append((target * on + (1 - target) * off).sum())
    return torch.stack(found).sum()


def train(*, arm: str, judge: str, device: str, **settings: Any) -> Result:
    """Train one network and measure it: what `comparison` asks of a study; the rest as in `fit`."""
    data = parts(device)
    if judge == "validation":
        _, found = fit(device=device, judged=data["validation"], **settings)
        return curve(found)
    model, _ = fit(device=device, **settings)
    train = training(device, settings.get("examples", TRAIN), settings.get("first", 0))
    return {"train": measured(model, train), "test": measured(model, data["test"])}


def measured(model: nn.Module, data: Images) -> dict[str, float]:
    """Loss (nats) and error (%) in evaluation mode."""
    loss, accuracy = evaluate(model, data)
    return {"loss": loss, "error": 100 * (1 - accuracy)}


def fit(
    *,
    seed: int,
    device: str,
    widths: Sequence[int],
    lr: float,
    steps: int,
    every: int,
    build: Callable[..., nn.Sequential] = network,
    stop: int | None = None,
    judged: Images | None = None,
    examples: int = TRAIN,
    first: int = 0,
    batch: int = 100,
    momentum: float = 0.9,
    c: float | None = None,
    l2: float = 0.0,
    l1: float = 0.0,
    kl: float = 0.0,
    target: float = 0.05,
    **layers: Any,
) -> tuple[nn.Sequential, list[tuple[int, float, float]]]:
    """A trained network, and its loss (nats) and error (%) on `judged` every `every` steps.

    `lr` is what a step is in the long run, lr / (1 - momentum) of PyTorch's, and falls to 0 in a
    straight line over `steps` steps of `batch` images, of which the first `stop` are taken. `c`
    bounds the length of each hidden unit's incoming weights; `l2` times half the sum of squares of
    the weights, `l1` times the sum of their absolute values, and `kl` times `sparsity` of the
    hidden layers are added to the loss. `build` makes the network, of its widths and the settings
    in `layers`.
    """
    torch.manual_seed(seed)
    model = build(widths, **layers).to(device)
    train = training(device, examples, first)
    optimiser = torch.optim.SGD(model.parameters(), lr=lr * (1 - momentum), momentum=momentum)
    falling = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / steps)
    weights = [w for w in model.parameters() if w.dim() == 2]
    hidden = [layer for layer in model if type(layer) in UNITS.values()]
    found, order = [], torch.empty(0, dtype=torch.int64)
    for step in range(1, (stop or steps) + 1):
        if len(order) < min(batch, examples):
            order = torch.randperm(examples)
        index, order = order[:batch], order[batch:]
        model.train()
        optimiser.zero_grad()
        with outputs_of(hidden if kl else []) as activations:
            loss = cross_entropy(model(train.x[index]), train.y[index])
        if l2:
            loss = loss + l2 / 2 * torch.stack([w.square().sum() for w in weights]).sum()
        if l1:
            loss = loss + l1 * torch.stack([w.abs().sum() for w in weights]).sum()
        if kl:
            loss = loss + kl * sparsity(activations, target)
        loss.backward()
        optimiser.step()
        falling.step()
        if c:
            max_norm_(model[:-1], c)
        if judged and step % every == 0:
            now = measured(model, judged)
            found.append((step, now["loss"], now["error"]))
    return model, found


@contextmanager
def outputs_of(layers: Iterable[nn.Module]) -> Iterator[list[Tensor]]:
    """What layers put out meanwhile."""
    found: list[Tensor] = []
    hooks = [layer.register_forward_hook(lambda *call: found.append(call[2])) for layer in layers]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
