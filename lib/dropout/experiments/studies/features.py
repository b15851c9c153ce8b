"""Features and sparsity of an autoencoder with and without dropout: figures 7 and 8 of the paper.

Are features more local, and activations sparser, when hidden units are dropped? A run trains an
autoencoder on MNIST and looks at its hidden layer. Each arm runs at its own best learning rate and
at the other arm's. Layer and activation can be scaled against the next layer's weights without any
change of what comes out, so that a mean activation depends on how weights begin and are trained;
`sparseness`, the share of zeros and the locality of features do not.
"""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, binary_cross_entropy_with_logits

from dropout.experiments.comparison import (
    FINAL,
    TUNE,
    among,
    choice,
    interval,
    of,
    product,
)
from dropout.experiments.mnist_networks import PIXELS, parts
from dropout.experiments.study import Finished, Result, Settings, Study
from dropout.nn import Dropout
from dropout.training.seeds import seed, seeds

ARMS = {"plain": 0.0, "dropout": 0.5}
GRID = product(lr=(0.05, 0.1, 0.2, 0.4, 0.8))
UNITS, STEPS, BATCH, MOMENTUM = 256, 4000, 100, 0.9
TUNING_SEED, SEEDS = seed(100), seeds(3)
SIDE, WINDOW = 28, 7  # pixels
SHOWN = 25  # features stored as pictures, of the first seed
ACTIVATIONS, MEANS = (0.0, 20.0, 80), (0.0, 8.0, 40)  # histograms: from, to, bins
LEAST_MEAN = 1e-3  # of a pixel, where the output's biases begin


def train(
    *, arm: str, p: float, lr: float, seed: int, judge: str, device: str, steps: int = STEPS
) -> Result:
    """Train an autoencoder and measure it: to tune, on validation data; else what it learned."""
    data = {name: part.x for name, part in parts(device).items()}
    torch.manual_seed(seed)
    model = network(p, data["train"]).to(device)
    before = locality(model.get_parameter("0.weight").detach())
    fit(model, data["train"], lr=lr, steps=steps)
    if judge == "validation":
        found = reconstruction(model, data["validation"])
        return {"at": [steps], "validation": {name: [found[name]] for name in found}}
    return {
        "train": reconstruction(model, data["train"][: len(data["test"])]),
        "test": reconstruction(model, data["test"]),
        "hidden": hidden(model, data["test"], data["train"].std(0)),
        "untrained": {"window": before["window"].mean().item()},
    }


def network(p: float, train: Float[Tensor, "n pixels"]) -> nn.Sequential:
    """784 pixels, 256 ReLU units that drop at rate p, and the logits of 784 pixels.

    Their biases begin at the logits of the mean image: without that, the first steps at the larger
    learning rates leave up to half of the units dead.
    """
    model = nn.Sequential(nn.Linear(PIXELS, UNITS), nn.ReLU(), Dropout(p), nn.Linear(UNITS, PIXELS))
    with torch.no_grad():
        model.get_parameter("3.bias").copy_(train.mean(0).clamp(min=LEAST_MEAN).logit())
    return model


def fit(model: nn.Sequential, x: Float[Tensor, "n pixels"], *, lr: float, steps: int) -> None:
    """SGD with momentum on the cross-entropy, a pixel being the probability of ink.

    `lr` is what a step is in the long run, lr / (1 - momentum) of PyTorch's; it falls to 0 in a
    straight line.
    """
    rate = lr * (1 - MOMENTUM)
    optimiser = torch.optim.SGD(model.parameters(), lr=rate, momentum=MOMENTUM)
    falling = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / steps)
    order = torch.empty(0, dtype=torch.int64)
    model.train()
    for _ in range(steps):
        if len(order) < BATCH:
            order = torch.randperm(len(x))
        batch, order = x[order[:BATCH]], order[BATCH:]
        optimiser.zero_grad()
        loss = binary_cross_entropy_with_logits(model(batch), batch, reduction="sum") / BATCH
        loss.backward()
        optimiser.step()
        falling.step()


@torch.no_grad()
def reconstruction(model: nn.Module, x: Float[Tensor, "n pixels"]) -> dict[str, float]:
    """Cross-entropy (nats an image), and squared error in % of the images' variance."""
    logits = model.eval()(x)
    squares = (logits.sigmoid() - x).square().sum() / (x - x.mean(0)).square().sum()
    loss = binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
    return {"loss": loss.item(), "error": 100 * squares.item()}


@torch.no_grad()
def hidden(model: nn.Sequential, x: Tensor, spread: Float[Tensor, "pixels"]) -> Result:
    """What the hidden layer does with images in evaluation mode, and what its features are like.

    Features of dead units, which are 0 on all images, are left out. "window" and "participation"
    are of the weights, "seen" is the window of the weights times each pixel's standard deviation
    `spread`: the part of a feature that images can move.
    """
    h = model.eval()[:2](x)
    alive = h.sum(0) > 0
    weight = model.get_parameter("0.weight")[alive]
    found = locality(weight)
    return {
        "dead": int((~alive).sum()),
        "mean": h.mean().item(),
        "zero": (h == 0).double().mean().item(),
        "sparseness": sparseness(h),
        "activations": histogram(h, *ACTIVATIONS),
        "means": histogram(h.mean(0), *MEANS),
        "seen": locality(weight * spread)["window"].mean().item(),
        **{name: values.mean().item() for name, values in found.items()},
        "windows": np.percentile(found["window"].cpu(), (5, 25, 50, 75, 95)).tolist(),
        "pictures": [picture(w) for w in weight[:SHOWN]],
    }


def locality(weight: Float[Tensor, "units pixels"]) -> dict[str, Float[Tensor, "units"]]:
    """How local each feature is, by two measures that its scale does not change.

    "window": the share of its squared weight in the best 7 x 7 window, 1/16 where all weights are
    equal. "participation": (Σw²)² / (n Σw⁴), the share of pixels that carry it, 1 where all are
    equal and 1/n for a single pixel.
    """
    squares = weight.double().square()
    total = squares.sum(1)
    windows = avg_pool2d(squares.view(-1, 1, SIDE, SIDE), WINDOW, stride=1) * WINDOW**2
    return {
        "window": windows.flatten(1).amax(1) / total,
        "participation": total**2 / (squares.square().sum(1) * PIXELS),
    }


def sparseness(h: Float[Tensor, "n units"]) -> float:
    """(Σh)² / (k Σh²) over the k units, averaged over images: 1 if all are equal, 1/k if one is on.

    Source: Treves and Rolls (1991). Images without any active unit are left out.
    """
    h = h.double()
    h = h[h.sum(1) > 0]
    return (h.sum(1).square() / (h.shape[1] * h.square().sum(1))).mean().item()


def histogram(values: Tensor, start: float, end: float, bins: int) -> list[int]:
    """Counts in bins of equal width; what lies beyond the end counts in the last."""
    kept = values.flatten().clamp(start, end).double().cpu().numpy()
    return np.histogram(kept, bins, (start, end))[0].tolist()


def picture(feature: Float[Tensor, "pixels"]) -> str:
    """A feature in base64: a signed byte a pixel, row by row, the largest weight being ±127."""
    levels = (127 * feature / feature.abs().max()).round().to(torch.int8)
    return b64encode(levels.cpu().numpy().tobytes()).decode()


def runs(finished: Sequence[Finished]) -> list[Settings]:
    """Tuning; then each arm at the learning rate of either, for every seed."""
    listed = tuning()
    best = chosen(finished)
    for arm, p in ARMS.items() if all(best.values()) else []:
        for lr in sorted({found["point"]["lr"] for found in best.values() if found}):
            fixed = {"stage": FINAL, "arm": arm, "p": p, "judge": "test", "lr": lr}
            listed += [fixed | {"seed": number} for number in SEEDS]
    return listed


def tuning() -> list[Settings]:
    """The runs by which the arms choose."""
    return [
        {"stage": TUNE, "arm": arm, "p": p, "judge": "validation", "seed": TUNING_SEED} | point
        for arm, p in ARMS.items()
        for point in GRID
    ]


def chosen(finished: Sequence[Finished]) -> dict[str, Result | None]:
    """Each arm's best point of the grid, or None where its tuning is not over."""
    tuned = among(finished, tuning())
    return {arm: choice(tuned, arm, GRID, 1, "loss") for arm in ARMS}


def summary(finished: Sequence[Finished]) -> Result:
    """For each arm and learning rate the means over seeds, and the pictures of the first seed."""
    found: Result = {"chosen": chosen(finished), "grid": GRID, "seeds": SEEDS, "arms": {}}
    found["bins"] = {"activations": ACTIVATIONS, "means": MEANS}
    for arm in ARMS:
        final = of(finished, stage=FINAL, arm=arm)
        for lr in sorted({each.settings["lr"] for each in final}):
            here = sorted(of(final, lr=lr), key=lambda each: each.settings["seed"])
            found["arms"].setdefault(arm, {})[str(lr)] = told([each.result for each in here])
    own = {arm: found["chosen"][arm]["point"]["lr"] for arm in found["arms"]}
    found["pictures"] = {
        arm: each.result["hidden"]["pictures"]
        for arm, lr in own.items()
        for each in of(finished, stage=FINAL, arm=arm, lr=lr, seed=SEEDS[0])
    }
    return found


def told(results: Sequence[Result]) -> Result:
    """The numbers of several networks as means and intervals, and their histograms added up."""
    told: Result = {
        part: {name: interval([each[part][name] for each in results]) for name in results[0][part]}
        for part in ("train", "test", "untrained")
    }
    layers: list[dict[str, Any]] = [each["hidden"] for each in results]
    for name, value in layers[0].items():
        if isinstance(value, int | float):
            told[name] = interval([layer[name] for layer in layers])
        elif name != "pictures":
            told[name] = np.array([layer[name] for layer in layers]).T.tolist()
    for name in ("activations", "means"):
        told[name] = [sum(counts) for counts in told[name]]
    return told


STUDY = Study(
    name="features",
    about="Does dropout make the features of an autoencoder local and its activations sparse?",
    beside="Srivastava et al. 2014, figures 7 and 8",
    scale=f"the paper's network of 256 ReLU units; {STEPS:,} steps of {BATCH} images, three seeds",
    train=train,
    runs=runs,
    summary=summary,
    check={
        "arm": "dropout", "p": 0.5, "lr": 0.2, "seed": seed(200), "judge": "test", "steps": 60,
    },
)  # fmt: skip
