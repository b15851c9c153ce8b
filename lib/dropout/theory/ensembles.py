"""Every mask at once: the 2^n sub-networks of n units, counted rather than sampled."""

import numpy as np
from jaxtyping import Bool, Float64


def all_masks(n: int) -> Bool[np.ndarray, "masks {n}"]:
    """The 2^n masks of n units, True where a unit is kept: row k holds the binary digits of k.

    >>> all_masks(2).astype(int)
    array([[0, 0],
           [0, 1],
           [1, 0],
           [1, 1]])
    """
    if not 0 <= n <= 24:
        raise ValueError(f"n must be in [0, 24] for 2**n masks to fit in memory, got {n}")
    return np.arange(2**n)[:, None] >> np.arange(n)[::-1] & 1 == 1


def mask_probabilities(
    masks: Bool[np.ndarray, "masks units"], q: float
) -> Float64[np.ndarray, "masks"]:
    """The probability q^kept (1 - q)^dropped of each mask when units are kept with probability q.

    >>> mask_probabilities(all_masks(2), q=0.75)
    array([0.0625, 0.1875, 0.1875, 0.5625])
    """
    return np.where(masks, q, 1 - q).prod(axis=1)
