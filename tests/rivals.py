"""Wrong dropouts, of kinds that exist in the wild: what the tests and the chapters must refuse."""

from collections.abc import Callable
from functools import wraps

import torch

from dropout import MaskKey, functional
from dropout.layers import bernoulli
from dropout.mask import keep_mask

RIGHT = functional.dropout


def _seeded(key: MaskKey | None) -> MaskKey:
    return key or MaskKey(int(torch.randint(2**62, ())))


def eight_bit_coins(x, p=0.5, training=True, inplace=False, *, key=None, **_):
    """Coins of 8 bits, survivors scaled by the rate that was asked for."""
    if not training or p == 0:
        return x
    realised = round(256 * p) / 256
    mask = torch.as_tensor(keep_mask(_seeded(key), tuple(x.shape), realised))
    return torch.where(mask, x / (1 - p), torch.zeros_like(x)) if p < 1 else x * 0


def unscaled(x, p=0.5, training=True, inplace=False, **options):
    """Vanilla dropout without its factor in evaluation: survivors stay as they are."""
    return RIGHT(x, p, training, **options) * (1 - p if training else 1)


def scaled_twice(x, p=0.5, training=True, inplace=False, **options):
    return RIGHT(x, p, training, **options) / (1 - p if training and p < 1 else 1)


def keeps_with_p(x, p=0.5, training=True, inplace=False, **options):
    """p taken for the keep probability."""
    return RIGHT(x, 1 - p, training, **options)


def one_mask_for_the_batch(x, p=0.5, training=True, inplace=False, **options):
    return x * RIGHT(torch.ones_like(x[:1]), p, training, **options) if x.ndim > 1 else RIGHT(
        x, p, training, **options
    )  # fmt: skip


def active_in_evaluation(x, p=0.5, training=True, inplace=False, **options):
    return RIGHT(x, p, True, **options)


def multiplies(x, p=0.5, training=True, inplace=False, **options):
    """Multiplies by the mask, so that inf and NaN leak through."""
    return x * RIGHT(torch.ones_like(x), p, training, **options)


def gaussian(x, p=0.5, training=True, inplace=False, **options):
    """Normal noise of the same mean and variance."""
    return functional.gaussian_dropout(x, min(p, 0.999), training, **options)


def negligent_gradient(x, p=0.5, training=True, inplace=False, **options):
    """A backward that does not know the mask."""
    return x + (RIGHT(x, p, training, **options) - x).detach()


def install(monkeypatch, wrong: Callable) -> None:
    """Put a wrong dropout in the place of the library's function, and so of its module."""

    @wraps(RIGHT)
    def dropout(x, *arguments, **options):
        return wrong(x, *arguments, **options)

    monkeypatch.setattr(functional, "dropout", dropout)
    monkeypatch.setattr(bernoulli.Dropout, "function", staticmethod(dropout))
