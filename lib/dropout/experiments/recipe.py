"""The recipe around dropout, part by part: chapter 13.

    python -m dropout.experiments.recipe

MNIST at half its resolution, 14 x 14 pixels. Every network has 1,000 training images of its own,
two hidden layers, and 1,200 steps of 50 images, and is stopped where its own validation loss is
lowest. Each arm is tuned over a grid of learning rates (and of its own setting, where it has one)
by that loss of two networks, which are then thrown away. Eight others are trained at the best
point, and judged on the 10,000 test images. The eight training sets are the same for every arm, so
that arms are compared in pairs. About five minutes on one core; with `--resume`, arms that are
stored already are left as they are.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy, one_hot, pad

from dropout.experiments.results import read, write
from dropout.kernels.many import masked_scale
from dropout.mask import inverted_scale, threshold
from dropout.training.data import Images, mnist
from dropout.training.seeds import seeds

SIDE, CLASSES, EXAMPLES, BATCH, STEPS, EVERY = 14, 10, 1000, 50, 1200, 50
TOGETHER = 1 << 19  # weights, about: with their velocities they fit in a cache
LRS = tuple(0.04 * 2.0**k for k in range(6))  # lr / (1 - momentum)
LARGE_LRS = tuple(2 * lr for lr in LRS)  # for the network that underfits
BOUNDS = 1.0, 2.0
POOL, VALIDATION = 20_000, 2_000
TUNING, FRESH = seeds(2, first=1000), seeds(8, first=1100)
CONSTANT, EARLY, LATE, FALLING, RISING = "constant", "early", "late", "falling", "rising"
AVERAGE = 200
TURN = 0.25  # where an early schedule ends and a late one begins, as a share of the steps


def rate_at(schedule: str, p: float, done: float) -> float:
    """The drop rate once a share `done` of the steps is taken.

    "constant"; "early": p, and 0 from a quarter on; "late": 0, and p from a quarter on; "falling":
    from p to 0 in a straight line; "rising": from 0 towards p, as Morerio et al. (2017) have it,
    p (1 - exp(-10 done)).

    >>> [rate_at("early", 0.5, done) for done in (0.0, 0.2, 0.3)]
    [0.5, 0.5, 0.0]
    """
    if schedule == EARLY:
        return p if done < TURN else 0.0
    if schedule == LATE:
        return p if done >= TURN else 0.0
    if schedule == FALLING:
        return p * (1 - done)
    return p * (1 - float(np.exp(-10 * done))) if schedule == RISING else p


@dataclass(frozen=True)
class Recipe:
    """How one network is trained. Rates are drop rates; `p` may differ in the two hidden layers.

    `lr` is what a step is in the long run, lr / (1 - momentum) of PyTorch's: so momentum can change
    without it. `linear` lets it fall to 0 in a straight line, `steps` long. `c` bounds the length
    of each hidden unit's incoming weights, inf leaves them free. `shifts` moves each training image
    by up to a pixel, anew in each step. With `averaged` the network that is asked is a running mean
    of the weights, over about the last 200 steps.
    """

    width: int = 64
    p: tuple[float, float] = (0.0, 0.0)
    p_input: float = 0.0
    p_scores: float = 0.0
    schedule: str = CONSTANT
    lr: float = 0.1
    momentum: float = 0.9
    linear: bool = False
    c: float = float("inf")
    decay: float = 0.0
    smoothing: float = 0.0
    shifts: bool = False
    averaged: bool = False
    steps: int = STEPS


@dataclass
class Run:
    """What came of one network: its validation loss on the way, and the network where it is least.

    `length` is the greatest length of a hidden unit's incoming weights, on the way.
    """

    validation_loss: list[float] = field(default_factory=list)
    length: list[float] = field(default_factory=list)
    weights: list[Tensor] = field(default_factory=list)


def project(
    weight: Float[Tensor, "networks units inputs"], c: Float[Tensor, "networks 1 1"]
) -> None:
    """What `max_norm_` does, to many networks, each with a bound of its own."""
    weight.mul_((c / weight.norm(dim=2, keepdim=True)).clamp_(max=1))


def start(recipe: Recipe, number: int, inputs: int) -> list[Tensor]:
    """Weights and biases of the three layers as PyTorch begins them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(number)
        sizes = (inputs, recipe.width), (recipe.width, recipe.width), (recipe.width, CLASSES)
        linears = [nn.Linear(*size) for size in sizes]
    return [part.detach() for a in linears for part in (a.weight, a.bias[None])]


def scores(weights: Sequence[Tensor], x: Tensor) -> Tensor:
    """The scores of a network, or of stacked networks, in evaluation."""
    for at in (0, 2):
        x = (x @ weights[at].mT + weights[at + 1]).relu()
    return x @ weights[4].mT + weights[5]


def judged(weights: Sequence[Tensor], data: Images) -> tuple[float, float]:
    """Loss in nats and accuracy of one network."""
    out = scores(weights, data.x)
    right = (out.argmax(1) == data.y).double().mean().item()
    return cross_entropy(out, data.y).item(), right


def moved(x: Float[Tensor, "n pixels"]) -> Float[Tensor, "9 n pixels"]:
    """The images moved by up to one pixel each way; the first are those that stay."""
    image = pad(x.view(-1, SIDE, SIDE), (1, 1, 1, 1))
    ways = sorted(product(range(3), repeat=2), key=lambda way: way != (1, 1))
    return torch.stack([image[:, a : a + SIDE, b : b + SIDE].flatten(1) for a, b in ways])


Drop = Callable[[int, Tensor], Tensor]  # what to do at the input, both hidden layers, the scores


def gradients(weights: Sequence[Tensor], x: Tensor, wanted: Tensor, drop: Drop) -> list[Tensor]:
    """Of the mean cross-entropy against the wanted probabilities, with respect to the weights."""
    inputs, kept = [drop(0, x)], []
    for layer in (0, 1):
        h = torch.baddbmm(weights[2 * layer + 1], inputs[-1], weights[2 * layer].mT).relu_()
        kept.append(h)
        inputs.append(drop(layer + 1, h))
    out = drop(3, torch.baddbmm(weights[5], inputs[2], weights[4].mT))
    grad = drop(3, out.softmax(2).sub_(wanted).div_(x.shape[1]))
    found: list[Tensor] = []
    for layer in (2, 1, 0):
        found = [torch.bmm(grad.mT, inputs[layer]), grad.sum(1, keepdim=True), *found]
        if layer:
            grad = drop(layer, torch.bmm(grad, weights[2 * layer]))
            grad = torch.ops.aten.threshold_backward(grad, kept[layer - 1], 0)
    return found


@torch.no_grad()
def train(
    recipes: Sequence[Recipe],
    sets: Int64[Tensor, "networks examples"],
    numbers: Sequence[int],
    data: Images,
    validation: Images,
    every: int = EVERY,
) -> list[Run]:
    """Train networks side by side, which share width, steps and number of examples.

    Network k has the images `sets[k]` of `data`, and `numbers[k]` settles its weights and the order
    of its images; its shifts and masks are drawn from all numbers together.
    """
    parts = [start(*each, data.x.shape[1]) for each in zip(recipes, numbers, strict=True)]
    weights = [torch.stack(each) for each in zip(*parts, strict=True)]
    velocity = [torch.zeros_like(w) for w in weights]
    mean = [w.clone() for w in weights] if any(r.averaged for r in recipes) else weights
    lr, momentum, c, decay, smoothing, linear = (
        torch.tensor([getattr(r, name) for r in recipes], dtype=torch.float32)[:, None, None]
        for name in ("lr", "momentum", "c", "decay", "smoothing", "linear")
    )
    x, shifts = moved(data.x), torch.tensor([r.shifts for r in recipes])[:, None]
    target = one_hot(data.y, CLASSES).float()
    generators = [Generator().manual_seed(number + 1) for number in numbers]
    draw, rates = np.random.default_rng(list(numbers)), Rates(recipes, data.x.shape[1])
    runs, order = [Run() for _ in recipes], torch.empty(len(recipes), 0, dtype=torch.int64)
    for step in range(recipes[0].steps):
        if order.shape[1] < BATCH:
            drawn = [torch.randperm(sets.shape[1], generator=g) for g in generators]
            order = torch.stack(drawn)
        batch, order = sets.gather(1, order[:, :BATCH]), order[:, BATCH:]
        way = torch.from_numpy(draw.integers(0, 9, batch.shape)) * shifts
        done = step / recipes[0].steps
        wanted = target[batch] * (1 - smoothing) + smoothing / CLASSES
        steepest = gradients(weights, x[way, batch], wanted, rates.at(done, draw))
        now = lr * (1 - momentum) * (1 - linear * done)
        for at, (weight, part) in enumerate(zip(weights, steepest, strict=True)):
            if at % 2 == 0:
                part.addcmul_(weight, decay)
            velocity[at].mul_(momentum).addcmul_(part, now, value=-1)
            weight.add_(velocity[at])
        if c.isfinite().any():
            for at in (0, 2):
                project(weights[at], c)
        if mean is not weights:
            for slow, weight in zip(mean, weights, strict=True):
                slow.lerp_(weight, 1 / AVERAGE)
        if (step + 1) % every == 0:
            for k, (recipe, run) in enumerate(zip(recipes, runs, strict=True)):
                asked = [w[k] for w in (mean if recipe.averaged else weights)]
                run.validation_loss.append(judged(asked, validation)[0])
                run.length.append(max(asked[at].norm(dim=1).max().item() for at in (0, 2)))
                if run.validation_loss[-1] == min(run.validation_loss):
                    run.weights = [w.clone() for w in asked]
    return runs


class Rates:
    """The coins of the input, the two hidden layers and the scores, network by network."""

    def __init__(self, recipes: Sequence[Recipe], inputs: int) -> None:
        self.recipes = recipes
        self.widths = [
            np.full(len(recipes), width)
            for width in (inputs, recipes[0].width, recipes[0].width, CLASSES)
        ]
        self.known: dict[tuple, tuple] = {}

    def at(self, done: float, draw: np.random.Generator) -> Drop:
        """A function that drops and scales what stands at a place: the same coins for one step."""
        seeds = draw.integers(0, 2**64, (4, len(self.recipes)), dtype=np.uint64)
        constants = [
            self._constants([rate_at(r.schedule, rate(r), done) for r in self.recipes])
            for rate in (
                lambda r: r.p_input,
                lambda r: r.p[0],
                lambda r: r.p[1],
                lambda r: r.p_scores,
            )
        ]

        def drop(place: int, x: Tensor) -> Tensor:
            thresholds, scales = constants[place]
            if not thresholds.any():
                return x
            return masked_scale(x, seeds[place], self.widths[place], thresholds, scales)

        return drop

    def _constants(self, rates: list[float]) -> tuple[np.ndarray, np.ndarray]:
        key = tuple(rates)
        if key not in self.known:
            if len(self.known) > 64:
                self.known.clear()
            self.known[key] = (
                np.array([threshold(p) for p in rates], np.int32),
                np.array([inverted_scale(p) for p in rates], np.float32),
            )
        return self.known[key]


def half(images: Images) -> Images:
    """Images of 28 x 28 pixels at half their resolution, in float32."""
    x = avg_pool2d(images.x.float().view(-1, 1, 28, 28), 2).flatten(1)
    return Images(x, images.y)


def in_chunks(
    recipes: Sequence[Recipe], sets: Tensor, numbers: Sequence[int], *data, **keywords
) -> list[Run]:
    """`train`, for networks of any width, number of steps and examples, in parts."""
    found: dict[int, Run] = {}
    kinds: dict[tuple, list[int]] = {}
    for k, recipe in enumerate(recipes):
        kinds.setdefault((recipe.width, recipe.steps, recipe.shifts, recipe.averaged), []).append(k)
    for (width, *_), members in kinds.items():
        size = max(1, TOGETHER // (width * (width + SIDE * SIDE + CLASSES)))
        for at in range(0, len(members), size):
            part = members[at : at + size]
            runs = train([recipes[k] for k in part], sets[part], [numbers[k] for k in part],
                         *data, **keywords)  # fmt: skip
            found |= dict(zip(part, runs, strict=True))
    return [found[k] for k in range(len(recipes))]


# ---- arms ----------------------------------------------------------------------------------------

NONE, DROPPED = Recipe(), Recipe(p=(0.5, 0.5), p_input=0.2)
HIDDEN = replace(DROPPED, p_input=0.0)
FULL = replace(DROPPED, linear=True, momentum=0.95, c=BOUNDS[0])
SMALL = Recipe(width=16, linear=True, steps=2000)
CONTROL, LONGER = "dropout, other seeds", "all four, a quarter of the step, four times the steps"


def arms() -> dict[str, Recipe]:
    """What is compared. A finite c stands for the grid `BOUNDS`."""
    found = {
        "no dropout": NONE,
        "dropout": DROPPED,
        "dropout, max-norm": replace(DROPPED, c=BOUNDS[0]),
        "dropout, falling step": replace(DROPPED, linear=True),
        "dropout, averaged weights": replace(DROPPED, averaged=True),
        "dropout, momentum 0": replace(DROPPED, momentum=0.0),
        "no dropout, momentum 0": replace(NONE, momentum=0.0),
        "dropout, momentum 0.95": replace(DROPPED, momentum=0.95),
        "all four, no max-norm": replace(FULL, c=float("inf")),
        "all four": FULL,
    }
    found |= {f"hidden {p}": replace(NONE, p=(p, p)) for p in (0.2, 0.5, 0.8)}
    found |= {
        "input 0.5": replace(DROPPED, p_input=0.5),
        "input only": replace(NONE, p_input=0.2),
        "first hidden layer only": replace(NONE, p=(0.5, 0.0)),
        "second hidden layer only": replace(NONE, p=(0.0, 0.5)),
    }
    for schedule in (EARLY, FALLING, RISING):
        found[f"{schedule} dropout"] = replace(DROPPED, schedule=schedule)
    found |= {f"width 16, {p}": replace(NONE, width=16, p=(p, p)) for p in (0.0, 0.5)}
    return found | {
        "no dropout, smoothed labels": replace(NONE, smoothing=0.1),
        "dropout, smoothed labels": replace(DROPPED, smoothing=0.1),
        "no dropout, shifted images": replace(NONE, shifts=True),
        "dropout, shifted images": replace(DROPPED, shifts=True),
    }


def small_arms() -> dict[str, Recipe]:
    """A network of two times 16 units and 20,000 images: it cannot fit them."""
    dropped = replace(SMALL, p=(0.1, 0.1))
    return {
        "no dropout": SMALL,
        "constant": dropped,
        "early": replace(dropped, schedule=EARLY),
    }


def grid(recipe: Recipe) -> list[Recipe]:
    """The points among which an arm is tuned, the same for all but for its own setting."""
    bounds = BOUNDS if np.isfinite(recipe.c) else (recipe.c,)
    lrs = LARGE_LRS if recipe.width == SMALL.width and recipe.linear else LRS
    return [replace(recipe, lr=lr, c=c) for lr, c in product(lrs, bounds)]


# ---- the comparison ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """A pool of images, the set of each seed, and what is judged by."""

    pool: Images
    validation: Images
    test: Images
    sets: Mapping[int, Tensor]

    def train(self, recipes: Sequence[Recipe], numbers: Sequence[int], shift: int = 0) -> list[Run]:
        """A network a recipe and number, on the number's set; `shift` changes seed, not set."""
        sets = torch.stack([self.sets[number] for number in numbers])
        numbers = [number + shift for number in numbers]
        return in_chunks(recipes, sets, numbers, self.pool, self.validation)

    def outcome(self, runs: Sequence[Run], numbers: Sequence[int]) -> dict[str, list]:
        """Losses and accuracy at the stop, and the curves on the way there."""
        own = [Images(self.pool.x[s], self.pool.y[s]) for s in (self.sets[n] for n in numbers)]
        test = [judged(run.weights, self.test) for run in runs]
        return {
            "stop": [EVERY * (int(np.argmin(run.validation_loss)) + 1) for run in runs],
            "test_loss": [round(loss, 5) for loss, _ in test],
            "test_accuracy": [right for _, right in test],
            "train_loss": [
                round(judged(run.weights, data)[0], 6) for run, data in zip(runs, own, strict=True)
            ],
            "validation_curve": [[round(v, 4) for v in run.validation_loss] for run in runs],
        }


def tune(task: Task, recipe: Recipe) -> list[dict[str, Any]]:
    """What each point of an arm's grid came to: validation loss and longest row."""
    points = grid(recipe)
    each = [point for point in points for _ in TUNING]
    runs = task.train(each, TUNING * len(points))
    loss = np.array([run.validation_loss for run in runs]).reshape(len(points), len(TUNING), -1)
    length = np.array([run.length[-1] for run in runs]).reshape(len(points), -1).mean(1)
    loss = np.nan_to_num(loss, nan=np.inf)
    return [
        {
            "lr": point.lr,
            "c": finite(point.c),
            "best": round(float(curves.min(1).mean()), 4),  # each network at its own stop
            "length": round(float(far), 2),
            "curve": [round(float(v), 4) for v in curves.mean(0)],
        }
        for point, curves, far in zip(points, loss, length, strict=True)
    ]


def chosen(recipe: Recipe, table: Sequence[Mapping[str, Any]]) -> Recipe:
    """The best point of an arm's grid."""
    best = min(zip(grid(recipe), table, strict=True), key=lambda pair: pair[1]["best"])
    return best[0]


def compare(
    task: Task, compared: Mapping[str, Recipe], known: Mapping[str, Any]
) -> Iterable[tuple[str, dict[str, Any]]]:
    """Each arm, tuned and trained anew; an arm that is known already is left as it is."""
    for name, recipe in compared.items():
        if name in known:
            yield name, known[name]
            continue
        table = tune(task, recipe)
        best = chosen(recipe, table)
        runs = task.train([best] * len(FRESH), FRESH)
        yield name, described(best) | task.outcome(runs, FRESH) | {"grid": table}


def finite(c: float) -> float | None:
    """A bound as JSON can hold it."""
    return c if np.isfinite(c) else None


def described(recipe: Recipe) -> dict[str, Any]:
    """A recipe that JSON can hold, and whether its learning rate lies on the grid's edge."""
    lrs = [point.lr for point in grid(recipe)]
    point = asdict(recipe) | {"c": finite(recipe.c)}
    return {"chosen": point, "edge": recipe.lr in (min(lrs), max(lrs))}


def report(name: str, arm: Mapping[str, Any]) -> None:
    at = {key: arm["chosen"][key] for key in ("lr", "c")}
    loss, right = np.mean(arm["test_loss"]), np.mean(arm["test_accuracy"])
    print(f"{name}: {at}, test {loss:.4f} nats, {right:.2%}", flush=True)


def extras(task: Task, found: Mapping[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    """Dropout again with other seeds on the same images; all four with small steps for longer."""
    compared = arms()
    again = chosen(compared["dropout"], found["dropout"]["grid"])
    runs = task.train([again] * len(FRESH), FRESH, shift=5000)
    yield CONTROL, described(again) | task.outcome(runs, FRESH)
    full = chosen(compared["all four"], found["all four"]["grid"])
    slow = replace(full, lr=full.lr / 4, steps=4 * full.steps)
    runs = task.train([slow] * len(FRESH), FRESH)
    yield LONGER, described(slow) | task.outcome(runs, FRESH)


def tasks() -> tuple[Task, Task]:
    """1,000 images a network, no image in two sets; and all 20,000 for each."""
    training, test = (half(images) for images in mnist())
    pool = Images(training.x[:POOL], training.y[:POOL])
    held = slice(POOL, POOL + VALIDATION)
    validation = Images(training.x[held], training.y[held])
    numbers = [*TUNING, *FRESH]
    apart = torch.arange(len(numbers) * EXAMPLES).view(len(numbers), EXAMPLES)
    return (
        Task(pool, validation, test, dict(zip(numbers, apart, strict=True))),
        Task(pool, validation, test, dict.fromkeys(numbers, torch.arange(POOL))),
    )


def main() -> None:
    """Run the study and store it; what there is is stored after each arm."""
    torch.set_num_threads(1)
    few, many = tasks()
    found: dict[str, dict[str, Any]] = {"arms": {}, "small": {}}
    known = read("recipe") if "--resume" in sys.argv else {"arms": {}, "small": {}}
    for part, outcomes in (
        ("arms", compare(few, arms(), known["arms"])),
        ("arms", extras(few, found["arms"])),
        ("small", compare(many, small_arms(), known["small"])),
    ):
        for name, outcome in outcomes:
            found[part][name] = outcome
            report(name, outcome)
            write(
                "recipe",
                "python -m dropout.experiments.recipe",
                [*TUNING, *FRESH],
                grid={"lrs": LRS, "bounds": BOUNDS, "every": EVERY},
                images={"training": EXAMPLES, "validation": VALIDATION, "batch_size": BATCH},
                **found,
            )


if __name__ == "__main__":
    main()
