"""Where dropout stands beside batch norm: each arrangement tuned, then judged on test data.

Digits, 300 for training; three hidden layers of 32. `python -m dropout.experiments.batch_norm`
takes about a quarter of an hour on one core and stores the result as "batch_norm".
"""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import update_bn

from dropout.experiments.results import write
from dropout.experiments.tuned import Splits, compare
from dropout.nn import Dropout
from dropout.theory.variance_shift import reestimate
from dropout.training.data import Images, digits
from dropout.training.loops import evaluate
from dropout.training.seeds import seeds
from dropout.training.sweep import sweep

Build = Callable[[], nn.Sequential]
RATES = (0.1, 0.3, 0.5)
LRS, WIDER = (0.00125, 0.005, 0.02, 0.08), 4  # the next learning rate is so many times greater
DECAYS = (0.0, 1e-3, 1e-2)
BUDGET, STEP = 400, 40  # epochs of 300 images: 6 steps each
TEMPERATURES = np.geomspace(0.2, 5, 81)
TUNING_SEEDS, SEEDS = seeds(3, first=100), seeds(20)


def network(p: float, place: str, norm: str = "batch", width: int = 32) -> nn.Sequential:
    """Three hidden layers that drop at rate p, and how they are normalised.

    `place`: "between" (linear, norm, ReLU, dropout), "last" (the same, dropout only behind the last
    hidden layer) or "direct" (linear, ReLU, dropout, norm). `norm`: "batch", "layer" or "none".
    """
    kinds: dict[str, list[Any]] = {"batch": [nn.BatchNorm1d], "layer": [nn.LayerNorm], "none": []}
    layers: list[nn.Module] = []
    for hidden, inputs in enumerate((64, width, width)):
        norms = [kind(width) for kind in kinds[norm]]
        drop = Dropout(0.0 if place == "last" and hidden < 2 else p)
        linear, relu = nn.Linear(inputs, width), nn.ReLU()
        if place == "direct":
            layers += [linear, relu, drop, *norms]
        else:
            layers += [linear, *norms, relu, drop]
    return nn.Sequential(*layers, nn.Linear(width, 10)).double()


def arms() -> dict[str, Build]:
    """Every arrangement, by name: "place p" or what it is."""
    found: dict[str, Build] = {
        "neither": partial(network, 0.0, "between", "none"),
        "batch norm": partial(network, 0.0, "between"),
        "batch norm after ReLU": partial(network, 0.0, "direct"),
        "layer norm": partial(network, 0.0, "between", "layer"),
        "layer norm and dropout 0.3": partial(network, 0.3, "between", "layer"),
    }
    for p in RATES:
        found[f"dropout {p}"] = partial(network, p, "between", "none")
        for place in ("last", "between", "direct"):
            found[f"{place} {p}"] = partial(network, p, place)
    return found


def one_at_a_time() -> dict[str, Build]:
    """What is compared without weight decay: nothing, or one addition to it."""
    all_arms = arms()
    names = ("neither", "batch norm", "layer norm", *(f"dropout {p}" for p in RATES))
    return {name: all_arms[name] for name in names}


def tuned(builds: dict[str, Build], data: Splits, **settings: Any) -> dict[str, Any]:
    """`compare`, with learning rates beyond the grid for an arm that is best at its end."""
    found = compare(builds, data, lrs=LRS, **settings)
    widen(found, builds, data, **settings)
    return found


def widen(found: dict[str, Any], builds: dict[str, Build], data: Splits, **settings: Any) -> None:
    """Try the next learning rates for the arms that are best at an end, until one is no better."""
    for name, build in builds.items():
        while (lr := found[name]["chosen"]["lr"]) <= LRS[0] or lr >= LRS[-1]:
            beyond = lr / WIDER if lr <= LRS[0] else lr * WIDER
            other = compare({name: build}, data, lrs=(beyond,), **settings)[name]
            if other["validation_at_choice"] >= found[name]["validation_at_choice"]:
                found[name]["tried"] = beyond
                break
            found[name] = other


def scores(model: nn.Module, validation: Images, test: Images) -> tuple[float, ...]:
    """Test loss and accuracy, and with its answers softened: the test loss, and the temperature.

    All scores are divided by the temperature, the one with the least validation loss. It changes
    how sure the answers are, and not which are given.
    """
    model.eval()
    with torch.no_grad():
        known, new = model(validation.x), model(test.x)
    losses = [cross_entropy(known / t, validation.y).item() for t in TEMPERATURES]
    best = float(TEMPERATURES[int(np.argmin(losses))])
    return *evaluate(model, test), cross_entropy(new / best, test.y).item(), best


def statistics(build: Build, chosen: dict[str, float], data: Splits) -> dict[str, list[Any]]:
    """The `scores` of an arm's networks with their batch norms' statistics taken anew.

    "noisy" with dropout on, as in training; "clean" with dropout off. Both are means over the same
    batches, so that they differ by the shift and by nothing else.
    """
    train, validation, test = data
    models = trained(build, chosen, data)
    batches = list(train.x.split(50)) * 20
    found: dict[str, list[Any]] = {"noisy": [], "clean": []}
    for model in models:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            noisy = deepcopy(model)
            update_bn(batches, noisy)
        found["noisy"].append(scores(noisy, validation, test))
        found["clean"].append(scores(reestimate(model, batches), validation, test))
    return found


def trained(build: Build, chosen: dict[str, float], data: Splits) -> list[nn.Sequential]:
    """An arm's networks at the point of the grid that was chosen for it, one a seed."""
    epochs = int(chosen["epochs"])
    settings: dict[str, Any] = {
        "lr": chosen["lr"],
        "weight_decay": chosen["weight_decay"],
        "epochs": epochs,
    }
    builds, train = [build] * len(SEEDS), data[0]
    return sweep(builds, train, data[1], seed=SEEDS, every=epochs, batch_size=50, **settings)[0]


def neighbour(build: Build, chosen: dict[str, float], data: Splits) -> dict[str, Any]:
    """The control: the same arm and the same seeds, at the learning rate next to the chosen one."""
    lr = chosen["lr"] / WIDER if chosen["lr"] > LRS[0] else chosen["lr"] * WIDER
    scores = [evaluate(m, data[2]) for m in trained(build, {**chosen, "lr": lr}, data)]
    loss, accuracy = zip(*scores, strict=True)
    return {"lr": lr, "test_loss": list(loss), "test_accuracy": list(accuracy)}


def main() -> None:
    torch.set_num_threads(1)
    data, more = digits(train=300), digits(train=1000)
    settings: dict[str, Any] = {"batch_size": 50, "tuning_seeds": TUNING_SEEDS, "seeds": SEEDS}
    budget: dict[str, Any] = {"epochs": BUDGET, "every": STEP}
    found = tuned(arms(), data, decays=DECAYS, **budget, **settings)
    for name, build in arms().items():
        if any(isinstance(layer, nn.BatchNorm1d) for layer in build()):
            found[name]["statistics"] = statistics(build, found[name]["chosen"], data)
        if name in ("neither", "batch norm", "last 0.3", "direct 0.3"):
            found[name]["neighbour"] = neighbour(build, found[name]["chosen"], data)
    alone = tuned(one_at_a_time(), data, **budget, **settings)
    # As many steps, of 1000 images.
    steps: dict[str, Any] = {"epochs": BUDGET * 300 // 1000, "every": STEP * 300 // 1000}
    plain = {"neither": arms()["neither"], "batch norm": arms()["batch norm"]}
    alone_more = tuned(plain, more, **steps, **settings)
    write(
        "batch_norm",
        "python -m dropout.experiments.batch_norm",
        SEEDS,
        grid={"lrs": LRS, "decays": DECAYS, **budget, "tuning_seeds": TUNING_SEEDS},
        arms=found,
        alone=alone,
        alone_1000_images=alone_more,
    )


if __name__ == "__main__":
    main()
