"""Dropout of words: a coin for each row of the table, or for each token of the text."""

from operator import index

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.nn.functional import embedding

from dropout.coins import active
from dropout.layers.base import CoinLayer, overridable
from dropout.mask import MaskKey, inverted_scale, threshold
from dropout.op import drop
from dropout.shard import Shard


@overridable
def embedding_dropout(
    input: Int[Tensor, "*shape"],
    weight: Float[Tensor, "words features"],
    p: float = 0.1,
    training: bool = True,
    *,
    key: MaskKey | None = None,
    generator: Generator | None = None,
    shard: Shard | None = None,
) -> Float[Tensor, "*shape features"]:
    """Look the tokens of the input up in a table, of which each row is dropped with probability p.

    A dropped word is zero wherever it occurs, the others are multiplied by 1/(1 - p). p is the drop
    rate; there is one coin for each of the table's rows, and the table is not copied. Coins come
    from `key`, or from a seed drawn from `generator` (default: PyTorch's CPU generator); a `shard`
    places `weight` in a larger table. With `training=False` it is a plain lookup.

    Raises ValueError for p outside [0, 1].
    Source: Gal and Ghahramani (2016), section 4.2; Merity, Keskar and Socher (2018), section 4.3.

    >>> tokens, weight = torch.tensor([0, 1, 1, 3, 0]), torch.ones(4, 2)
    >>> embedding_dropout(tokens, weight, p=0.5, key=MaskKey(seed=1)).T
    tensor([[0., 2., 2., 2., 0.],
            [0., 2., 2., 2., 0.]])
    """
    vectors = embedding(input, weight)
    if not active(training):
        threshold(p)  # a bad rate is refused in evaluation too
        return vectors
    return _drop_words(vectors, input, len(weight), p, key, generator, shard)


class EmbeddingDropout(CoinLayer):
    """An nn.Embedding, `embedding`, whose words are dropped: see `functional.embedding_dropout`.

    The table stays the embedding's own, with its options. In evaluation it is a plain lookup.

    >>> layer = EmbeddingDropout(torch.nn.Embedding(100, 4, padding_idx=0), p=0.1)
    >>> layer(torch.tensor([[5, 7, 0]])).shape
    torch.Size([1, 3, 4])
    """

    batch_axis = None

    def __init__(
        self,
        embedding: torch.nn.Embedding,
        p: float = 0.1,
        *,
        key: MaskKey | None = None,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(embedding, torch.nn.Embedding):
            raise TypeError(f"embedding must be an nn.Embedding, got {type(embedding).__name__}")
        super().__init__(p, key, generator)
        self.embedding = embedding

    def forward(self, input: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape features"]:
        vectors, words = self.embedding(input), self.embedding.num_embeddings
        if not self.training:
            return vectors
        return _drop_words(vectors, input, words, self.p, **self.source(input))


@overridable
def _drop_words(
    vectors: Float[Tensor, "*shape features"],
    tokens: Int[Tensor, "*shape"],
    words: int,
    p: float,
    key: MaskKey | None,
    generator: Generator | None,
    shard: Shard | None = None,
) -> Float[Tensor, "*shape features"]:
    if threshold(p) == 0:
        return vectors
    rows = torch.ones(words, 1, device=vectors.device)
    dropped = drop(rows, p, (1,), key=key, generator=generator, shard=shard) == 0
    return (vectors * inverted_scale(p)).masked_fill(dropped[tokens], 0.0)


@overridable
def word_dropout(
    input: Int[Tensor, "*shape"],
    p: float = 0.1,
    training: bool = True,
    *,
    replacement: int,
    key: MaskKey | None = None,
    generator: Generator | None = None,
    shard: Shard | None = None,
) -> Int[Tensor, "*shape"]:
    """Put `replacement`, the number of the unknown word, in the place of each token at rate p.

    p is the drop rate; each token of the text has its own coin and nothing is scaled. Coins come
    from `key`, or from a seed drawn from `generator` (default: PyTorch's CPU generator); a `shard`
    places the tokens in a larger text. With `training=False` the tokens themselves come back.

    Raises TypeError for tokens, or a replacement, that are not integers, ValueError for p outside
    [0, 1]. Source: Bowman et al. (2016), section 3.1.

    >>> word_dropout(torch.arange(8), p=0.5, replacement=-1, key=MaskKey(seed=1))
    tensor([-1,  1, -1,  3, -1,  5,  6,  7])
    """
    if threshold(p) == 0 or not active(training):
        return input
    if input.dtype not in (torch.int64, torch.int32):
        raise TypeError(f"tokens must be integers (int64, int32), got {input.dtype}")
    coins = torch.ones(input.shape, device=input.device)
    dropped = drop(coins, p, key=key, generator=generator, shard=shard) == 0
    return input.masked_fill(dropped, index(replacement))


class WordDropout(CoinLayer):
    """`functional.word_dropout` as a module, to stand before an embedding.

    >>> WordDropout(replacement=3, p=1.0)(torch.tensor([5, 7, 0]))
    tensor([3, 3, 3])
    """

    function = staticmethod(word_dropout)
    settings = ("p", "replacement")
    elementwise = True

    def __init__(
        self,
        replacement: int,
        p: float = 0.1,
        *,
        key: MaskKey | None = None,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(p, key, generator)
        self.replacement = replacement
