"""How far weight scaling is from the geometric mean, by depth: counted, sampled, after training.

    python -m dropout.experiments.depth

Only the scores matter to a softmax, up to what is the same for all classes. So the gap is that of
the centred scores: ‖E S(m) - S_scaled‖ / ‖S_scaled‖, with both squares summed over inputs and
networks before they are divided. About half an hour on one core.
"""

from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

from dropout import MaskKey
from dropout.bayes import predict
from dropout.experiments.results import write
from dropout.experiments.tuned import Build, compare
from dropout.nn import Dropout
from dropout.theory.ensembles import sub_networks
from dropout.training.data import Images, digits
from dropout.training.loops import mlp
from dropout.training.sweep import sweep

Squares = tuple[float, float]

ACTIVATIONS = {"ReLU": nn.ReLU, "tanh": nn.Tanh, "linear": nn.Identity}
GAINS = {"ReLU": 2**0.5, "tanh": 1.0, "linear": 1.0}  # keep the activations' size from layer on

COUNTED_P = 0.5
COUNTED = {2: {1: 400, 2: 400, 4: 400, 6: 200, 8: 80}, 4: {1: 400, 2: 400, 3: 400, 4: 80}}
DEPTHS, WIDTHS, RATES, NETWORKS = (2, 4, 8), (16, 64, 256), (0.1, 0.2, 0.5), 60
P, WIDTH, TRAINED = 0.2, 32, {"tanh": DEPTHS, "ReLU": DEPTHS}
LRS, EPOCHS, EVERY = tuple(0.2 / 2**k for k in range(8)), 1200, 20
TUNING_SEEDS, SEEDS = range(100, 103), range(10)


# ---- the gap ----------------------------------------------------------------------------------


def random_network(
    depth: int, width: int, activation: str, p: float, seed: int
) -> tuple[nn.Sequential, Float64[Tensor, "2 16"]]:
    """An untrained network, dropout after each of `depth` hidden layers, and two inputs for it.

    16 inputs, 10 scores; the weights are N(0, gain²/n) in a layer of n inputs.
    """
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise([16] + [width] * depth):
        layers += [nn.Linear(inputs, outputs), ACTIVATIONS[activation](), Dropout(p)]
    model = nn.Sequential(*layers, nn.Linear(width, 10)).double()
    return _initialised(model, activation).eval(), torch.randn(2, 16).double()


@torch.no_grad()
def counted(model: nn.Sequential, x: Float64[Tensor, "batch features"]) -> Squares:
    """The squared gap between the scores, all masks counted, and the squared scores."""
    scores, probability = sub_networks(model, x)
    scaled = _centred(model.eval()(x))
    gap = _centred(torch.tensordot(probability, scores, 1)) - scaled
    return gap.square().sum().item(), scaled.square().sum().item()


@torch.no_grad()
def sampled(
    model: nn.Module, x: Float64[Tensor, "batch features"], seed: int, samples: int = 200
) -> Squares:
    """As `counted`, from two independent samples of masks, without bias.

    The square of one estimate would be too large by the noise in it; the product of two independent
    ones is not. It can be negative.
    """
    scaled = _centred(model.eval()(x))
    one, two = (
        _centred(predict(model, x, samples, key=MaskKey(seed, step=draw)).mean(0)) - scaled
        for draw in (1, 2)
    )
    return (one * two).sum().item(), scaled.square().sum().item()


def relative_gap(squares: Sequence[Squares]) -> tuple[float, float]:
    """The relative gap over some networks, and its standard error over them (jackknife)."""
    gap, size = np.array(squares).T
    left_out = _root((gap.sum() - gap) / (size.sum() - size))
    n = len(gap)
    error = ((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum()) ** 0.5
    return float(_root(gap.sum() / size.sum())), float(error)


def _initialised(model: nn.Sequential, activation: str) -> nn.Sequential:
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=GAINS[activation] * layer.in_features**-0.5)
    return model


def _centred(scores: Tensor) -> Tensor:
    return scores - scores.mean(-1, keepdim=True)


def _root(square):
    return np.sqrt(np.clip(square, 0, None))


# ---- trained networks -------------------------------------------------------------------------


def classifier(depth: int, activation: str, p: float) -> nn.Sequential:
    """A classifier of the digits with `depth` hidden layers of WIDTH units, dropout after each."""
    layers = [
        ACTIVATIONS[activation]() if isinstance(layer, nn.ReLU) else layer
        for layer in mlp(64, *[WIDTH] * depth, 10, p=p)
    ]
    return _initialised(nn.Sequential(*layers), activation)


def squares(models: Sequence[nn.Module], x: Float64[Tensor, "batch features"]) -> list[Squares]:
    """What `sampled` finds for each classifier, dropping at rate P whatever its rate in training.

    The first dropout, that of the inputs, keeps its rate of 0.
    """
    found = []
    for seed, model in enumerate(models):
        for layer in [layer for layer in model.children() if isinstance(layer, Dropout)][1:]:
            layer.p = P
        found.append(sampled(model, x, seed))
    return found


def trained(depth: int, activation: str, data: tuple[Images, Images, Images]) -> dict[str, dict]:
    """Networks with dropout and without, each tuned for itself: losses, and the squares of gaps.

    Beside them those of untrained networks, and of controls: each arm at twice and at half its
    learning rate, and the networks without dropout trained as those with it are.
    """
    arms: dict[str, Build] = {
        "without": lambda: classifier(depth, activation, 0.0),
        "with": lambda: classifier(depth, activation, P),
    }
    seeds, images = list(SEEDS), data[2].x[:100]
    found = compare(
        arms, data, lrs=LRS, epochs=EPOCHS, every=EVERY, tuning_seeds=list(TUNING_SEEDS),
        seeds=seeds, report=lambda line: print(f"{activation} {depth}, {line}", flush=True),
    )  # fmt: skip

    def squares_of(name: str, chosen: dict, factor: float = 1.0) -> list[Squares]:
        lr, epochs = factor * chosen["lr"], chosen["epochs"]
        models, _ = sweep([arms[name]] * len(seeds), data[0], data[1], seed=seeds, lr=lr,
                          epochs=epochs, every=epochs)  # fmt: skip
        return squares(models, images)

    for name, arm in found.items():
        arm["squares"] = squares_of(name, arm["chosen"])
        arm["squares_at_twice_the_lr"] = squares_of(name, arm["chosen"], 2.0)
        arm["squares_at_half_the_lr"] = squares_of(name, arm["chosen"], 0.5)
    found["without"]["squares_trained_as_with"] = squares_of("without", found["with"]["chosen"])
    untrained = []
    for seed in seeds:
        torch.manual_seed(seed)
        untrained.append(arms["with"]())
    return found | {"untrained": {"squares": squares(untrained, images)}}


def summary(activation: str, depth: int, arms: dict[str, dict]) -> list[dict]:
    """A row for each arm: its gap, the least and greatest of its controls too, loss, accuracy.

    Errors are standard errors over seeds; losses are in nats, accuracies in %.
    """
    rows = []
    for name, arm in arms.items():
        gap, error = relative_gap(arm["squares"])
        row = {"activation": activation, "depth": depth, "arm": name, "gap": gap, "error": error}
        if "chosen" in arm:
            every = [relative_gap(found)[0] for key, found in arm.items() if "squares" in key]
            row |= {"least": min(every), "greatest": max(every), "edge": arm["edge"]}
            row |= arm["chosen"]
            for measure, scale in (("loss", 1), ("accuracy", 100)):
                values = scale * np.array(arm[f"test_{measure}"])
                row[measure] = float(values.mean())
                row[f"{measure}_error"] = float(values.std(ddof=1) / len(values) ** 0.5)
        rows.append(row)
    return rows


# ---- the study --------------------------------------------------------------------------------


def count() -> list[dict]:
    """Small untrained networks, all masks counted: a row for each activation, width and depth."""
    rows = []
    for activation, (width, plan) in product(("ReLU", "tanh"), COUNTED.items()):
        for depth, networks in plan.items():
            found = [
                counted(*random_network(depth, width, activation, COUNTED_P, seed))
                for seed in range(networks)
            ]
            setting = {"activation": activation, "p": COUNTED_P, "width": width, "depth": depth}
            rows.append(_row(setting, found))
    return rows


def sample(activation: str) -> list[dict]:
    """Wide untrained networks, masks sampled: a row for each rate, width and depth."""
    rows = []
    for p, width, depth in product(RATES, WIDTHS, DEPTHS):
        found = [
            sampled(*random_network(depth, width, activation, p, seed), seed)
            for seed in range(NETWORKS)
        ]
        setting = {"activation": activation, "p": p, "width": width, "depth": depth}
        rows.append(_row(setting, found))
    return rows


def _row(setting: dict, found: list[Squares]) -> dict:
    gap, error = relative_gap(found)
    row = setting | {"networks": len(found), "gap": gap, "error": error}
    print(row, flush=True)
    return row


def main() -> None:
    """Count, sample, train; store the results."""
    data = digits(train=200)
    found = {
        (activation, depth): trained(depth, activation, data)
        for activation, depths in TRAINED.items()
        for depth in depths
    }
    store(count(), sample("ReLU") + sample("tanh"), found)


def store(counts: list[dict], samples: list[dict], found: dict[tuple[str, int], dict]) -> None:
    """Write book/results/depth.json."""
    write(
        "depth", "python -m dropout.experiments.depth", [*SEEDS, *TUNING_SEEDS],
        counted=counts, sampled=samples,
        trained=[row for setting, arms in found.items() for row in summary(*setting, arms)],
        settings={"p": P, "width": WIDTH, "train": 200, "lrs": LRS, "epochs": EPOCHS},
    )  # fmt: skip


if __name__ == "__main__":
    main()
