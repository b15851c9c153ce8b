"""The oracle, against the formulas of the source and against finite differences of itself."""

from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropout import MaskKey, reference
from dropout.mask import inverted_scale, keep_mask, realised_rate
from tests import strategies
from tests.statistics import plausible_mean

KEY = MaskKey(seed=5, stream=1, step=2)
X = np.arange(1.0, 41.0).reshape(5, 8)
FORWARDS = [reference.dropout, reference.vanilla_dropout]
PAIRS = [
    (reference.dropout, reference.dropout_backward),
    (reference.vanilla_dropout, reference.vanilla_dropout_backward),
]


@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 1.0])
def test_in_training_survivors_are_scaled_and_the_others_are_zero(p):
    mask = keep_mask(KEY, X.shape, p)
    assert np.array_equal(reference.dropout(X, p, key=KEY), mask * X * inverted_scale(p))
    assert np.array_equal(reference.vanilla_dropout(X, p, key=KEY), mask * X)


def test_in_evaluation_inverted_is_the_identity_and_vanilla_multiplies_by_q():
    assert reference.dropout(X, 0.3, training=False, key=KEY) is X
    vanilla = reference.vanilla_dropout(X, 0.3, training=False, key=KEY)
    assert np.array_equal(vanilla, X * (1 - realised_rate(0.3)))


@given(strategies.rates.filter(lambda p: realised_rate(p) < 1))
def test_inverted_is_vanilla_over_q(p):
    q = 1 - Fraction(realised_rate(p))
    for training in (True, False):
        vanilla = reference.vanilla_dropout(X, p, training, key=KEY)
        inverted = reference.dropout(X, p, training, key=KEY)
        np.testing.assert_allclose(inverted, vanilla / float(q), rtol=4e-16)


@pytest.mark.parametrize("dropout", FORWARDS)
def test_rate_zero_changes_nothing_and_rate_one_leaves_nothing(dropout):
    assert np.array_equal(dropout(X, 0.0, key=KEY), X)
    assert not dropout(X, 1.0, key=KEY).any()


@pytest.mark.parametrize("dropout", FORWARDS)
@pytest.mark.parametrize("p", [0.5, 1.0])
@pytest.mark.parametrize("poison", [np.inf, -np.inf, np.nan])
def test_a_dropped_element_is_zero_whatever_stood_there(dropout, p, poison):
    out = dropout(np.full(64, poison), p, key=KEY)
    kept = keep_mask(KEY, (64,), p)
    assert (out[~kept] == 0).all()
    assert not np.isfinite(out[kept]).any()


@pytest.mark.parametrize(("forward", "backward"), PAIRS)
@pytest.mark.parametrize("training", [True, False])
def test_backward_is_the_transpose_of_forward(forward, backward, training):
    rng = np.random.default_rng(0)
    x, grad = rng.integers(-9, 10, (2, 5, 8)).astype(float)
    # At p = 1/2 every factor is a power of two: both sides are exact.
    output, pulled_back = forward(x, 0.5, training, key=KEY), backward(grad, 0.5, training, key=KEY)
    assert (output * grad).sum() == (x * pulled_back).sum()
    for i in np.ndindex(x.shape):
        nudge = np.zeros_like(x)
        nudge[i] = 1.0
        changed = forward(x + nudge, 0.5, training, key=KEY) - output
        assert np.array_equal(changed * grad, pulled_back * nudge)


@pytest.mark.parametrize(("forward", "backward"), PAIRS)
def test_dropped_units_get_no_gradient(forward, backward):
    dropped = forward(np.ones(64), 0.5, key=KEY) == 0
    assert dropped.any()
    assert np.array_equal(backward(np.full(64, np.nan), 0.5, key=KEY) == 0, dropped)


@given(strategies.keys, strategies.shapes, strategies.rates, st.data())
def test_the_shards_of_any_split_are_the_whole(key, shape, p, data):
    x = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    for tile in data.draw(strategies.tilings(shape)):
        place = strategies.shard(shape, tile)
        for function in (reference.dropout, reference.vanilla_dropout_backward):
            whole = function(x, p, key=key)
            assert np.array_equal(function(x[*tile, ...], p, key=key, shard=place), whole[tile])


@pytest.mark.parametrize("p", [0.2, 0.5, 0.9])
def test_mean_and_variance_are_those_of_the_formulas(p):
    """E = x, Var = x² p/q of each of 20 000 draws; normal, false-alarm rate 1e-6 each."""
    draws, (p, q) = 20_000, (realised_rate(p), 1 - realised_rate(p))
    sums = reference.dropout(np.tile(X[0], (draws, 1)), p, key=KEY).sum(axis=1)
    variance = (X[0] ** 2).sum() * p / q
    assert plausible_mean(sums.mean(), X[0].sum(), (variance / draws) ** 0.5)
    fourth = 3 * variance**2 + (X[0] ** 4).sum() * p / q**3 * (1 - 6 * p * q)
    squares = (sums - X[0].sum()) ** 2
    assert plausible_mean(squares.mean(), variance, ((fourth - variance**2) / draws) ** 0.5)


@pytest.mark.unchecked
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dropout", [function for pair in PAIRS for function in pair])
def test_a_bad_rate_is_named_in_training_and_in_evaluation(dropout, training):
    for p in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=rf"\bp must be in \[0, 1\], got {p}"):
            dropout(X, p, training, key=KEY)
    for p in ("half", None, True):
        with pytest.raises(TypeError, match=rf"\bp must be a number in \[0, 1\], got {p!r}"):
            dropout(X, p, training, key=KEY)


FAMILY = [
    partial(reference.dropout1d, key=KEY),
    partial(reference.drop_path, key=KEY),
    partial(reference.locked_dropout, key=KEY),
    partial(reference.gaussian_dropout, key=KEY),
    partial(reference.drop_block2d, block_size=2, key=KEY),
    lambda x, p, training: reference.embedding_dropout(np.zeros(1, int), x, p, training, key=KEY),
    lambda x, p, training: reference.word_dropout(
        np.zeros(1, int), p, training, replacement=1, key=KEY
    ),
]


@pytest.mark.unchecked
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dropout", FAMILY)
def test_the_whole_family_names_a_bad_rate(dropout, training):
    for p in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match=rf"\bp must be in \[0, 1\], got {p}"):
            dropout(X, p=p, training=training)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reference.gaussian_dropout(X, 1.0, key=KEY), r"p must be in \[0, 1\) .* got 1.0"),
        (lambda: reference.uout(X, 5.0, key=KEY), r"beta must be in \[0, 1\], got 5.0"),
        (lambda: reference.uout(X, float("nan"), key=KEY), r"beta must be in \[0, 1\], got nan"),
        (lambda: reference.drop_block2d(X, 0.5, 6, key=KEY), r"block_size .* \[1, 5\], got 6"),
        (lambda: reference.drop_block2d(X, 0.5, 0, key=KEY), r"block_size .* \[1, 5\], got 0"),
        (lambda: reference.max_norm(X, -1.0), "c must be positive, got -1.0"),
    ],
)
def test_a_bad_number_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_attention_holds_large_scores_and_rows_that_are_masked_whole():
    queries, values = np.array([[[1e3], [1.0]]]), np.array([[[3.0], [4.0]]])
    mask = np.array([[True, True], [False, False]])
    out = reference.attention(queries, queries, values, mask=mask, key=KEY)
    assert np.array_equal(out, [[[3.0], [0.0]]])
