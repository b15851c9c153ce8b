"""`bayes.precision`: the variational bound, computed from its definition, against a step of SGD."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from dropout.bayes import precision

DECAY, LENGTH, WIDTH = 0.3, 1.7, 0.02  # weight_decay, l, and the width s of the normals
EXAMPLES, INPUTS = 5, 4


def masks():
    """All masks of the inputs, one a row."""
    return (torch.arange(2**INPUTS)[:, None] >> torch.arange(INPUTS)) & 1


def divergence(row, q):
    """KL of q N(row, s²) + p N(0, s²) from N(0, 1/l²), by Gauss-Hermite quadrature of its terms."""
    at, weight = (torch.from_numpy(a) for a in np.polynomial.hermite_e.hermegauss(30))
    nodes = WIDTH * torch.cartesian_prod(*[at] * len(row)).reshape(-1, len(row))
    mass = torch.cartesian_prod(*[weight / weight.sum()] * len(row)).reshape(len(nodes), -1).prod(1)
    zero, one = torch.zeros_like(row), torch.ones_like(row)
    prior = torch.distributions.Normal(zero, one / LENGTH)
    normals = [torch.distributions.Normal(mean, WIDTH * one) for mean in (row, zero)]

    def log_ratio(w):
        parts = [
            n.log_prob(w).sum(-1) + np.log(c) for n, c in zip(normals, (q, 1 - q), strict=True)
        ]
        return torch.stack(parts).logsumexp(0) - prior.log_prob(w).sum(-1)

    kept, dropped = (mass @ log_ratio(nodes + mean) for mean in (row, zero))
    return q * kept + (1 - q) * dropped


def disagreement(q, outputs, tau):
    """How far the bound's gradient is from a step of SGD with weight decay, over all masks.

    The step is PyTorch's own: inverted dropout, `mse_loss`, `weight_decay`. Relative to its length.
    """
    generator = torch.Generator().manual_seed(outputs)
    layer = nn.Linear(INPUTS, outputs, bias=False).double()
    x, y, weight = (
        torch.randn(*shape, dtype=torch.float64, generator=generator)
        for shape in ((EXAMPLES, INPUTS), (EXAMPLES, outputs), (outputs, INPUTS))
    )
    layer.weight.data = weight.clone()
    chance = (q ** masks() * (1 - q) ** (1 - masks())).prod(1).double()

    optimiser = torch.optim.SGD(layer.parameters(), lr=1.0, weight_decay=DECAY)
    losses = torch.stack([mse_loss(layer(x * m / q), y) for m in masks()])
    (chance @ losses).backward()
    optimiser.step()
    step = weight - layer.weight.detach()

    inverted = weight.requires_grad_()
    vanilla = inverted / q
    fits = torch.stack([(y - (x * m) @ vanilla.T).square().sum() for m in masks()])
    kl = sum(divergence(row, q) for row in vanilla.T)
    (tau / 2 * (chance @ fits) + kl).backward()
    bound = inverted.grad / (EXAMPLES * tau * outputs / 2)
    return ((bound - step).norm() / step.norm()).item()


@pytest.mark.parametrize("q", [0.5, 0.8])
@pytest.mark.parametrize("outputs", [1, 2])
def test_the_bound_and_training_have_one_gradient(q, outputs):
    tau = precision(DECAY, LENGTH, q, EXAMPLES, outputs=outputs)
    assert disagreement(q, outputs, tau) < 1e-9


@pytest.mark.parametrize("q", [0.5, 0.8])
@pytest.mark.parametrize(
    "wrong", [lambda q: q**2, lambda q: q, lambda q: 1 / 2, lambda q: 1 / 4, lambda q: q / (1 - q)]
)
def test_a_wrong_formula_has_another_gradient(q, wrong):
    """The weights taken for those without 1/q; a factor ½ in the loss, or in the decay; p for q."""
    tau = precision(DECAY, LENGTH, q, EXAMPLES)
    factor = wrong(q)
    assert factor == 1 or disagreement(q, 1, factor * tau) > 1e-3


def test_outputs_forgotten_give_another_gradient():
    assert disagreement(0.8, 2, precision(DECAY, LENGTH, 0.8, EXAMPLES)) > 1e-3


@pytest.mark.parametrize("q", [0.5, 0.8])
def test_it_is_that_of_the_code_of_concrete_dropout(q):
    """Its regulariser r = l²/(τ N) stands in the loss as r ‖W‖²/q beside the mean of ‖y - ŷ‖²."""
    tau, n = 7.0, 100
    regulariser = LENGTH**2 / (tau * n)
    assert precision(2 * regulariser / q, LENGTH, q, n) == pytest.approx(tau)


def test_weights_whose_inputs_do_not_drop_have_another_length_scale():
    """l² = ½ τ q N D w: for one decay and one τ, in the ratio of the q."""
    dropped = precision(DECAY, LENGTH, 0.5, EXAMPLES)
    assert precision(DECAY, LENGTH * 2**0.5, 1.0, EXAMPLES) == pytest.approx(dropped)


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q": 0.0}, r"q must be in \(0, 1\], got 0.0"),
        ({"q": float("nan")}, r"q must be in \(0, 1\], got nan"),
        ({"weight_decay": 0.0}, "weight_decay must be positive"),
        ({"length_scale": -1.0}, "length_scale must be positive"),
        ({"n": 0}, "n must be positive"),
        ({"outputs": 0}, "outputs must be positive"),
    ],
)
def test_a_precision_without_meaning_is_refused(change, message):
    arguments = {"weight_decay": 1.0, "length_scale": 1.0, "q": 0.5, "n": 3} | change
    with pytest.raises(ValueError, match=message):
        precision(**arguments)
