"""Dropout in NumPy, float64, written to be read: the oracle for the fast engines.

p is the drop rate and q = 1 - p the keep probability that the mask realises. Raises TypeError and
ValueError for a rate that is none, as `mask.threshold` does, in training and in evaluation.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int, Int64

from dropout.mask import (
    MaskKey,
    block_covers,
    block_threshold,
    inverted_scale,
    keep_mask,
    lanes,
    realised_rate,
    threshold,
)
from dropout.shard import Shard, place, runs


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


def dropout1d(
    x: Float64[np.ndarray, "*batch channels length"],
    p: float = 0.5,
    training: bool = True,
    *,
    key: MaskKey,
    shard: Shard | None = None,
) -> Float64[np.ndarray, "*batch channels length"]:
    """Dropout with one coin for each channel: Tompson et al. (2015)."""
    return _dropout_shared(x, (-1,), p, training, key, shard)


def dropout2d(
    x: Float64[np.ndarray, "batch channels *map"],
    p: float = 0.5,
    training: bool = True,
    *,
    key: MaskKey,
    shard: Shard | None = None,
) -> Float64[np.ndarray, "batch channels *map"]:
    """Dropout with one coin for each channel: Tompson et al. (2015)."""
    return _dropout_shared(x, range(2, x.ndim), p, training, key, shard)


def dropout3d(
    x: Float64[np.ndarray, "*batch channels depth height width"],
    p: float = 0.5,
    training: bool = True,
    *,
    key: MaskKey,
    shard: Shard | None = None,
) -> Float64[np.ndarray, "*batch channels depth height width"]:
    """Dropout with one coin for each channel: Tompson et al. (2015)."""
    return _dropout_shared(x, (-3, -2, -1), p, training, key, shard)


def drop_path(
    x: Float64[np.ndarray, "batch *shape"],
    p: float = 0.5,
    training: bool = True,
    *,
    key: MaskKey,
    shard: Shard | None = None,
) -> Float64[np.ndarray, "batch *shape"]:
    """Dropout with one coin for each example: Huang et al. (2016), equation 2, inverted."""
    return _dropout_shared(x, range(1, x.ndim), p, training, key, shard)


def _dropout_shared(x, shared, p, training, key, shard):
    scale = inverted_scale(p)
    if not training:
        return x
    return np.where(keep_mask(key, x.shape, p, shard, tuple(shared)), x * scale, 0.0)


SATURATION = -1.7580993408473769  # α' = -λα, where SELU ends on the left


def alpha_dropout(
    x: Float64[np.ndarray, "*shape"],
    p: float = 0.5,
    training: bool = False,
    *,
    key: MaskKey,
    shard: Shard | None = None,
    shared: Sequence[int] = (),
) -> Float64[np.ndarray, "*shape"]:
    """Dropout to α' that keeps mean 0 and variance 1: Klambauer et al. (2017).

    y = a (x m + α' (1 - m)) + b with a = (q + α'² p q)^(-1/2) and b = -a p α', so that y = a q α'
    where it drops. At p = 1, where a is infinite, y has its limit 0. As in torch.nn.functional,
    training must be asked for.
    """
    p, asked = realised_rate(p), p
    if not training or p == 0:
        return x
    if p == 1:
        return np.zeros_like(x)
    q = 1 - p
    a = (q + SATURATION**2 * p * q) ** -0.5
    kept, dropped = a * x - a * p * SATURATION, a * q * SATURATION
    return np.where(keep_mask(key, x.shape, asked, shard, shared), kept, dropped)


def feature_alpha_dropout(
    x: Float64[np.ndarray, "batch channels *map"],
    p: float = 0.5,
    training: bool = False,
    *,
    key: MaskKey,
    shard: Shard | None = None,
) -> Float64[np.ndarray, "batch channels *map"]:
    """`alpha_dropout` with one coin for each channel."""
    return alpha_dropout(x, p, training, key=key, shard=shard, shared=tuple(range(2, x.ndim)))


def words(
    key: MaskKey, starts: Int64[np.ndarray, "runs"], width: int
) -> Float64[np.ndarray, "runs width"]:
    """The 32 random bits of each of the `width` elements from each start: the noise's coins.

    Element i has word i % 4 of block i // 4, whose halves are lanes 2i and 2i + 1.
    """
    halves = lanes(key, 2 * starts, 2 * width).astype(np.float64)
    return halves[:, ::2] + 2.0**16 * halves[:, 1::2]


def uout(
    x: Float64[np.ndarray, "*shape"],
    beta: float = 0.1,
    training: bool = True,
    *,
    key: MaskKey,
    shard: Shard | None = None,
) -> Float64[np.ndarray, "*shape"]:
    """x + x r, r from U(-beta, beta), the middle of one of 2³² equal parts: Li et al. (2018)."""
    if not 0 <= beta <= 1:
        raise ValueError(f"beta must be in [0, 1], got {beta}")
    if not training:
        return x
    uniform = (2 * words(key, *runs(x.shape, shard)) + 1) / 2**32 - 1
    return x * (1 + beta * uniform.reshape(x.shape))


def gaussian_dropout(
    x: Float64[np.ndarray, "*shape"],
    p: float = 0.5,
    training: bool = True,
    *,
    key: MaskKey,
    shard: Shard | None = None,
) -> Float64[np.ndarray, "*shape"]:
    """x times N(1, p/q), with p and q as asked for: Srivastava et al. (2014), section 10."""
    threshold(p)
    if p == 1:
        raise ValueError(f"p must be in [0, 1) for Gaussian noise of variance p/(1 - p), got {p}")
    if not training:
        return x
    return x * (1 + (p / (1 - p)) ** 0.5 * standard_normal(key, x.shape, shard))


def concrete_dropout(
    x: Float64[np.ndarray, "*shape"],
    logit: Float64[np.ndarray, "*rates"],
    temperature: float = 0.1,
    training: bool = True,
    *,
    shared: Sequence[int] = (),
    key: MaskKey,
    shard: Shard | None = None,
) -> Float64[np.ndarray, "*shape"]:
    """x (1 - z) / (1 - p), z a relaxed coin of rate p = sigmoid(logit): Gal et al. (2017)."""
    if not training:
        return x
    whole, start = place(x.shape, shard, shared)
    shape = tuple(1 if n == 1 else m for n, m in zip(whole, x.shape, strict=True))
    uniform = (2 * words(key, *runs(shape, Shard(whole, start))) + 1) / 2**33
    noise = np.log(uniform / (1 - uniform)).reshape(shape)
    z = 1 / (1 + np.exp(-(logit + noise) / temperature))
    return x * (1 - z) * (1 + np.exp(logit))


def standard_normal(
    key: MaskKey, shape: tuple[int, ...], shard: Shard | None = None
) -> Float64[np.ndarray, "..."]:
    """Box-Muller: of words u, v of elements 2j and 2j + 1, the normals of these two elements.

    They are r cos θ and r sin θ with r² = -2 log((u + 1) / 2³²) and θ = 2π v / 2³².
    """
    starts, width = runs(shape, shard)
    pair, odd = np.divmod(starts, 2)
    word = words(key, 2 * pair, 2 * (width // 2 + 1))
    radius = np.sqrt(-2 * np.log((word[:, ::2] + 1) / 2**32))
    angle = 2 * np.pi / 2**32 * word[:, 1::2]
    normals = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1).reshape(word.shape)
    return np.take_along_axis(normals, odd[:, None] + np.arange(width), axis=1).reshape(shape)


def drop_block2d(
    x: Float64[np.ndarray, "*batch height width"],
    p: float,
    block_size: int,
    training: bool = True,
    *,
    per_channel: bool = True,
    key: MaskKey,
    shard: Shard | None = None,
) -> Float64[np.ndarray, "*batch height width"]:
    """Square blocks of a map drop: Ghiasi et al. (2018), but for γ and the scale.

    Each top left corner that a block can have drops it where its word is below γ in units of 2⁻³².
    Survivors are divided by their own probability to stay, (1 - γ)^n_ij.
    """
    threshold(p)
    if not training:
        return x
    whole, start = place(x.shape, shard, () if per_channel else (-3,))
    *batch, height, width = whole
    if not 1 <= block_size <= min(height, width):
        raise ValueError(f"block_size must be in [1, {min(height, width)}], got {block_size}")
    gamma = block_threshold(p, height, width, block_size)
    corners = (*batch, height - block_size + 1, width - block_size + 1)
    hit = words(key, *runs(corners)).reshape(corners) < gamma
    kept = np.ones(whole, bool)
    for i, j in np.ndindex(*corners[-2:]):
        kept[..., i : i + block_size, j : j + block_size] &= ~hit[..., i, j, None, None]
    n = np.outer(block_covers(height, block_size), block_covers(width, block_size))
    stay = np.broadcast_to((1 - gamma / 2**32) ** n, whole)
    part = tuple(slice(s, s + m) for s, m in zip(start, x.shape, strict=True))
    return np.divide(x, stay[part], out=np.zeros_like(x), where=kept[part])


def max_norm(
    weight: Float64[np.ndarray, "units *incoming"], c: float
) -> Float64[np.ndarray, "units *incoming"]:
    """Each unit's incoming weights, scaled down to norm c where longer: Srivastava et al., 5.1."""
    if not c > 0:
        raise ValueError(f"c must be positive, got {c}")
    norm = np.sqrt((weight**2).sum(axis=tuple(range(1, weight.ndim)), keepdims=True))
    return np.where(norm > c, weight * (c / norm), weight)


def locked_dropout(
    x: Float64[np.ndarray, "time *batch features"],
    p: float = 0.5,
    training: bool = True,
    *,
    batch_first: bool = False,
    key: MaskKey,
    shard: Shard | None = None,
) -> Float64[np.ndarray, "time *batch features"]:
    """Dropout with one coin for all time steps: Gal and Ghahramani (2016), section 4."""
    time = 1 if batch_first and x.ndim == 3 else 0
    return _dropout_shared(x, (time,), p, training, key, shard)


def drop_connect(
    x: Float64[np.ndarray, "examples *time inputs"],
    weight: Float64[np.ndarray, "outputs inputs"],
    p: float = 0.5,
    training: bool = True,
    *,
    per_example: bool = False,
    key: MaskKey,
    shard: Shard | None = None,
) -> Float64[np.ndarray, "examples *time outputs"]:
    """A linear layer whose weights drop: Wan et al. (2013), r = a((M ⋆ W)v)."""
    if per_example:
        weight = np.broadcast_to(weight, (len(x), *weight.shape))
    dropped = dropout(weight, p, training, key=key, shard=shard)
    return np.einsum("n...i,noi->n...o" if per_example else "n...i,oi->n...o", x, dropped)


def embedding_dropout(
    tokens: Int[np.ndarray, "*shape"],
    weight: Float64[np.ndarray, "words features"],
    p: float = 0.1,
    training: bool = True,
    *,
    key: MaskKey,
    shard: Shard | None = None,
) -> Float64[np.ndarray, "*shape features"]:
    """A lookup in a table whose rows drop: Merity, Keskar and Socher (2018), section 4.3."""
    return _dropout_shared(weight, (1,), p, training, key, shard)[tokens]


def word_dropout(
    tokens: Int[np.ndarray, "*shape"],
    p: float = 0.1,
    training: bool = True,
    *,
    replacement: int,
    key: MaskKey,
    shard: Shard | None = None,
) -> Int[np.ndarray, "*shape"]:
    """Tokens of which some become the unknown word: Bowman et al. (2016), section 3.1."""
    threshold(p)
    if not training:
        return tokens
    return np.where(keep_mask(key, tokens.shape, p, shard), tokens, replacement)


def attention(
    queries: Float64[np.ndarray, "*batch targets features"],
    keys: Float64[np.ndarray, "*batch sources features"],
    values: Float64[np.ndarray, "*batch sources outputs"],
    p: float = 0.0,
    training: bool = True,
    *,
    mask: Bool[np.ndarray, "..."] | None = None,
    key: MaskKey,
    shard: Shard | None = None,
) -> Float64[np.ndarray, "*batch targets outputs"]:
    """Scaled dot-product attention with dropout on its weights: Vaswani et al. (2017), eq. 1.

    A target whose sources are all masked gets 0.
    """
    scores = queries @ np.swapaxes(keys, -1, -2) / np.sqrt(queries.shape[-1])
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    highest = scores.max(-1, keepdims=True)
    weights = np.exp(scores - np.where(highest == -np.inf, 0.0, highest))
    total = weights.sum(-1, keepdims=True)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return dropout(weights, p, training, key=key, shard=shard) @ values
