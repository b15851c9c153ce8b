"""Many regression networks of one hidden layer, trained at once by batched matrix products.

The network of Gal and Ghahramani (2016): dropout on the inputs and on the hidden ReLUs at one rate,
one output. Each has its own data, rate and weight decay. Single precision; gradients by hand.
"""

from collections.abc import Iterator, Sequence
from math import log, pi, sqrt
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dropout.kernels.many import masked_scale
from dropout.mask import inverted_scale, threshold

Data = tuple[Float[Tensor, "sets n features"], Float[Tensor, "sets n"]]
LR = 0.001  # of Adam, as Kingma and Ba (2015) and Keras have it
PART = 1 << 21  # hidden units of all networks, inputs and masks that are computed at a time


class Networks(NamedTuple):
    """Weights and biases of both layers, stacked, and the rate at which each network drops."""

    w1: Float[Tensor, "networks features hidden"]
    b1: Float[Tensor, "networks 1 hidden"]
    w2: Float[Tensor, "networks hidden 1"]
    b2: Float[Tensor, "networks 1 1"]
    drop: "Drop"

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        return self[:4]

    def to(self, device: torch.device) -> "Networks":
        w1, b1, w2, b2 = (each.to(device) for each in self.parameters)
        return Networks(w1, b1, w2, b2, self.drop)


class Drop:
    """Dropout of stacked tensors, each at a rate of its own, with inverted scaling."""

    def __init__(self, rates: Sequence[float]) -> None:
        self.thresholds = np.array([threshold(p) for p in rates], np.int32)
        self.scales = np.array([inverted_scale(p) for p in rates], np.float32)

    def __call__(
        self, x: Float[Tensor, "networks rows units"], seeds: np.ndarray
    ) -> Float[Tensor, "networks rows units"]:
        """x as MaskKey(seeds[k]) drops and scales its part k."""
        widths = np.full(len(x), x.shape[2])
        return masked_scale(x, seeds, widths, self.thresholds, self.scales)


def initial(
    rates: Sequence[float], features: int, hidden: int, random: torch.Generator
) -> Networks:
    """Networks as Glorot and Bengio (2010) begin: uniform weights, biases of 0."""
    layers = []
    for inputs, outputs in ((features, hidden), (hidden, 1)):
        bound = sqrt(6 / (inputs + outputs))
        weights = torch.empty(len(rates), inputs, outputs).uniform_(-bound, bound, generator=random)
        layers += [weights, torch.zeros(len(rates), 1, outputs)]
    w1, b1, w2, b2 = layers
    return Networks(w1, b1, w2, b2, Drop(rates))


def fit(
    data: Data,
    which: Sequence[int],
    rates: Sequence[float],
    decays: Sequence[float],
    *,
    hidden: int,
    epochs: int,
    batch: int,
    seed: int,
) -> Networks:
    """Networks trained with Adam on the mean squared error, network k on set `which[k]` of `data`.

    It drops at `rates[k]`. `decays[k]` times its weights is added to their gradient; biases do not
    decay. An epoch takes the examples in an order of its own for each network, and its last batch
    is what is left.
    """
    x, y = data
    random = torch.Generator().manual_seed(seed)
    networks = initial(rates, x.shape[2], hidden, random).to(x.device)
    decay = torch.tensor(decays, dtype=x.dtype, device=x.device)[:, None, None]
    optimiser = torch.optim.Adam(networks.parameters, lr=LR, fused=True)
    x, y = x.flatten(0, 1), y.flatten()
    for _ in range(epochs):
        for index, seeds in _epoch(which, len(y) // len(data[1]), batch, random):
            rows = index.flatten().to(x.device)  # `index_select` is faster than indexing
            some_x, some_y = (a.index_select(0, rows).unflatten(0, index.shape) for a in (x, y))
            gradients = _gradients(networks, some_x, some_y, decay, seeds)
            for parameter, gradient in zip(networks.parameters, gradients, strict=True):
                parameter.grad = gradient
            optimiser.step()
    return networks


def _epoch(
    which: Sequence[int], n: int, batch: int, random: torch.Generator
) -> Iterator[tuple[Int64[Tensor, "networks batch"], np.ndarray]]:
    """The examples of each batch, among those of all sets, and the seeds of its two masks."""
    order = torch.stack([torch.randperm(n, generator=random) + n * k for k in which])
    seeds = _seeds(-(-n // batch), len(which), random)
    yield from zip(order.split(batch, dim=1), seeds, strict=True)


def _seeds(draws: int, networks: int, random: torch.Generator) -> np.ndarray:
    """Seeds of the masks of both layers: draws x 2 x networks."""
    drawn = torch.empty(draws, 2, networks, dtype=torch.int64)
    return drawn.random_(-(2**63), None, generator=random).numpy().view(np.uint64)


def _gradients(
    networks: Networks, x: Tensor, y: Tensor, decay: Tensor, seeds: np.ndarray
) -> tuple[Tensor, ...]:
    """Those of the mean squared error over a batch, with what the weights' decay adds."""
    w1, b1, w2, b2, drop = networks
    x = drop(x, seeds[0])
    h = drop(torch.baddbmm(b1, x, w1).relu_(), seeds[1])
    error = (_last(h, w2, b2) - y).mul_(2 / y.shape[1])[:, :, None]
    scales = torch.from_numpy(drop.scales).to(x.device)[:, None, None]
    below = torch.ops.aten.threshold_backward(error * (w2 * scales).mT, h, 0)
    return (
        torch.baddbmm(w1 * decay, x.mT, below),
        below.sum(1, keepdim=True),
        torch.baddbmm((w2 * decay).mT, error.mT, h).mT,
        error.sum(1, keepdim=True),
    )


def _last(h: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """The outputs (networks, batch): for one column, faster than the batched product."""
    return (h * w2.mT).sum(2) + b2[:, 0]


def outputs(
    networks: Networks, x: Float[Tensor, "networks n features"], seeds: np.ndarray | None = None
) -> Float[Tensor, "networks n"]:
    """What the networks put out: with the masks of `seeds`, or with weight scaling."""
    w1, b1, w2, b2, drop = networks
    if seeds is not None:
        x = drop(x, seeds[0])
    h = torch.baddbmm(b1, x, w1).relu_()
    if seeds is not None:
        h = drop(h, seeds[1])
    return _last(h, w2, b2)


def sampled(
    networks: Networks, x: Float[Tensor, "networks n features"], passes: int, seed: int
) -> Iterator[Float[Tensor, "networks some n"]]:
    """The outputs of so many passes with a mask for each input, some passes at a time."""
    count, n, _ = x.shape
    some = max(1, min(passes, PART // (count * n * networks.w1.shape[2])))
    random = torch.Generator().manual_seed(seed)
    for start in range(0, passes, some):
        now = min(some, passes - start)
        (seeds,) = _seeds(1, count, random)
        yield outputs(networks, x.repeat(1, now, 1), seeds).view(count, now, n)


class Judged(NamedTuple):
    """For each network, in the units of the target: root mean squared error, or nats an example.

    `mc_*` of MC dropout, `scaling_*` of weight scaling, `one_pass_rmse` of a single random pass.
    """

    mc_rmse: Tensor
    mc_log_likelihood: Tensor
    scaling_rmse: Tensor
    scaling_log_likelihood: Tensor
    one_pass_rmse: Tensor


def judge(
    networks: Networks,
    x: Float[Tensor, "networks n features"],
    y: Float[Tensor, "networks n"],
    tau: Float[Tensor, "networks"],
    units: Float[Tensor, "networks"],
    passes: int,
    seed: int,
) -> Judged:
    """What the networks predict against targets y, which are in multiples of `units`.

    `tau` is the precision of the noise, in 1/(unit of the target)². The predictive density of MC
    dropout is a mixture of one normal a pass (equation 8 of the paper), that of weight scaling one
    normal.
    """
    precision = tau[:, None] * units[:, None].square()
    total = torch.zeros_like(y, dtype=torch.float64)
    density = torch.full_like(total, -torch.inf)
    first: Tensor | None = None
    for part in sampled(networks, x, passes, seed):
        total += part.sum(1, dtype=torch.float64)
        exponent = -precision[:, None] / 2 * (part - y[:, None]).double().square()
        density = torch.logaddexp(density, exponent.logsumexp(1))
        first = part[:, 0] if first is None else first
    assert first is not None
    scaled = outputs(networks, x).double()
    constant = (tau.log() - log(2 * pi)) / 2
    return Judged(
        _rmse(total / passes - y) * units,
        density.mean(1) - log(passes) + constant,
        _rmse(scaled - y) * units,
        (-precision / 2 * (scaled - y).square()).mean(1) + constant,
        _rmse(first - y) * units,
    )


def _rmse(errors: Tensor) -> Tensor:
    return errors.double().square().mean(1).sqrt()
