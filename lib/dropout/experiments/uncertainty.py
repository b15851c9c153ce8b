"""Five ways of being unsure about digits, each tuned for itself and then measured on test images.

    python -m dropout.experiments.uncertainty

One pass, MC dropout and an ensemble of five, each also with a temperature and with split conformal
sets. The points are chosen on validation images; temperature and sets are fitted on others, which
no network was trained or tuned on; test images are looked at once. About a quarter of an hour on
one core.
"""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from scipy.ndimage import rotate
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from dropout import MaskKey
from dropout.bayes import metrics, predict
from dropout.experiments.results import write
from dropout.training.data import Images, digits
from dropout.training.loops import mlp
from dropout.training.seeds import seed, seeds
from dropout.training.sweep import sweep

RATES, LRS, DECAYS = (0.1, 0.25, 0.5, 0.7), (0.01, 0.03, 0.1, 0.3), (0.0, 1e-3, 3e-3, 1e-2)
EPOCHS = (80, 160, 320, 640)
GRID = {"p": (0.0, *RATES), "lr": LRS, "weight_decay": DECAYS, "epochs": EPOCHS}
TRAIN, CALIBRATION, MEMBERS, SAMPLES = 300, 200, 5, 100
TUNING_SEEDS, BLOCKS, REPEATS, RESAMPLES = 2, 2, 5, 200
LEVEL, BINS, ANGLE = 0.95, 15, 20
COSTS = {"one": (1, 1), "mc": (1, SAMPLES), "five": (MEMBERS, MEMBERS)}  # trainings, passes

Probabilities = Float[Tensor, "inputs classes"]
Labels = Int64[Tensor, "inputs"]
Method = Callable[[Tensor], Probabilities]


# --- Tuning -------------------------------------------------------------------------------------


@torch.no_grad()
def one_pass(model: nn.Module, x: Tensor) -> Probabilities:
    """Class probabilities by weight scaling."""
    return model.eval()(x).softmax(-1)


def sampled(model: nn.Module, x: Tensor, samples: int = SAMPLES) -> Float[Tensor, "..."]:
    """Class probabilities of each network that MC dropout samples."""
    return predict(model, x, samples, key=MaskKey(seed(1))).softmax(-1)


def trained(points: list[tuple], numbers: list[int], data: Images) -> list[nn.Sequential]:
    """A network for each point (p, lr, decay, epochs) and seed; all have the same epochs."""
    models, _ = sweep(
        [partial(mlp, 64, 128, 128, 10, p=p) for p, *_ in points], data, data, seed=numbers,
        lr=[lr for _, lr, *_ in points], weight_decay=[decay for _, _, decay, _ in points],
        epochs=points[0][3], every=points[0][3], batch_size=50,
    )  # fmt: skip
    return models


def tune(data: Images, held_out: Images) -> dict[str, dict[str, Any]]:
    """For each arm the point of the grid with the least NLL on held-out images.

    An arm is judged by the prediction that it makes: MC dropout by the average of 50 samples, the
    ensemble by that of its members.
    """
    scores: dict[str, dict[tuple, float]] = {}
    for epochs in EPOCHS:
        points = [point for point in product(*GRID.values()) if point[-1] == epochs]
        counts = [TUNING_SEEDS if point[0] else MEMBERS for point in points]
        runs = [(point, k) for point, n in zip(points, counts, strict=True) for k in range(n)]
        models = trained([point for point, _ in runs], [seed(100 + k) for _, k in runs], data)
        networks = iter(models)
        for point, count in zip(points, counts, strict=True):
            group = [next(networks) for _ in range(count)]
            passes = [one_pass(model, held_out.x) for model in group]
            found = {"dropout" if point[0] else "no dropout": passes}
            if point[0]:
                found["MC dropout"] = [sampled(m, held_out.x, 50).mean(0) for m in group]
            else:
                found["ensemble"] = [torch.stack(passes).mean(0)]
            for arm, predictions in found.items():
                losses = [metrics.nll(p, held_out.y).item() for p in predictions]
                mean = float(np.nan_to_num(np.mean(losses), nan=np.inf))
                scores.setdefault(arm, {})[point] = mean
    chosen = {}
    for arm, by_point in scores.items():
        best = min(by_point, key=by_point.__getitem__)
        axes = zip(GRID, best, GRID.values(), strict=True)
        edge = [name for name, value, axis in axes if value and value in (min(axis), max(axis))]
        chosen[arm] = dict(zip(GRID, best, strict=True)) | {
            "validation_nll": by_point[best],
            "edge": edge,
        }
        print(arm, chosen[arm], flush=True)
    return chosen


# --- Set right afterwards -----------------------------------------------------------------------


def tempered(p: Probabilities, t: float) -> Probabilities:
    """p^(1/t), normalised."""
    return (p.log() / t).softmax(-1)


def temperature(p: Probabilities, y: Labels) -> float:
    """The temperature with the least NLL on the images given, within a factor of 4 of 1."""
    return min(np.geomspace(0.25, 4, 81), key=lambda t: metrics.nll(tempered(p, t), y).item())


def cut(p: Probabilities, y: Labels, level: float = LEVEL) -> float:
    """Split conformal: the classes that have this probability or more are a set for `level`.

    Among n images and one more of the same kind, the label of the last is as likely to have any of
    the n + 1 ranks. It falls below the k-th least of the others if it is one of the k least of all:
    with chance k / (n + 1), which is kept to 1 - level.
    Source: Angelopoulos and Bates (2021).
    """
    rank = int((1 - level) * (len(y) + 1) + 1e-9)
    return p.gather(1, y[:, None])[:, 0].sort().values[rank - 1].item() if rank else 0.0


def own_sets(p: Probabilities, level: float = LEVEL) -> Tensor:
    """The smallest sets of classes to which p gives `level` or more."""
    ordered, order = p.sort(descending=True)
    return torch.zeros_like(p).scatter(1, order, (ordered.cumsum(-1) - ordered < level).to(p))


# --- Measuring ----------------------------------------------------------------------------------


def resamples(n: int) -> Float[Tensor, "rows n"]:
    """How often each of n images counts: a row of ones, and a row for each bootstrap resample."""
    generator = torch.Generator().manual_seed(seed(3))
    picks = torch.randint(n, (RESAMPLES, n), generator=generator)
    counts = torch.zeros(RESAMPLES, n).scatter_add_(1, picks, torch.ones(picks.shape))
    return torch.cat([torch.ones(1, n), counts]).double()


def measure(p: Probabilities, y: Labels, at: float, weights: Tensor) -> dict[str, Tensor]:
    """Each quantity for the test images as they are and for each resample, a row of weights."""
    n, label = len(y), y[:, None]
    right, confidence = (p.argmax(-1) == y).to(p), p.amax(-1)
    own, conformal = own_sets(p), (p >= at).to(p)
    means = {
        "nll": -p.gather(1, label)[:, 0].log(),
        "accuracy": right,
        "confidence_gap": confidence - right,
        "own_coverage": own.gather(1, label)[:, 0],
        "own_size": own.sum(-1),
        "conformal_coverage": conformal.gather(1, label)[:, 0],
        "conformal_size": conformal.sum(-1),
    }
    found = {name: weights @ values / n for name, values in means.items()}
    bins = torch.bucketize(confidence, torch.linspace(0, 1, BINS + 1).to(p)[1:-1])
    members = torch.nn.functional.one_hot(bins, BINS).to(p)
    found["ece"] = ((weights * (confidence - right)) @ members).abs().sum(-1) / n
    # The same of labels drawn from p itself: what a calibrated prediction would show.
    coins = torch.rand(RESAMPLES, n, generator=torch.Generator().manual_seed(seed(2))).to(p)
    drawn = (confidence - (coins < confidence).to(p)) @ members
    found["ece_if_calibrated"] = (drawn.abs().sum(-1) / n).mean().expand(len(weights))
    return found


def summary(runs: list[dict[str, Tensor]]) -> dict[str, list[float]]:
    """Mean over networks and its standard error: that of the networks and that of the images."""
    found = {}
    for name in runs[0]:
        values = torch.stack([run[name] for run in runs])
        error = values[:, 0].var() / len(runs) + values[:, 1:].mean(0).var()
        found[name] = [values[:, 0].mean().item(), error.sqrt().item()]
    return found


def methods(chosen: dict[str, dict], block: int, data: Images) -> dict[str, list[Method]]:
    """For each method, and each repeat, the function from images to class probabilities."""
    arms = {}
    for place, (arm, point) in enumerate(chosen.items(), start=1):
        count = REPEATS * (MEMBERS if arm == "ensemble" else 1)
        where = tuple(point[name] for name in GRID)
        first = 10_000 * (block + 1) + 1000 * place
        arms[arm] = trained([where] * count, seeds(count, first=first), data)

    def single(model: nn.Module) -> Method:
        return lambda x: one_pass(model, x)

    def mc(model: nn.Module) -> Method:
        return lambda x: sampled(model, x).mean(0)

    def together(models: list[nn.Sequential]) -> Method:
        return lambda x: torch.stack([one_pass(model, x) for model in models]).mean(0)

    fives = [arms["ensemble"][k::REPEATS] for k in range(REPEATS)]
    return {
        "no dropout, one pass": [single(m) for m in arms["no dropout"]],
        "dropout, one pass": [single(m) for m in arms["dropout"]],
        "dropout, as MC dropout": [mc(m) for m in arms["dropout"]],
        "MC dropout": [mc(m) for m in arms["MC dropout"]],
        "MC dropout, as one pass": [single(m) for m in arms["MC dropout"]],
        "ensemble of five": [together(models) for models in fives],
    }


PAIRS = [
    ("MC dropout", "MC dropout, as one pass"),
    ("dropout, as MC dropout", "dropout, one pass"),
    ("MC dropout", "dropout, one pass"),
    ("MC dropout", "ensemble of five"),
    ("MC dropout", "dropout, one pass, temperature"),
    ("ensemble of five", "no dropout, one pass"),
]


def compare() -> dict[str, Any]:
    """Tune, train on three blocks of images, and measure on test images, upright and turned."""
    pool, validation, test = digits(seed=seed(0))
    x = test.x.reshape(-1, 8, 8).numpy()
    leaning = rotate(x, ANGLE, axes=(1, 2), reshape=False, order=1).clip(0, 1).reshape(-1, 64)
    views = {"upright": test.x, "turned": torch.from_numpy(leaning)}
    weights = resamples(len(test.y))
    chosen = tune(Images(pool.x[:TRAIN], pool.y[:TRAIN]), validation)
    runs: dict[str, dict[str, list]] = {view: {} for view in views}
    heats: dict[str, list[float]] = {}
    for block in range(BLOCKS):
        rows = torch.arange(len(pool.y)).roll(-TRAIN * block)
        fit, rest = rows[:TRAIN], rows[-CALIBRATION:]
        found = methods(chosen, block, Images(pool.x[fit], pool.y[fit]))
        for name, functions in found.items():
            for function in functions:
                held, y = function(pool.x[rest]), pool.y[rest]
                heat = temperature(held, y)
                heats.setdefault(name, []).append(heat)
                for view, images in views.items():
                    p = function(images)
                    for suffix, t in (("", 1.0), (", temperature", heat)):
                        at = cut(tempered(held, t), y)
                        measured = measure(tempered(p, t), test.y, at, weights)
                        runs[view].setdefault(name + suffix, []).append(measured)
        print(f"block {block} measured", flush=True)
    table = {
        view: {name: summary(found) for name, found in by_name.items()}
        for view, by_name in runs.items()
    }
    differences = {}
    for view, (a, b) in product(views, PAIRS):
        gaps = [
            {name: first[name] - second[name] for name in first}
            for first, second in zip(runs[view][a], runs[view][b], strict=True)
        ]
        differences[f"{view}: {a} - {b}"] = summary(gaps)
    middle = {name: float(np.median(found)) for name, found in heats.items()}
    return {"chosen": chosen, "table": table, "differences": differences, "temperatures": middle}


# --- Images that are no digits ------------------------------------------------------------------


def strange(x: Tensor) -> dict[str, Tensor]:
    """The images with their pixels shuffled, with ink for paper, and on their side."""
    order = torch.from_numpy(np.random.default_rng(seed(0)).permutation(64))
    return {
        "pixels shuffled": x[:, order],
        "ink and paper swapped": 1 - x,
        "turned by 90°": x.view(-1, 8, 8).rot90(1, (1, 2)).flatten(1),
    }


def told_apart(usual: Tensor, unusual: Tensor) -> float:
    """AUROC: the chance that an unusual image has the greater uncertainty."""
    labels = np.repeat([0, 1], [len(usual), len(unusual)])
    return float(roc_auc_score(labels, torch.cat([usual, unusual])))


def novelty(chosen: dict[str, dict]) -> dict[str, dict[str, list[float]]]:
    """AUROC of three uncertainties for test images against strange ones: mean and standard error.

    The error is that of the networks and, by Hanley and McNeil's (1982) formula, of the images.
    """
    pool, _, test = digits(seed=seed(0))
    count = BLOCKS * REPEATS
    point = tuple(chosen["MC dropout"][name] for name in GRID)
    data = Images(pool.x[:TRAIN], pool.y[:TRAIN])
    values: dict[str, dict[str, list[float]]] = {}
    for model in trained([point] * count, seeds(count, first=90_000), data):

        def uncertainties(x: Tensor, model: nn.Module = model) -> dict[str, Tensor]:
            p = sampled(model, x, 50)
            return {
                "mutual information": metrics.mutual_information(p),
                "predictive entropy": metrics.predictive_entropy(p),
                "entropy of one pass": metrics.predictive_entropy(one_pass(model, x)[None]),
            }

        usual = uncertainties(test.x)
        for kind, images in strange(test.x).items():
            for name, score in uncertainties(images).items():
                area = told_apart(usual[name], score)
                values.setdefault(kind, {}).setdefault(name, []).append(area)
    n = len(test.y)

    def error(areas: list[float]) -> float:
        a = np.mean(areas)
        images = a * (1 - a) + (n - 1) * (a / (2 - a) + 2 * a * a / (1 + a) - 2 * a * a)
        return float(np.sqrt(np.var(areas, ddof=1) / len(areas) + images / n**2))

    return {
        kind: {name: [float(np.mean(a)), error(a)] for name, a in by_name.items()}
        for kind, by_name in values.items()
    }


def main() -> None:
    """Run all and store it."""
    torch.set_num_threads(1)
    found = compare()
    grid = {name: list(values) for name, values in GRID.items()}
    write(
        "uncertainty",
        "python -m dropout.experiments.uncertainty",
        seeds(BLOCKS * REPEATS),
        settings={"grid": grid, "samples": SAMPLES, "members": MEMBERS, "train": TRAIN,
                  "calibration": CALIBRATION, "level": LEVEL, "bins": BINS, "angle": ANGLE,
                  "networks": BLOCKS * REPEATS},
        costs=COSTS,
        **found,
        novelty=novelty(found["chosen"]),
    )  # fmt: skip


if __name__ == "__main__":
    main()
