"""Averaging the predictions of k masks, against scaling the weights once: chapter 04 runs it."""

from collections.abc import Sequence
from itertools import combinations

import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dropout import MaskKey
from dropout.bayes import predict
from dropout.training.data import Images

TEMPERATURES = torch.logspace(-0.5, 1, 61, dtype=torch.float64)  # 0.32 to 10


def judged(
    probabilities: Float64[Tensor, "*networks inputs classes"], labels: Int64[Tensor, "inputs"]
) -> dict[str, float]:
    """Error (%), confidence (mean probability of the chosen class), log loss (nats), over all.

    >>> judged(torch.tensor([[0.75, 0.25], [0.5, 0.5]]).double(), torch.tensor([0, 1]))
    {'error': 50.0, 'confidence': 0.625, 'loss': 0.4904146265058631}
    """
    right = probabilities[..., range(len(labels)), labels]
    return {
        "error": 100 * (probabilities.argmax(-1) != labels).double().mean().item(),
        "confidence": probabilities.amax(-1).mean().item(),
        "loss": -right.log().mean().item(),
    }


@torch.no_grad()
def tempered(
    model: nn.Module, x: Float64[Tensor, "inputs features"], held_out: Images
) -> Float64[Tensor, "inputs classes"]:
    """Predictions of evaluation, its scores divided by the temperature that suits other data best.

    That is the one with the least log loss on `held_out`, of 61 from 0.32 to 10. Source: Guo et al.
    (2017).
    """
    model.eval()
    scores = model(held_out.x)
    losses = torch.stack([cross_entropy(scores / t, held_out.y) for t in TEMPERATURES])
    return (model(x) / TEMPERATURES[losses.argmin()]).softmax(-1)


@torch.no_grad()
def answers(
    models: Sequence[nn.Module], x: Float64[Tensor, "inputs features"], samples: int, seed: int
) -> tuple[Float64[Tensor, "models samples inputs classes"], Float64[Tensor, "..."]]:
    """What sub-networks predict, drawn by dropout, and what weight scaling does: probabilities."""
    drawn = [
        predict(model, x, samples, key=MaskKey(seed, step=number)).softmax(-1)
        for number, model in enumerate(models)
    ]
    return torch.stack(drawn), torch.stack([model.eval()(x).softmax(-1) for model in models])


def averages(
    drawn: Float64[Tensor, "models samples inputs classes"], k: int
) -> list[Float64[Tensor, "models inputs classes"]]:
    """The arithmetic means of k predictions each: as many as the samples make."""
    return [part.mean(1) for part in drawn.split(k, dim=1)]


def compared(
    drawn: Float64[Tensor, "models samples inputs classes"],
    scaled: Float64[Tensor, "models inputs classes"],
    labels: Int64[Tensor, "inputs"],
    ks: Sequence[int],
) -> dict[str, dict[str, float]]:
    """How averages of k masks are `judged`, on average over their sets, and weight scaling."""
    found = {}
    for k in ks:
        sets = [judged(average, labels) for average in averages(drawn, k)]
        found[f"{k} mask{'s' * (k > 1)}"] = {
            name: sum(each[name] for each in sets) / len(sets) for name in sets[0]
        }
    geometric = drawn.log().mean(1).softmax(-1)
    found[f"geometric mean of {drawn.shape[1]}"] = judged(geometric, labels)
    return found | {"weight scaling": judged(scaled, labels)}


def disagreement(
    drawn: Float64[Tensor, "models samples inputs classes"],
    scaled: Float64[Tensor, "models inputs classes"],
    k: int,
) -> tuple[float, float]:
    """On how many inputs (%) k masks choose another class than weight scaling, and than k others.

    Means over all sets of k samples, and over all pairs of such sets.
    """
    sets = [average.argmax(-1) for average in averages(drawn, k)]
    once = scaled.argmax(-1)
    pairs = list(combinations(sets, 2))
    with_scaling = sum(_differ(chosen, once) for chosen in sets) / len(sets)
    return with_scaling, sum(_differ(a, b) for a, b in pairs) / len(pairs)


def _differ(a: Tensor, b: Tensor) -> float:
    return 100 * (a != b).double().mean().item()
