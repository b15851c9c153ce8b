"""Dropout in NumPy, float64, written to be read: the oracle for the fast engines.

p is the drop rate and q = 1 - p the keep probability that the mask realises.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from dropout.mask import MaskKey, inverted_scale, keep_mask, realised_rate
from dropout.shard import Shard


def dropout(
    x: Float64[np.ndarray, "*shape"],
    p: float = 0.5,
    training: bool = True,
    *,
    key: MaskKey,
    shard: Shard | None = None,
    shared: Sequence[int] = (),
) -> Float64[np.ndarray, "*shape"]:
    """Inverted dropout: in training drop with probability p and multiply survivors by 1/q.

    In evaluation it is the identity. A dropped element is 0 even where x is inf or NaN. Elements
    that differ only in their places along the axes `shared` have one coin between them.
    Source: Srivastava et al. (2014), section 10.
    """
    scale = inverted_scale(p)
    if not training:
        return x
    keep = keep_mask(key, x.shape, p, shard, shared)
    return np.multiply(x, scale, out=np.zeros_like(x), where=keep)


def dropout_backward(
    grad: Float64[np.ndarray, "*shape"],
    p: float = 0.5,
    training: bool = True,
    *,
    key: MaskKey,
    shard: Shard | None = None,
) -> Float64[np.ndarray, "*shape"]:
    """The gradient of `dropout` with respect to x, from the gradient with respect to its output.

    Dropout is linear in x and its matrix is diagonal, so backward is the same operation.
    """
    return dropout(grad, p, training, key=key, shard=shard)


def vanilla_dropout(
    x: Float64[np.ndarray, "*shape"],
    p: float = 0.5,
    training: bool = True,
    *,
    key: MaskKey,
    shard: Shard | None = None,
) -> Float64[np.ndarray, "*shape"]:
    """Dropout as first published: in training drop with probability p, in evaluation multiply by q.

    Source: Srivastava et al. (2014), section 4, whose p is our q.
    """
    if not training:
        return x * (1 - realised_rate(p))
    return np.where(keep_mask(key, x.shape, p, shard), x, 0.0)


def vanilla_dropout_backward(
    grad: Float64[np.ndarray, "*shape"],
    p: float = 0.5,
    training: bool = True,
    *,
    key: MaskKey,
    shard: Shard | None = None,
) -> Float64[np.ndarray, "*shape"]:
    """The gradient of `vanilla_dropout` with respect to x: the same operation on the gradient."""
    return vanilla_dropout(grad, p, training, key=key, shard=shard)
