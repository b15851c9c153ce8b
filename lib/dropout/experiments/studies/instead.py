"""Dropout against what one would use instead, on small sets of digits, photos and texts.

Ten ways to train one network, each tuned over nine points: how well it does, how sure it rightly
is, and what that costs in steps of training and passes of prediction. Nothing is stopped early but
the arm of that name. Noise in the input moves digits, moves and mirrors photos, and drops words of
texts, which have no symmetry to use.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout, nll_loss, pad

from dropout.experiments import mnist_networks
from dropout.experiments.comparison import TUNE, comparison, of, product
from dropout.experiments.film_reviews import Part, split
from dropout.experiments.studies import cifar_places
from dropout.experiments.study import Finished, Result, Settings
from dropout.nn import Dropout
from dropout.training.data import Images
from dropout.training.seeds import seed, seeds

TRAIN, JUDGED = 2000, 5000  # examples of each set for training, and at most to judge on
BATCH, MOMENTUM, TIMES = 100, 0.9, 10  # times at which early stopping looks
WORDS = 2000  # the most frequent ones of the texts
MEMBERS, TUNED_MEMBERS = 5, 2  # of an ensemble: as it is judged, and as it is tuned


STEPS = {"digits": 1500, "photos": 800, "texts": 600}


@lru_cache(maxsize=3)
def parts(name: str, device: str = "cpu") -> dict[str, Images]:
    """The first 2,000 training examples of a set, and at most 5,000 each to validate and test."""
    if name == "texts":
        data = texts(device)
    elif name == "photos":
        data = cifar_places.parts(device)
    else:
        data = {
            part: Images(images.x.view(-1, 1, 28, 28), images.y)
            for part, images in mnist_networks.parts(device).items()
        }
    many = {"train": TRAIN, "validation": JUDGED, "test": JUDGED}
    return {part: Images(data[part].x[:n].clone(), data[part].y[:n]) for part, n in many.items()}


def texts(device: str) -> dict[str, Images]:
    """Reviews as rows of 1 for each of 2,000 words that is in them and 0, over √(words in them)."""
    data = split(JUDGED)
    counts: dict[str, int] = {}
    for _, words in zip(range(TRAIN), data["train"].words(), strict=False):
        for word in words:
            counts[word] = counts.get(word, 0) + 1
    frequent = sorted(counts, key=lambda word: (-counts[word], word))[:WORDS]
    column = {word: k for k, word in enumerate(frequent)}
    names: tuple[Part, ...] = ("train", "validation", "test")
    found: dict[str, Images] = {}
    for part in names:
        x = torch.zeros(len(data[part].labels), WORDS)
        for row, words in zip(x, data[part].words(), strict=True):
            row[[column[word] for word in set(words) if word in column]] = 1.0
        x /= x.sum(1, keepdim=True).clamp(min=1).sqrt()
        found[part] = Images(x.to(device), torch.from_numpy(data[part].labels).to(device))
    return found


def network(name: str, *, p: float, norm: bool) -> nn.Sequential:
    """Two hidden layers of a size that suits the set, for photos above three convolutions.

    Dropout at rate p stands before each dense layer but the one that sees the examples themselves,
    batch norm, with `norm`, before each ReLU.
    """
    layers: list[nn.Module] = []
    if name == "photos":
        for inputs, outputs in ((3, 16), (16, 32), (32, 64)):
            layers.append(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1))
            layers += [*([nn.BatchNorm2d(outputs)] if norm else []), nn.ReLU()]
        widths = [1024, 128, 10]
    else:
        widths = [784, 256, 256, 10] if name == "digits" else [WORDS, 64, 64, 2]
    layers.append(nn.Flatten())
    for place, (inputs, outputs) in enumerate(pairwise(widths)):
        if place or name == "photos":
            layers.append(Dropout(p))
        layers.append(nn.Linear(inputs, outputs))
        if place < len(widths) - 2:
            layers += [*([nn.BatchNorm1d(outputs)] if norm else []), nn.ReLU()]
    return nn.Sequential(*layers)


def shifted(x: Float[Tensor, "n c h w"], most: int) -> Float[Tensor, "n c h w"]:
    """Each image moved by up to `most` pixels along each axis, zeros where it moved away."""
    n, channels, height, width = x.shape
    rows = torch.arange(height) + torch.randint(2 * most + 1, (n, 1))
    columns = torch.arange(width) + torch.randint(2 * most + 1, (n, 1))
    images, maps = torch.arange(n)[:, None, None, None], torch.arange(channels)[:, None, None]
    return pad(x, [most] * 4)[images, maps, rows[:, None, :, None], columns[:, None, None, :]]


def mirrored(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Each image with a chance of one half mirrored left to right."""
    flip = (torch.rand(len(x), 1, 1, 1) < 0.5).to(x.device)
    return torch.where(flip, x.flip(3), x)


def thinned(x: Float[Tensor, "n words"], rate: float) -> Float[Tensor, "n words"]:
    """PyTorch's dropout of words, with coins from the generator of the CPU on each device."""
    return x * dropout(torch.ones(x.shape), rate).to(x.device)


NOISES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "digits": lambda x, most: shifted(x, int(most)),
    "photos": lambda x, most: mirrored(shifted(x, int(most))),
    "texts": thinned,
}


def fit(
    name: str, data: Images, *, lr: float, steps: int, stop: int, p: float, norm: bool,
    decay: float, smoothing: float, noise: float | None,
    each: Callable[[int, nn.Module], None] = lambda step, model: None,
) -> nn.Module:  # fmt: skip
    """A network after `stop` of `steps` steps; `each` gets it after every tenth of the steps.

    `lr` is what a step is in the long run, lr / (1 - momentum) of PyTorch's; it falls to 0 in a
    straight line. `decay` times half the sum of squares of all parameters is added to the loss.
    """
    model = network(name, p=p, norm=norm).to(data.x.device)
    optimiser = torch.optim.SGD(
        model.parameters(), lr=lr * (1 - MOMENTUM), momentum=MOMENTUM, weight_decay=decay
    )
    falling = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / steps)
    order = torch.empty(0, dtype=torch.int64)
    for step in range(1, stop + 1):
        if len(order) < BATCH:
            order = torch.randperm(len(data.y))
        batch, order = order[:BATCH], order[BATCH:]
        x = data.x[batch] if noise is None else NOISES[name](data.x[batch], noise)
        optimiser.zero_grad()
        model.train()
        cross_entropy(model(x), data.y[batch], label_smoothing=smoothing).backward()
        optimiser.step()
        falling.step()
        if step % (steps // TIMES) == 0:
            each(step, model)
    return model


@torch.no_grad()
def measured(models: Sequence[nn.Module], data: Images) -> dict[str, float]:
    """Loss (nats) and error (%) of the mean of the networks' probabilities."""
    logs = torch.stack([model.eval()(data.x).double().log_softmax(1) for model in models])
    log_mean = logs.logsumexp(0) - np.log(len(models))
    wrong = (log_mean.argmax(1) != data.y).double().mean()
    return {"loss": nll_loss(log_mean, data.y).item(), "error": 100 * wrong.item()}


def train(
    *, arm: str, name: str, lr: float, seed: int, judge: str, device: str, steps: int,
    stop: int | None = None, stopping: bool = False, members: int = 1, p: float = 0.0,
    norm: bool = False, decay: float = 0.0, smoothing: float = 0.0, noise: float | None = None,
) -> Result:  # fmt: skip
    """Train a network, or the members of an ensemble, and measure it as `comparison` asks.

    With `stopping` the choice is among ten times, else there is only the end. An ensemble is tuned
    with two members.
    """
    data = parts(name, device)
    torch.manual_seed(seed)
    found: list[tuple[int, dict[str, float]]] = []

    def look(step: int, model: nn.Module) -> None:
        if judge == "validation" and stopping:
            found.append((step, measured([model], data["validation"])))

    number = TUNED_MEMBERS if judge == "validation" and members > 1 else members
    models = [
        fit(
            name, data["train"], lr=lr, steps=steps, stop=stop or steps, p=p, norm=norm,
            decay=decay, smoothing=smoothing, noise=noise, each=look,
        )
        for _ in range(number)
    ]  # fmt: skip
    if judge == "test":
        return {part: measured(models, data[part]) for part in ("train", "test")}
    found = found or [(steps, measured(models, data["validation"]))]
    curves = {name: [values[name] for _, values in found] for name in ("loss", "error")}
    return {"at": [step for step, _ in found], "validation": curves}


def lrs(least: float) -> list[Settings]:
    """Nine learning rates, √3 apart: the points of what has nothing else to tune."""
    return product(lr=[round(least * 3 ** (k / 2), 5) for k in range(9)])


# What is fixed for each way, beside its grid.
FIXED: dict[str, Settings] = {
    "early stopping": {"stopping": True},
    "batch norm": {"norm": True},
    "ensemble": {"members": MEMBERS},
    "dropout, decay": {"p": 0.5},
    "dropout, ensemble": {"members": MEMBERS},
}
# Nine points a way. Of a first round's choices some stood at an end of their grid: these grids were
# moved there, some twice.
DECAYS, SMOOTHINGS, RATES = (1e-3, 3e-3, 1e-2), (0.1, 0.2, 0.4), (0.25, 0.5, 0.75)
GRIDS: dict[str, dict[str, list[Settings]]] = {
    "digits": {
        "nothing": lrs(0.1 / 3),
        "weight decay": product(lr=(0.9, 2.7, 8.1), decay=DECAYS),
        "early stopping": lrs(0.1 / 3),
        "noise": product(lr=(0.3, 0.9, 2.7), noise=(2, 3, 4)),
        "smoothing": product(lr=(0.9, 2.7, 8.1), smoothing=(0.00625, 0.0125, 0.025)),
        "batch norm": lrs(0.1 / 27),
        "ensemble": lrs(0.1),
        "dropout": product(lr=(0.033, 0.1, 0.3), p=RATES),
        "dropout, decay": product(lr=(0.3, 0.9, 2.7), decay=DECAYS),
        "dropout, ensemble": product(lr=(0.033, 0.1, 0.3), p=RATES),
    },
    "photos": {
        "nothing": lrs(0.1 / 3),
        "weight decay": product(lr=(0.3, 0.9, 2.7), decay=(1e-2, 3e-2, 1e-1)),
        "early stopping": lrs(0.1 / 3),
        "noise": product(lr=(0.1, 0.3, 0.9), noise=(2, 4, 6)),
        "smoothing": product(lr=(0.033, 0.1, 0.3), smoothing=SMOOTHINGS),
        "batch norm": lrs(0.1 / 27),
        "ensemble": lrs(0.1 / 3),
        "dropout": product(lr=(0.1, 0.3, 0.9), p=RATES),
        "dropout, decay": product(lr=(0.3, 0.9, 2.7), decay=(3e-3, 1e-2, 3e-2)),
        "dropout, ensemble": product(lr=(0.1, 0.3, 0.9), p=RATES),
    },
    "texts": {
        "nothing": lrs(0.1),
        "weight decay": product(lr=(0.3, 0.9, 2.7), decay=DECAYS),
        "early stopping": lrs(0.1),
        "noise": product(lr=(0.3, 0.9, 2.7), noise=RATES),
        "smoothing": product(lr=(0.3, 0.9, 2.7), smoothing=SMOOTHINGS),
        "batch norm": lrs(0.1 / 81),
        "ensemble": lrs(0.1),
        "dropout": product(lr=(0.3, 0.9, 2.7), p=(0.5, 0.75, 0.9)),
        "dropout, decay": product(lr=(0.9, 2.7, 8.1), decay=DECAYS),
        "dropout, ensemble": product(lr=(0.3, 0.9, 2.7), p=(0.5, 0.75, 0.9)),
    },
}
WAYS = {
    f"{name}: {way}": ({"name": name, "steps": STEPS[name]} | FIXED.get(way, {}), grid)
    for name, ways in GRIDS.items()
    for way, grid in ways.items()
}
COMPARISON = comparison(
    "instead",
    about="What does dropout do that other ways do not, on digits, photos and texts, at what cost?",
    beside="no published table; method and sets are this book's",
    scale="2,000 training examples of MNIST, CIFAR-10 and IMDB, networks of 0.1 to 0.3 million "
    "weights, nine points and one seed to tune, five seeds to judge",
    train=train,
    arms={arm: fixed for arm, (fixed, _) in WAYS.items()},
    grids={arm: points for arm, (_, points) in WAYS.items()},
    tuning_seeds=[seed(100)],
    seeds=seeds(5),
    check={
        "arm": "digits: dropout", "name": "digits", "p": 0.5, "lr": 0.3, "steps": 200,
        "seed": seed(200), "judge": "test",
    },
)  # fmt: skip


def summary(finished: Sequence[Finished]) -> Result:
    """What `comparison` tells, the validation errors of each arm's points, and what it costs.

    The errors are those at the time of least loss, which is None where training diverged; the cost
    is steps to train and passes to predict.
    """
    found = COMPARISON.summary(finished)
    for arm, told in found["arms"].items():
        told["grid"] = []
        for point in WAYS[arm][1]:
            for run in of(finished, stage=TUNE, arm=arm, **point):
                loss, error = (run.result["validation"][name] for name in ("loss", "error"))
                best = int(np.argmin(loss))
                least = loss[best] if np.isfinite(loss[best]) else None
                told["grid"].append(point | {"loss": least, "error": error[best]})
        members = told["settings"].get("members", 1)
        stop = told["chosen"]["stop"] if told["chosen"] else None
        told["cost"] = {"steps": stop and stop * members, "passes": members}
    return found


STUDY = replace(COMPARISON, summary=summary)
