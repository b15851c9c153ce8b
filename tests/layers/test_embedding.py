"""Dropout of words: rows of an embedding's table, and tokens of a text."""

import pytest
import torch
from hypothesis import given

from dropout import MaskKey, Shard, functional, nn, reference
from dropout.mask import keep_mask
from tests import strategies
from tests.statistics import plausible_count

KEY = MaskKey(seed=2**63 + 5, stream=1, step=2)
WORDS = 50


def text(*shape):
    return torch.randint(WORDS, shape)


def table():
    return torch.randn(WORDS, 3, dtype=torch.double)


# ---- embedding dropout --------------------------------------------------------------------------


@given(strategies.keys, strategies.rates)
def test_vectors_are_the_references(key, p):
    tokens, weight = text(4, 5), table()
    found = functional.embedding_dropout(tokens, weight, p, key=key)
    expected = reference.embedding_dropout(tokens.numpy(), weight.numpy(), p, key=key)
    assert found.tolist() == expected.tolist()


def test_a_word_is_dropped_wherever_it_occurs():
    tokens = text(40, 40)
    out = nn.EmbeddingDropout(torch.nn.Embedding(WORDS, 3), 0.5, key=KEY)(tokens)
    kept = torch.from_numpy(keep_mask(KEY, (WORDS, 1), 0.5))
    assert torch.equal(out != 0, kept[tokens].expand_as(out))


def test_the_gradient_reaches_the_rows_that_were_kept_and_looked_up():
    layer = nn.EmbeddingDropout(torch.nn.Embedding(WORDS, 3), 0.5, key=KEY)
    tokens = torch.tensor([0, 1, 1, 2, 3, 5, 8, 13, 21, 34])
    layer(tokens).sum().backward()
    kept = torch.from_numpy(keep_mask(KEY, (WORDS, 1), 0.5)).double()
    expected = 2 * kept * torch.bincount(tokens, minlength=WORDS).unsqueeze(1)
    assert torch.equal(layer.embedding.weight.grad.double(), expected.expand(-1, 3))


def test_a_dropped_row_is_zero_and_gets_no_gradient_whatever_stands_there():
    weight = torch.full((WORDS, 3), torch.nan).requires_grad_()
    out = functional.embedding_dropout(torch.arange(WORDS), weight, 0.5, key=KEY)
    out.backward(torch.full_like(out, torch.nan))
    kept = torch.from_numpy(keep_mask(KEY, (WORDS, 1), 0.5)).expand(-1, 3)
    assert torch.equal(out == 0, ~kept)
    assert torch.equal(weight.grad == 0, ~kept)


def test_gradients_of_first_and_second_order_pass_gradcheck():
    def f(weight):
        return functional.embedding_dropout(tokens, weight, 0.3, key=KEY).tanh()

    tokens, weight = torch.tensor([[0, 1, 1], [4, 2, 0]]), table()[:5].requires_grad_()
    assert torch.autograd.gradcheck(f, weight)
    assert torch.autograd.gradgradcheck(f, weight)


def test_the_options_of_the_embedding_are_kept():
    embedding = torch.nn.Embedding(WORDS, 3, padding_idx=7, sparse=True)
    layer = nn.EmbeddingDropout(embedding, 0.5)
    layer(torch.tensor([[7, 7], [1, 2]])).sum().backward()
    assert embedding.weight.grad.is_sparse
    assert not embedding.weight.grad.to_dense()[7].any()
    assert layer.state_dict().keys() == {"embedding.weight"}


@pytest.mark.parametrize(("p", "training"), [(0.5, False), (1.0, False), (0.0, True)])
def test_with_nothing_to_drop_it_is_a_plain_lookup(p, training):
    embedding, tokens = torch.nn.Embedding(WORDS, 3), text(4, 5)
    before = torch.get_rng_state()
    layer = nn.EmbeddingDropout(embedding, p).train(training)
    assert torch.equal(layer(tokens), embedding(tokens))
    found = functional.embedding_dropout(tokens, embedding.weight, p, training)
    assert torch.equal(found, embedding(tokens))
    assert torch.equal(torch.get_rng_state(), before)


def test_rate_one_drops_every_word():
    assert not functional.embedding_dropout(text(9), table(), 1.0).any()


def test_a_shard_of_the_table_drops_its_rows():
    tokens, weight = torch.arange(WORDS), table()
    whole = functional.embedding_dropout(tokens, weight, 0.5, key=KEY)
    for start in (0, 20):
        part, place = weight[start : start + 30], Shard((WORDS, 3), (start, 0))
        found = functional.embedding_dropout(tokens[:30], part, 0.5, key=KEY, shard=place)
        assert torch.equal(found, whole[start : start + 30])


# ---- word dropout -------------------------------------------------------------------------------


@given(strategies.keys, strategies.rates)
def test_tokens_are_the_references(key, p):
    tokens = text(4, 5)
    found = functional.word_dropout(tokens, p, replacement=-1, key=key)
    expected = reference.word_dropout(tokens.numpy(), p, replacement=-1, key=key)
    assert found.tolist() == expected.tolist()


def test_each_token_has_a_coin_of_its_own():
    """Binomial, false-alarm rate 1e-6; occurrences of one word differ."""
    out = nn.WordDropout(1, p=0.3)(torch.zeros(40, 500, dtype=torch.int64))
    assert plausible_count(int(out.sum()), out.numel(), 19661 / 65536)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_the_input_is_left_alone_and_its_type_kept(dtype):
    tokens = text(9).to(dtype)
    before = tokens.clone()
    assert functional.word_dropout(tokens, 1.0, replacement=3).tolist() == [3] * 9
    assert functional.word_dropout(tokens, 0.5, replacement=3).dtype == dtype
    assert torch.equal(tokens, before)


@pytest.mark.parametrize(("p", "training"), [(0.5, False), (1.0, False), (0.0, True)])
def test_with_nothing_to_drop_the_same_tokens_come_back(p, training):
    tokens = text(9)
    assert functional.word_dropout(tokens, p, training, replacement=3) is tokens
    assert nn.WordDropout(3, p).train(training)(tokens) is tokens


def test_a_shard_of_the_text_drops_its_tokens():
    tokens = text(6, 8)
    whole = functional.word_dropout(tokens, 0.5, replacement=-1, key=KEY)
    place = Shard((6, 8), (2, 3))
    part = functional.word_dropout(tokens[2:, 3:], 0.5, replacement=-1, key=KEY, shard=place)
    assert torch.equal(part, whole[2:, 3:])


# ---- bad input ----------------------------------------------------------------------------------


@pytest.mark.unchecked
@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_a_bad_rate_is_named(p):
    makers = [
        lambda: nn.EmbeddingDropout(torch.nn.Embedding(2, 2), p),
        lambda: nn.WordDropout(1, p),
        lambda: functional.embedding_dropout(text(2), table(), p, training=False),
        lambda: functional.word_dropout(text(2), p, training=False, replacement=1),
    ]
    for make in makers:
        with pytest.raises(ValueError, match=rf"\bp must be in \[0, 1\], got {p}"):
            make()


@pytest.mark.unchecked
def test_what_is_not_an_embedding_is_named():
    with pytest.raises(TypeError, match=r"embedding must be an nn\.Embedding, got Linear"):
        nn.EmbeddingDropout(torch.nn.Linear(2, 2))


@pytest.mark.unchecked
def test_tokens_that_are_not_integers_are_named():
    with pytest.raises(TypeError, match=r"tokens must be integers .*, got torch\.float32"):
        functional.word_dropout(torch.ones(3), replacement=1)


@pytest.mark.unchecked
def test_a_replacement_that_is_no_number_of_a_word_is_refused():
    with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
        functional.word_dropout(text(2), 0.5, replacement=1.7)
