"""Attention with dropout on its weights, and the transformer block with its places for dropout."""

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor
from torch.nn import LayerNorm, Linear, ReLU, Sequential
from torch.nn.functional import scaled_dot_product_attention

from dropout.coins import active
from dropout.layers.base import CoinLayer, overridable
from dropout.layers.bernoulli import Dropout
from dropout.mask import MaskKey, threshold
from dropout.op import drop
from dropout.shard import Shard


@overridable
def attention(
    queries: Float[Tensor, "*batch targets features"],
    keys: Float[Tensor, "*batch sources features"],
    values: Float[Tensor, "*batch sources outputs"],
    p: float = 0.0,
    training: bool = True,
    *,
    mask: Bool[Tensor, "..."] | None = None,
    causal: bool = False,
    key: MaskKey | None = None,
    generator: Generator | None = None,
    shard: Shard | None = None,
) -> Float[Tensor, "*batch targets outputs"]:
    """Scaled dot-product attention whose weights are dropped with probability p in training only.

    `mask`, of a shape that broadcasts to `(*batch, targets, sources)`, is True where a target may
    look; with `causal`, it may look at sources up to its own place. A target that may look nowhere
    gets 0. The weights that survive are multiplied by 1/(1 - p), after the softmax: a row sums to 1
    on average. p is the drop rate; coins come from `key`, or from a seed drawn from `generator`
    (default: PyTorch's CPU generator); a `shard` places the weights in a larger tensor. Scores and
    softmax are computed in float32 at least. With nothing to drop PyTorch's fused kernels do the
    work.

    Raises ValueError for p outside [0, 1], for a mask beside `causal` and one of a shape that does
    not broadcast, TypeError for a mask that is not boolean.
    Source: Vaswani et al. (2017), equation 1, which has no dropout: their published code has it.

    >>> x = torch.eye(2)
    >>> attention(x, x, values=torch.ones(2, 1), p=0.5, key=MaskKey(seed=1)).T
    tensor([[0.6605, 1.3395]])
    """
    if mask is not None and causal:
        raise ValueError("give a mask or causal=True, not both")
    if mask is not None and mask.dtype != torch.bool:
        raise TypeError(f"mask must be boolean, True where a target may look, got {mask.dtype}")
    if mask is not None:
        batch = torch.broadcast_shapes(queries.shape[:-2], keys.shape[:-2])
        _check_broadcasts(mask, (*batch, queries.shape[-2], keys.shape[-2]))
    if not active(training) or threshold(p) == 0:
        threshold(p)  # a bad rate is refused in evaluation too
        return scaled_dot_product_attention(queries, keys, values, mask, is_causal=causal)
    scores = scaled_scores(queries, keys, max(1, queries.shape[-1]) ** -0.25)
    if causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if mask is None:
        weights = scores.softmax(-1)
    else:
        # The lowest number, not -inf: the softmax of a row that is masked whole would be NaN, which
        # comes out as 0, but which PyTorch's detection of anomalies stops at.
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        weights = scores.softmax(-1).masked_fill(~mask, 0.0)
    weights = drop(weights, p, key=key, generator=generator, shard=shard)
    return weights.to(values.dtype) @ values


def scaled_scores(queries: Tensor, keys: Tensor, root: float) -> Tensor:
    """The products of queries and keys, both times root, in float32 at least, autocast or not.

    So PyTorch computes them: in 16 bits a score of 100 could be off by 0.5, and float16 ends at
    65504.
    """
    wide = torch.promote_types(queries.dtype, torch.float32)
    queries, keys = queries.to(wide) * root, keys.to(wide) * root
    device = queries.device.type
    if device != "meta" and torch.is_autocast_enabled(device):
        with torch.autocast(device, enabled=False):
            return queries @ keys.mT
    return queries @ keys.mT


def _check_broadcasts(mask: Tensor, shape: tuple[int, ...]) -> None:
    fits = all(m in (1, n) for m, n in zip(mask.shape[::-1], shape[::-1], strict=False))
    if mask.dim() > len(shape) or not fits:
        raise ValueError(f"mask must broadcast to {shape}, got shape {tuple(mask.shape)}")


class Attention(CoinLayer):
    """`functional.attention` as a module: `eval()` turns its dropout off.

    `torch.nn.functional.scaled_dot_product_attention` drops in evaluation too, unless it is told.

    >>> layer = Attention(p=0.5, causal=True).eval()
    >>> x = torch.eye(2)
    >>> bool((layer(x, x, x) == layer(x, x, x)).all())
    True
    """

    settings = ("p", "causal")
    batched_rank = 3

    def __init__(
        self,
        p: float = 0.0,
        causal: bool = False,
        *,
        key: MaskKey | None = None,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(p, key, generator)
        self.causal = causal

    def forward(  # type: ignore[override]
        self,
        queries: Float[Tensor, "*batch targets features"],
        keys: Float[Tensor, "*batch sources features"],
        values: Float[Tensor, "*batch sources outputs"],
        mask: Bool[Tensor, "..."] | None = None,
    ) -> Float[Tensor, "*batch targets outputs"]:
        shape: tuple[int, ...] | None = None
        if self.rows is not None:
            batch = torch.broadcast_shapes(queries.shape[:-2], keys.shape[:-2])
            shape = (*batch, queries.shape[-2], keys.shape[-2])
        source = self.source(queries, shape, self.arguments)
        return attention(queries, keys, values, mask=mask, **source)


class SelfAttention(torch.nn.Module):
    """Multi-head self-attention, with dropout on the attention weights.

    Its input and output are (..., length, d_model).
    """

    def __init__(self, d_model: int, n_heads: int, p: float = 0.1, causal: bool = False) -> None:
        if d_model % n_heads:
            raise ValueError(f"n_heads must divide d_model = {d_model}, got {n_heads}")
        super().__init__()
        self.n_heads = n_heads
        self.project = Linear(d_model, 3 * d_model)
        self.attention = Attention(p, causal)
        self.out = Linear(d_model, d_model)

    # Plain types, here and below: those of jaxtyping cannot be pickled with a graph of torch.fx.
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        heads = self.project(x).unflatten(-1, (3, self.n_heads, -1)).transpose(-4, -2)
        queries, keys, values = heads.unbind(-3)
        out = self.attention(queries, keys, values, mask)
        return self.out(out.transpose(-3, -2).flatten(-2))


class TransformerBlock(torch.nn.Module):
    """A transformer block with post-norm: norm(x + dropout(sublayer(x))), twice.

    It drops, at rate p, in three of the four places: the attention weights, the output projection
    of the attention and the output of the feed-forward layer. The fourth, the embeddings, comes
    before the first block: `TransformerEmbedding`. Each place is a layer of its own, so that
    `seeded` gives each a stream of its own. Input and output are (..., length, d_model); a mask
    is as in `functional.attention`.

    Source: Vaswani et al. (2017), sections 3.1 and 5.4.

    >>> block = TransformerBlock(d_model=8, n_heads=2, p=0.1)
    >>> block(torch.ones(3, 5, 8)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(self, d_model: int, n_heads: int, p: float = 0.1, causal: bool = False) -> None:
        super().__init__()
        self.attention = SelfAttention(d_model, n_heads, p, causal)
        self.dropout1 = Dropout(p)
        self.norm1 = LayerNorm(d_model)
        self.feed_forward = Sequential(
            Linear(d_model, 4 * d_model), ReLU(), Linear(4 * d_model, d_model)
        )
        self.dropout2 = Dropout(p)
        self.norm2 = LayerNorm(d_model)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.norm1(x + self.dropout1(self.attention(x, mask)))
        return self.norm2(x + self.dropout2(self.feed_forward(x)))


class TransformerEmbedding(torch.nn.Module):
    """Token embeddings plus learned position embeddings, with dropout on the sum.

    Of whole-numbered tokens (..., length) it makes (..., length, d_model).

    >>> layer = TransformerEmbedding(words=100, length=16, d_model=8, p=0.1)
    >>> layer(torch.zeros(3, 5, dtype=torch.int64)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(self, words: int, length: int, d_model: int, p: float = 0.1) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(words, d_model)
        self.positions = torch.nn.Embedding(length, d_model)
        self.dropout = Dropout(p)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.dropout(self.words(tokens) + _first(tokens, self.positions.weight))


@overridable
def _first(tokens: Tensor, positions: Tensor) -> Tensor:
    """The vectors of the positions that tokens stand at."""
    length, allowed = tokens.shape[-1], len(positions)
    if length > allowed:
        raise ValueError(f"tokens must have at most {allowed} positions, got {length}")
    return positions[:length]
