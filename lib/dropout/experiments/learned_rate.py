"""Rates that are learned beside rates from a grid, on the diabetes data: chapter 10.

    python -m dropout.experiments.learned_rate

442 patients, ten measurements each, and how far their illness had gone a year later. A network of
50 hidden units predicts it with a noise level of its own. Dropout acts on the inputs and on the
hidden units: at each pair of rates of a grid, or at two rates that are learned with the weights.
The same objective for all, under priors of several widths. A few minutes on one core.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from sklearn.datasets import load_diabetes
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from dropout.experiments.results import write
from dropout.functional import concrete_dropout
from dropout.training.seeds import seed, seeds

HIDDEN, TRAIN, HELD_OUT, STEPS, LR, PASSES = 50, 300, 71, 1000, 0.01, 200
RATES, LENGTHS, STARTS = (0.0, 0.1, 0.3, 0.5), (1, 2, 4, 8), (0.1, 0.5)
SIZES, TEMPERATURES, LENGTH, START = (25, 50, 100, 200, 300), (0.02, 0.1, 0.5, 1.0), 4, 0.1
PRECISION = 2.0  # about that of a linear model's errors
SPLITS = seeds(8, first=800)

Inputs = Float[Tensor, "networks examples features"]
Targets = Float[Tensor, "networks examples"]
Part = tuple[Inputs, Targets]


def split(number: int, train: int = TRAIN) -> list[Part]:
    """Training, validation and test part of one split, standardised by the training part."""
    x, y = load_diabetes(return_X_y=True)
    order = np.random.default_rng(number).permutation(len(y))
    ends = order[:train], order[TRAIN : TRAIN + HELD_OUT], order[TRAIN + HELD_OUT :]
    centre, scale = x[ends[0]].mean(0), x[ends[0]].std(0)
    level, spread = y[ends[0]].mean(), y[ends[0]].std()
    parts = [((x[rows] - centre) / scale, (y[rows] - level) / spread) for rows in ends]
    return [(torch.tensor(x).float()[None], torch.tensor(y).float()[None]) for x, y in parts]


def together(parts: Sequence[Part]) -> Part:
    """Parts of one size, one for each network."""
    return torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])


class Networks:
    """Networks that train side by side, each with a rate on its inputs and one on its units.

    `rates` has the two rates of each network: where they begin, if they are to be `learned`. The
    precision of the noise of the targets is learned from 1 on, if it is not given.
    """

    def __init__(
        self,
        rates: Sequence[Sequence[float]],
        learned: bool,
        temperature: float = 0.1,
        precision: float | None = None,
    ) -> None:
        p = torch.tensor(rates).float().T[..., None, None]  # (2, networks, 1, 1)
        n = p.shape[1]
        self.learned, self.temperature = learned, temperature
        self.logits = torch.logit(p).requires_grad_(learned)
        self.weights = [torch.randn(n, 10, HIDDEN) / 10**0.5, torch.randn(n, HIDDEN, 1)]
        self.weights[1] /= HIDDEN**0.5
        self.biases = [torch.zeros(n, 1, HIDDEN), torch.zeros(n, 1, 1)]
        self.log_precision = torch.full((n, 1), np.log(precision or 1.0))
        self.free = [*self.weights, *self.biases]
        if precision is None:
            self.free.append(self.log_precision)
        for tensor in self.free:
            tensor.requires_grad_()

    def __call__(self, x: Inputs, training: bool = True) -> Targets:
        h = self._drop(x, 0, training) @ self.weights[0] + self.biases[0]
        h = self._drop(h.relu(), 1, training) @ self.weights[1] + self.biases[1]
        return h.squeeze(-1)

    def _drop(self, x: Tensor, place: int, training: bool) -> Tensor:
        logit = self.logits[place]
        if not training:
            return x
        if self.learned:
            return concrete_dropout(x, logit, self.temperature)
        p = logit.sigmoid()
        return x * (torch.rand_like(x) >= p) / (1 - p)

    def log_likelihood(self, data: Part, training: bool = True) -> Targets:
        """Of each example, in nats, the targets being of standard deviation 1."""
        log_precision = self.log_precision
        error = (data[1] - self(data[0], training)).square()
        return 0.5 * (log_precision - log_precision.exp() * error - np.log(2 * np.pi))

    def kl(self, length: float, entropy: bool = True) -> Float[Tensor, "networks"]:
        """What `ConcreteDropout.kl` is, of both layers; for fixed rates without the entropy."""
        total = torch.zeros(len(self.log_precision))
        for logit, weight in zip(self.logits, self.weights, strict=True):
            p = logit.sigmoid()
            squares = weight.square().sum((1, 2), keepdim=True) * (1 + logit.exp())
            total = total + length**2 / 2 * squares.flatten()
            if entropy and self.learned:
                of_coin = -p * logsigmoid(logit) + (1 - p) * softplus(logit)
                total = total - weight.shape[1] * of_coin.flatten()
        return total

    def fit(
        self, train: Part, length: float = LENGTH, entropy: bool = True, steps: int = STEPS
    ) -> "Networks":
        """Descend from -log likelihood + KL / examples, each network's own; Adam, full batch."""
        free = [*self.free, self.logits] if self.learned else self.free
        optimiser = torch.optim.Adam(free, lr=LR)
        schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.02, steps)
        for _ in range(steps):
            optimiser.zero_grad()
            loss = self.kl(length, entropy) / train[1].shape[1] - self.log_likelihood(train).mean(1)
            loss.sum().backward()
            optimiser.step()
            schedule.step()
        return self

    @torch.no_grad()
    def judged(self, data: Part) -> dict[str, list]:
        """Rates; error of one pass; negative log-likelihood of one pass, and over sampled masks."""
        passes = torch.stack([self.log_likelihood(data) for _ in range(PASSES)])
        one = self.log_likelihood(data, training=False)
        error = (data[1] - self(data[0], training=False)).square().mean(1).sqrt()
        mixed = passes.logsumexp(0) - np.log(PASSES)
        return {
            "rates": self.logits.detach().sigmoid().squeeze((2, 3)).T.tolist(),
            "rmse": error.tolist(),
            "nll_one": (-one.mean(1)).tolist(),
            "nll": (-mixed.mean(1)).tolist(),
        }


def grid(data: Sequence[list[Part]], length: float) -> dict[str, Any]:
    """All pairs of fixed rates on each split: [split][pair] of what is judged."""
    pairs = list(product(RATES, RATES))
    found: dict[str, Any] = {"pairs": pairs, "validation": [], "test": []}
    for number, (train, validation, test) in zip(SPLITS, data, strict=False):
        torch.manual_seed(number)
        nets = Networks(pairs, learned=False).fit(together([train] * len(pairs)), length)
        found["validation"].append(nets.judged(together([validation] * len(pairs)))["nll"])
        found["test"].append(nets.judged(together([test] * len(pairs)))["nll"])
    return found


def learned(
    data: Sequence[list[Part]],
    number: int = 0,
    start: float = START,
    temperature: float = 0.1,
    precision: float | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Both rates learned, one network a split: what is judged, of each."""
    torch.manual_seed(seed(900 + number))
    train, validation, test = (together(parts) for parts in zip(*data, strict=True))
    rates = [(start, start)] * len(data)
    nets = Networks(rates, True, temperature, precision).fit(train, **settings)
    return nets.judged(test) | {"validation": nets.judged(validation)["nll"]}


def main() -> None:
    """Run the study and store it."""
    data = [split(number) for number in SPLITS]
    results: dict[str, Any] = {
        "learned": [
            {"length": length, "start": start} | learned(data, start=start, length=length)
            for length, start in product(LENGTHS, STARTS)
        ],
        "again": learned(data, 1),
        "sizes": {n: learned([split(k, n) for k in SPLITS]) for n in SIZES},
        "temperatures": {t: learned(data, temperature=t) for t in TEMPERATURES},
        "no_entropy": learned(data, entropy=False),
        "known_noise": learned(data, precision=PRECISION, length=1),
        "grid": {length: grid(data, length) for length in LENGTHS},
    }
    settings = {"hidden": HIDDEN, "train": TRAIN, "steps": STEPS, "lr": LR, "passes": PASSES}
    settings |= {"length": LENGTH, "start": START, "precision": PRECISION}
    command = "python -m dropout.experiments.learned_rate"
    write("learned_rate", command, [*SPLITS, seed(900), seed(901)], **settings, **results)


if __name__ == "__main__":
    main()
