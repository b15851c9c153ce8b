"""Take away from dropout one part at a time, and see which takes the gain along: chapter 09.

    python -m dropout.experiments.why_it_helps

The digits, five training sets of 200 that share no image, a network of two hidden layers of 64, all
images at every step, so that the only randomness of a step is that of its masks. Each arm is tuned
on validation images, trained from fresh seeds, and judged on test images.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy, one_hot

from dropout.experiments.results import write
from dropout.theory.penalties import noise_variance
from dropout.training.data import Images, digits
from dropout.training.loops import mlp
from dropout.training.seeds import seed, seeds

WIDTHS = (64, 64, 64, 10)
MOMENTUM = 0.9
Weights = list[Tensor]  # W1, b1, W2, b2, W3, b3 of several networks, stacked along a leading axis

# ---- multipliers of a hidden layer's activations, of mean 1 and variance p/q a unit -------------

Noise = Callable[[Tensor, float, Generator], Tensor]


def coins(h: Float[Tensor, "networks batch units"], p: float, generator: Generator) -> Tensor:
    """Dropout: a coin for each unit and each image."""
    return (torch.rand(h.shape, generator=generator) >= p).to(h) / (1 - p)


def gaussian(h: Float[Tensor, "networks batch units"], p: float, generator: Generator) -> Tensor:
    """Normal noise of the coins' variance: no unit is ever missing."""
    return 1 + noise_variance(p) ** 0.5 * torch.randn(h.shape, generator=generator).to(h)


def fixed_partners(size: int) -> Noise:
    """One coin for `size` neighbouring units: the same partners always come and go together."""

    def noise(h, p, generator):
        return coins(h[..., ::size], p, generator).repeat_interleave(size, dim=-1)

    return noise


def changing_partners(size: int) -> Noise:
    """One coin for `size` units, as `fixed_partners`, but who they are is drawn anew each step."""

    def noise(h, p, generator):
        order = torch.rand(len(h), 1, h.shape[-1], generator=generator).argsort(-1)
        return fixed_partners(size)(h, p, generator).gather(-1, order.expand(h.shape))

    return noise


# ---- networks ------------------------------------------------------------------------------------


def fresh(numbers: Sequence[int], like: Tensor) -> Weights:
    """Networks as `mlp` begins them, one a seed."""
    networks = []
    for number in numbers:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(number)
            linears = [layer for layer in mlp(*WIDTHS) if isinstance(layer, torch.nn.Linear)]
        networks.append([part for a in linears for part in (a.weight.detach().T, a.bias.detach())])
    stacked = [torch.stack(parts) for parts in zip(*networks, strict=True)]
    return [part.reshape(len(numbers), -1, part.shape[-1]).to(like) for part in stacked]


def layers(weights: Weights, x: Tensor, noise: Callable[[Tensor], Tensor] | None = None):
    """The activations of both hidden layers, multiplied by the noise, and the scores."""
    w1, b1, w2, b2, w3, b3 = weights
    lower = torch.baddbmm(b1, x.expand(len(w1), -1, -1), w1).relu()
    lower = lower * noise(lower) if noise else lower
    upper = torch.baddbmm(b2, lower, w2).relu()
    upper = upper * noise(upper) if noise else upper
    return lower, upper, torch.baddbmm(b3, upper, w3)


def losses(scores: Float[Tensor, "networks batch classes"], y: Int64[Tensor, "..."]) -> Tensor:
    """Each network's mean cross-entropy, in nats."""
    each = cross_entropy(
        scores.flatten(0, 1), y.expand(scores.shape[:2]).flatten(), reduction="none"
    )
    return each.view(scores.shape[:2]).mean(1)


def penalties(weights: Weights, x: Tensor, p: float, size: int = 1) -> tuple[Tensor, Tensor]:
    """Scores without noise, and to second order what coins shared by `size` neighbours add.

    (p/2q) of the mean over images of Σ_b c_b^T (diag π - π π^T) c_b, in both layers: c_b is what
    the units of group b together contribute to the scores, to first order, and π are the
    predicted probabilities. Source: Wei, Kakade and Ma (2020), section 4, for groups of one unit.
    """
    lower, upper, scores = layers(weights, x)
    into = weights[4].mT[:, None]  # d scores / d upper, [networks, 1, classes, units]
    below = (into * (upper > 0)[:, :, None]).flatten(1, 2) @ weights[2].mT
    below = below.view(*scores.shape, -1)  # d scores / d lower
    probability = scores.softmax(-1)[..., None]
    total = torch.zeros_like(scores[..., 0])
    for h, jacobian in ((lower, below), (upper, into)):
        shared = (jacobian * h[:, :, None]).unflatten(-1, (-1, size)).sum(-1)
        mean = (probability * shared).sum(2)
        total = total + ((probability * shared.square()).sum(2) - mean.square()).sum(-1)
    return scores, noise_variance(p) / 2 * total.mean(1)


# ---- training ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Arm:
    """What is done to the activations in training: noise at rate p, averaged over `masks` a step.

    `formula` is the group size of `penalties`, which then takes the place of noise.
    """

    noise: Noise | None = None
    masks: int = 1
    formula: int | None = None
    p: float = 0.5
    decay: float = 0.0

    def gradient(self, weights: Weights, x: Tensor, y: Tensor, generator: Generator) -> Weights:
        """The gradient of one step."""
        if self.formula:
            scores, penalty = penalties(weights, x, self.p, self.formula)
            return list(torch.autograd.grad((losses(scores, y) + penalty).sum(), weights))
        make = self.noise
        noise = (lambda h: make(h, self.p, generator)) if make else None
        _, _, scores = layers(weights, x.repeat(1, self.masks, 1), noise)
        return list(torch.autograd.grad(losses(scores, y.repeat(1, self.masks)).sum(), weights))


def train(
    arm: Arm,
    sets: Sequence[Images],
    numbers: Sequence[int],
    *,
    lr: float,
    steps: int,
    every: int,
    validation: Images,
    patience: float = float("inf"),
) -> tuple[Weights, Float[Tensor, "times networks"]]:
    """Networks of one arm, the i-th on set i from seed i, and their validation losses.

    Full-batch gradient descent with momentum, evaluated after `every` so many steps. It ends early
    when the mean validation loss has risen `patience` times above its lowest.
    """
    x, y = torch.stack([each.x for each in sets]), torch.stack([each.y for each in sets])
    generator = Generator().manual_seed(numbers[0])
    weights = [part.requires_grad_() for part in fresh(numbers, like=x)]
    velocity = [torch.zeros_like(part) for part in weights]
    history: list[Tensor] = []
    for step in range(1, steps + 1):
        grad = arm.gradient(weights, x, y, generator)
        with torch.no_grad():
            for part, speed, slope in zip(weights, velocity, grad, strict=True):
                speed.mul_(MOMENTUM).add_(slope).add_(part, alpha=arm.decay)
                part.sub_(speed, alpha=lr)
            if step % every == 0:
                history.append(losses(layers(weights, validation.x)[2], validation.y))
                means = torch.stack(history).mean(1)
                if not means[-1] < patience * means.min():
                    break
    return [part.detach() for part in weights], torch.stack(history)


# ---- what comes of it ----------------------------------------------------------------------------


def measure(
    weights: Weights, test: Images, p: float = 0.5, draws: int = 50
) -> dict[str, list[float]]:
    """For each network: loss (nats) and accuracy on test data, as it is, and with coins at rate p.

    "one mask" is the mean over masks of what one of them costs; "averaged" is the mean prediction
    of all `draws` masks.
    """
    y, generator = test.y, Generator().manual_seed(0)
    scores = layers(weights, test.x)[2]
    masked = torch.stack(
        [layers(weights, test.x, lambda h: coins(h, p, generator))[2] for _ in range(draws)]
    )
    found = {
        "": (losses(scores, y), accuracy(scores, y)),
        "one mask ": (
            torch.stack([losses(each, y) for each in masked]).mean(0),
            torch.stack([accuracy(each, y) for each in masked]).mean(0),
        ),
    }
    averaged = masked.softmax(-1).mean(0).log()
    found["averaged "] = losses(averaged, y), accuracy(averaged, y)
    return {
        f"{name}{what}": values.tolist()
        for name, both in found.items()
        for what, values in zip(("loss", "accuracy"), both, strict=True)
    }


def accuracy(scores: Float[Tensor, "networks batch classes"], y: Tensor) -> Tensor:
    """Each network's share of right answers."""
    return (scores.argmax(-1) == y).double().mean(-1)


def reliance(weights: Weights, test: Images, size: int = 8) -> dict[str, list[float]]:
    """How much the loss of each network relies on single units of the upper layer, and on pairs.

    "worst" is what the loss rises (nats) without the most important unit; "live" the number of
    units that are not 0 on all images, and "correlation" the mean of its absolute value over pairs
    of those. "partners" is, over all pairs of a group of `size` neighbours, the mean absolute
    interaction (what two cost together less what each costs alone) divided by the mean of what the
    two cost alone, both in absolute value; "others" the same over as many pairs of two groups.
    """
    found: dict[str, list[float]] = {
        name: [] for name in ("worst", "live", "correlation", "partners", "others")
    }
    _, upper, scores = layers(weights, test.x)
    for h, w, score in zip(upper, weights[4], scores, strict=True):
        said = h.T[:, :, None] * w[:, None]  # what each unit adds to the scores
        whole = losses(score[None], test.y)
        alone = losses(score - said, test.y) - whole
        units = len(said)
        partners = [
            pair for pair in combinations(range(units), 2) if pair[0] // size == pair[1] // size
        ]
        others = [(a, (b + size * (1 + k % 3)) % units) for k, (a, b) in enumerate(partners)]
        for name, pairs in (("partners", partners), ("others", others)):
            a, b = torch.tensor(pairs).T
            both = losses(score - said[a] - said[b], test.y) - whole
            extra = (both - alone[a] - alone[b]).abs().mean()
            found[name].append(float(extra / (alone[a].abs() + alone[b].abs()).mean()))
        live = h[:, h.amax(0) > 0]
        correlation = torch.corrcoef(live.T).abs()
        pairs_of_live = live.shape[1] * (live.shape[1] - 1)
        found["correlation"].append(float((correlation.sum() - live.shape[1]) / pairs_of_live))
        found["live"].append(live.shape[1])
        found["worst"].append(float(alone.max()))
    return found


def split(probabilities: Float[Tensor, "sets seeds batch classes"], y: Tensor) -> dict[str, float]:
    """The squared loss, split: bias² and noise, variance over training sets, over seeds.

    Both variances are unbiased: that over sets is of the mean over all seeds there could be.
    """
    target = one_hot(y, probabilities.shape[-1])
    loss = (probabilities - target).square().sum(-1).mean()
    over_seeds = probabilities.var(1).sum(-1).mean()
    means = probabilities.mean(1)
    over_sets = means.var(0).sum(-1).mean() - over_seeds / probabilities.shape[1]
    parts = {"squared loss": loss, "over sets": over_sets, "over seeds": over_seeds}
    parts["bias and noise"] = loss - over_sets - over_seeds
    return {name: float(value) for name, value in parts.items()}


# ---- the study -----------------------------------------------------------------------------------

DROPOUT = Arm(coins)
ARMS: dict[str, tuple[Arm, ...]] = {
    "no dropout": (Arm(),),
    "dropout": (DROPOUT,),
    "Gaussian noise": (Arm(gaussian),),
    "8 masks a step": (Arm(coins, masks=8),),
    "formula": (Arm(formula=1),),
    "formula for groups of 8": (Arm(formula=8),),
    **{f"fixed partners {n}": (Arm(fixed_partners(n)),) for n in (2, 4, 8, 16)},
    **{f"changing partners {n}": (Arm(changing_partners(n)),) for n in (2, 4, 8, 16)},
    "weight decay": tuple(Arm(decay=decay) for decay in (1e-3, 3e-3, 1e-2)),
}
SETS, IMAGES, NETWORKS = 5, 200, 3  # networks for each training set
LRS, STEPS, EVERY, PATIENCE = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2), 2000, 20, 1.1
TUNING, FRESH = seeds(SETS, first=200), seeds(NETWORKS * SETS, first=300)


def data() -> tuple[list[Images], Images, Images]:
    """Five training sets of 200 digits that share none, validation and test data, in float32."""
    train, validation, test = (
        Images(each.x.float(), each.y) for each in digits(train=SETS * IMAGES, seed=seed(0))
    )
    parts = zip(train.x.split(IMAGES), train.y.split(IMAGES), strict=True)
    return [Images(*part) for part in parts], validation, test


def tuned(name: str, sets: Sequence[Images], validation: Images) -> dict[str, Any]:
    """The variant of an arm, learning rate and steps with the least mean validation loss."""
    best: dict[str, Any] = {"validation_loss": np.inf}
    for lr, arm in product(LRS, ARMS[name]):
        _, history = train(arm, sets, TUNING, lr=lr, steps=STEPS, every=EVERY,
                           validation=validation, patience=PATIENCE)  # fmt: skip
        means = np.nan_to_num(history.mean(1).numpy(), nan=np.inf)
        if means.min() < best["validation_loss"]:
            best = {"lr": lr, "steps": EVERY * (int(means.argmin()) + 1), "p": arm.p,
                    "weight_decay": arm.decay, "variant": ARMS[name].index(arm),
                    "validation_loss": float(means.min())}  # fmt: skip
    return best


def study(name: str) -> dict[str, Any]:
    """Tune one arm, train it from fresh seeds, some for each training set, and measure it."""
    sets, validation, test = data()
    chosen = tuned(name, sets, validation)
    arm = ARMS[name][chosen["variant"]]
    weights, _ = train(arm, sets * NETWORKS, FRESH, lr=chosen["lr"], steps=chosen["steps"],
                       every=chosen["steps"], validation=validation)  # fmt: skip
    probabilities = (
        layers(weights, test.x)[2].softmax(-1).unflatten(0, (NETWORKS, SETS)).transpose(0, 1)
    )
    together = probabilities.mean(1).log()
    return {
        "chosen": chosen,
        **measure(weights, test),
        **reliance(weights, test),
        "ensemble loss": losses(together, test.y).tolist(),
        "ensemble accuracy": accuracy(together, test.y).tolist(),
        "split": split(probabilities, test.y),
    }


def main() -> None:
    """Run the study and store it."""
    found = {}
    for name in ARMS:
        found[name] = study(name)
        loss, right = np.mean(found[name]["loss"]), np.mean(found[name]["accuracy"])
        print(f"{name}: {found[name]['chosen']}, test {loss:.4f} nats, {right:.2%}", flush=True)
    write(
        "why_it_helps",
        "python -m dropout.experiments.why_it_helps",
        [seed(0), *TUNING, *FRESH],
        sets=SETS, images=IMAGES, widths=WIDTHS, momentum=MOMENTUM, learning_rates=LRS,
        most_steps=STEPS, networks_a_set=NETWORKS, arms=found,
    )  # fmt: skip


if __name__ == "__main__":
    main()
