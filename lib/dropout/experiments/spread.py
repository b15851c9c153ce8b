"""Where the spread of MC dropout grows, and what it does as the data grow in number.

    python -m dropout.experiments.spread

One input, a function that is known, several seeds each. About a minute and a half on one core.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from dropout import MaskKey
from dropout.bayes import metrics, predict
from dropout.experiments.results import write
from dropout.training.loops import mlp
from dropout.training.seeds import seed, seeds

NUMBER, MEMBERS, SAMPLES = 20, 5, 200
SIZES, DATA_SETS, CLASSIFIERS = (20, 200, 1000), 6, 10


def train(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    steps: int,
    loss: Callable[[Tensor, Tensor], Tensor] = mse_loss,
    weight_decay: float = 0.0,
    batch: int = 100,
) -> nn.Module:
    """The model after Adam at learning rate 0.005, on minibatches; still in training mode."""
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3, weight_decay=weight_decay, fused=True)
    for _ in range(steps):
        rows = torch.randint(len(x), (batch,)) if len(x) > batch else slice(None)
        optimiser.zero_grad()
        loss(model(x[rows]), y[rows]).backward()
        optimiser.step()
    return model


# --- Where it grows -----------------------------------------------------------------------------


def holed(number: int) -> tuple[Tensor, Tensor]:
    """Forty points of sin 4x with noise of standard deviation 0.1, none between -0.3 and 0.3."""
    torch.manual_seed(number)
    x = torch.cat([torch.linspace(-1, -0.3, 20), torch.linspace(0.3, 0.9, 20)]).double()[:, None]
    return x, torch.sin(4 * x) + 0.1 * torch.randn(40, 1, dtype=torch.float64)


def regions(g: Tensor) -> dict[str, Tensor]:
    """Which places lie on the data, in the hole between them, and beyond them."""
    left, right = (g > -1) & (g < -0.3), (g > 0.3) & (g < 0.9)
    return {
        "on the data": left | right,
        "in the hole": (g > -0.3) & (g < 0.3),
        "beyond": (g < -1) | (g > 0.9),
    }


def by_region() -> dict[str, list[list[float]]]:
    """Spread of MC dropout, and error of its mean, in each region, for each seed."""
    grid = torch.linspace(-1.8, 1.7, 200).double()[:, None]
    found: dict[str, list[list[float]]] = {}
    for number in seeds(NUMBER, first=100):
        x, y = holed(number)
        model = train(mlp(1, 64, 64, 1, p=0.1), x, y, 600, weight_decay=2e-5)
        drawn = predict(model, grid, SAMPLES, key=MaskKey(number))
        error = (drawn.mean(0) - torch.sin(4 * grid)).abs()
        for name, where in regions(grid[:, 0]).items():
            pair = [drawn.std(0)[where].mean().item(), error[where].mean().item()]
            found.setdefault(name, []).append(pair)
    return found


# --- The two parts of an entropy ----------------------------------------------------------------


def chance(x: Tensor) -> Tensor:
    """The true probability of class 1."""
    return 0.5 + 0.45 * torch.sin(3 * x)


def coin_flips(n: int, number: int) -> tuple[Tensor, Tensor]:
    """Places from -3 to 0.5, and a class for each."""
    torch.manual_seed(number)
    x = 3.5 * torch.rand(n, 1, dtype=torch.float64) - 3
    return x, (torch.rand(n, dtype=torch.float64) < chance(x)[:, 0]).long()


def entropies() -> list[dict[str, Any]]:
    """Mutual information where there are data and where there are none, for each seed."""
    line = torch.linspace(-3, 3, 241).double()[:, None]
    inside = line[:, 0] < 0.5
    rows = []
    for p in (0.1, 0.5):
        for n in (60, 2000):
            row: dict[str, Any] = {"p": p, "n": n, "with data": [], "without": []}
            for number in seeds(CLASSIFIERS, first=200):
                x, y = coin_flips(n, number)
                model = train(mlp(1, 64, 64, 2, p=p), x, y, 500, cross_entropy)
                drawn = predict(model, line, SAMPLES, key=MaskKey(number)).softmax(-1)
                information = metrics.mutual_information(drawn)
                row["with data"].append(information[inside].mean().item())
                row["without"].append(information[~inside].mean().item())
            rows.append(row)
    return rows


# --- With more data -----------------------------------------------------------------------------


def by_size() -> dict[str, list[list[float]]]:
    """For each number of points, and each data set: spread of MC dropout, of an ensemble, error.

    The members of an ensemble have the same data, and seeds of their own for their weights, batches
    and masks. Its error is that of the mean of all its members' samples.
    """
    points = torch.linspace(-0.9, 0.9, 50).double()[:, None]
    found: dict[str, list[list[float]]] = {}
    for n in SIZES:
        for number in seeds(DATA_SETS, first=300):
            torch.manual_seed(number)
            x = 2 * torch.rand(n, 1, dtype=torch.float64) - 1
            y = torch.sin(4 * x) + 0.3 * torch.randn(n, 1, dtype=torch.float64)
            drawn = []
            for member in range(MEMBERS):
                torch.manual_seed(seed(1000 + 100 * member) + number)
                model = train(mlp(1, 50, 50, 1, p=0.1), x, y, 300)
                drawn.append(predict(model, points, SAMPLES, key=MaskKey(number + member)))
            means = torch.stack([f.mean(0) for f in drawn])
            own = np.mean([f.std(0).mean().item() for f in drawn])
            error = (means.mean(0) - torch.sin(4 * points)).abs().mean().item()
            row = [float(own), means.std(0).mean().item(), error]
            found.setdefault(str(n), []).append(row)
    return found


def main() -> None:
    """Run all and store it."""
    torch.set_num_threads(1)
    write(
        "spread",
        "python -m dropout.experiments.spread",
        seeds(NUMBER, first=100) + seeds(CLASSIFIERS, first=200) + seeds(DATA_SETS, first=300),
        settings={
            "samples": SAMPLES,
            "members": MEMBERS,
            "networks": NUMBER,
            "classifiers": CLASSIFIERS,
        },
        by_region=by_region(),
        entropies=entropies(),
        by_size=by_size(),
    )


if __name__ == "__main__":
    main()
