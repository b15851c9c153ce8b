"""Every mask at once: the 2^n sub-networks of n units, counted rather than sampled."""

from operator import index

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor, nn

from dropout.layers.base import TORCH_DROPOUTS, draws_coins
from dropout.mask import inverted_scale, realised_rate

MOST_UNITS = 24


def all_masks(n: int) -> Bool[np.ndarray, "masks {n}"]:
    """The 2^n masks of n units, True where a unit is kept: row k holds the binary digits of k.

    >>> all_masks(2).astype(int)
    array([[0, 0],
           [0, 1],
           [1, 0],
           [1, 1]])
    """
    n = index(n)  # NumPy's integers wrap
    _check_count(n)
    return np.arange(2**n)[:, None] >> np.arange(n)[::-1] & 1 == 1


def mask_probabilities(
    masks: Bool[np.ndarray, "masks units"], q: float
) -> Float64[np.ndarray, "masks"]:
    """The probability q^kept (1 - q)^dropped of each mask when units are kept with probability q.

    Raises ValueError for q outside [0, 1].

    >>> mask_probabilities(all_masks(2), q=0.75)
    array([0.0625, 0.1875, 0.1875, 0.5625])
    """
    if not 0 <= q <= 1:
        raise ValueError(f"q must be in [0, 1], got {q}")
    return np.where(masks, q, 1 - q).prod(axis=1)


def all_sums(
    terms: Float64[Tensor, "units *shape"], start: Float64[Tensor, "..."]
) -> Float64[Tensor, "masks *shape"]:
    """start + Σ_j m_j terms_j under every mask m: row k is that of row k of `all_masks`.

    They are made by doubling: the sums so far, then the same with the next unit's term added. Each
    costs one addition, where mask by mask it costs one for every unit that is kept.

    >>> terms, start = torch.tensor([10.0, 1.0]).double(), torch.tensor(0.5).double()
    >>> all_sums(terms, start)
    tensor([ 0.5000,  1.5000, 10.5000, 11.5000], dtype=torch.float64)
    """
    _check_count(len(terms))
    sums = terms.new_empty(2 ** len(terms), *terms.shape[1:])
    sums[0] = start
    for j, term in enumerate(terms.flip(0)):  # the last unit is the last binary digit
        torch.add(sums[: 2**j], term, out=sums[2**j : 2 ** (j + 1)])
    return sums


@torch.no_grad()
def sub_networks(
    model: nn.Sequential, x: Float64[Tensor, "batch features"]
) -> tuple[Float64[Tensor, "masks batch outputs"], Float64[Tensor, "masks"]]:
    """What every sub-network of a model makes of x, and how probable each is.

    The units are the inputs of the model's `Dropout` layers, which drop at their own (realised)
    rates p and multiply survivors by 1/(1 - p), as in training; the whole batch has one mask. Row k
    has the binary digits of k for its mask, the last layer's units first. Raises ValueError for
    more than 24 units, and for noise other than by a `Dropout` just before a `Linear`.

    >>> model = nn.Sequential(nn.Dropout(0.25), nn.Linear(2, 1, bias=False)).double()
    >>> _ = nn.init.constant_(model[1].weight, 3.0)
    >>> outputs, probability = sub_networks(model, torch.ones(1, 2).double())
    >>> outputs.flatten()
    tensor([0., 4., 4., 8.], dtype=torch.float64)
    >>> probability
    tensor([0.0625, 0.1875, 0.1875, 0.5625], dtype=torch.float64)
    """
    outputs, probability = x.unsqueeze(0), x.new_ones(1)
    layers = iter([layer for layer in model if not (isinstance(layer, nn.Dropout) and not layer.p)])
    for layer in layers:
        if not isinstance(layer, nn.Dropout):
            _check_drops_nothing(layer)
            outputs = layer(outputs)
            continue
        linear = next(layers, None)
        if not isinstance(linear, nn.Linear):
            raise ValueError(f"a Linear must follow the Dropout, got {linear}")
        _check_count(linear.in_features + len(outputs).bit_length() - 1)
        survivors = (outputs * inverted_scale(layer.p)).movedim(-1, 0)
        terms = survivors.unsqueeze(-1) * linear.weight.T[:, None, None]
        bias = x.new_zeros(()) if linear.bias is None else linear.bias
        outputs = all_sums(terms, bias).flatten(0, 1)
        coins = _all_probabilities(linear.in_features, 1 - realised_rate(layer.p))
        probability = torch.outer(coins, probability).flatten()
    return outputs, probability


def arithmetic_mean(
    scores: Float64[Tensor, "masks *batch classes"], probability: Float64[Tensor, "masks"]
) -> Float64[Tensor, "*batch classes"]:
    """The mean of the sub-networks' softmax predictions, each weighted with its probability.

    >>> scores = torch.tensor([[0.0, 0.0], [0.0, 2.0]]).double()
    >>> arithmetic_mean(scores, torch.tensor([0.5, 0.5]).double())
    tensor([0.3096, 0.6904], dtype=torch.float64)
    """
    return torch.tensordot(probability, scores.softmax(-1), 1)


def geometric_mean(
    scores: Float64[Tensor, "masks *batch classes"], probability: Float64[Tensor, "masks"]
) -> Float64[Tensor, "*batch classes"]:
    """The weighted geometric mean of the softmax predictions, renormalised to sum to one.

    >>> scores = torch.tensor([[0.0, 0.0], [0.0, 2.0]]).double()
    >>> geometric_mean(scores, torch.tensor([0.5, 0.5]).double())
    tensor([0.2689, 0.7311], dtype=torch.float64)
    """
    return torch.tensordot(probability, scores.log_softmax(-1), 1).softmax(-1)


def _all_probabilities(n: int, q: float) -> Float64[Tensor, "masks"]:
    """`mask_probabilities` of `all_masks(n)`, from the number of units that each mask keeps."""
    kept = all_sums(torch.ones(n, dtype=torch.float64), torch.zeros((), dtype=torch.float64))
    return q**kept * (1 - q) ** (n - kept)


def _check_count(n: int) -> None:
    if not 0 <= n <= MOST_UNITS:
        raise ValueError(
            f"n must be in [0, {MOST_UNITS}] units for 2**n masks to fit in memory, got {n}"
        )


def _check_drops_nothing(layer: nn.Module) -> None:
    """Refuse what draws coins: torch.nn's dropout, this library's, and users' own with a key."""
    for part in layer.modules():
        if (isinstance(part, TORCH_DROPOUTS) or draws_coins(part)) and getattr(
            part, "p", None
        ) != 0:
            raise ValueError(f"sub_networks knows Dropout between the layers of model, got {part}")
