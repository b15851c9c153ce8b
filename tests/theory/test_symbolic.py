"""Symbolic expectations, against brute force over all masks."""

from itertools import product
from math import prod

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from dropout.theory.symbolic import covariance, expectation, variance

m, h, w, x, y = sp.symbols("m h w x y", cls=sp.IndexedBase)
b, i, j, k, n, N, q = sp.symbols("b i j k n N q", positive=True)
A = sp.Sum(h[i] * m[i], (i, 1, n))
B = sp.Sum(w[j] * m[j], (j, 1, n))
Z = sp.Sum(x[i, j] * m[j], (j, 1, n))  # one unit for each i
Q = sp.Rational(2, 7)
NUMBERS = {b: 5, q: Q}
NUMBERS |= {h[a]: a * a + 1 for a in range(1, 5)} | {w[a]: 3 - 2 * a for a in range(1, 5)}
NUMBERS |= {x[a, c]: 2 * a - c * c for a in range(1, 5) for c in range(1, 5)}
NUMBERS |= {y[a]: 7 - a for a in range(1, 5)}


def numbers(expr, sizes):
    """expr with sizes, indices and numbers put in: only coins remain."""
    return sp.expand(expr.subs(sizes).doit().subs(NUMBERS))


def enumerated(expr, coins):
    """E[expr] as the sum over all 2^n masks."""
    total = sp.S.Zero
    for values in product((0, 1), repeat=len(coins)):
        probability = prod((Q if value else 1 - Q for value in values), start=sp.S.One)
        total += probability * expr.subs(dict(zip(coins, values, strict=True)))
    return sp.expand(total)


def agrees(expr, sizes):
    """Whether the formula for symbolic sizes, with numbers put in, is what all masks give."""
    formula = expectation(expr, m, q)
    assert not formula.has(m)
    coins = [m[a] for a in range(1, sizes[n] + 1)]
    return numbers(formula, sizes) == enumerated(numbers(expr, sizes), coins)


def polynomials(*factors):
    """Sums of products of up to four of the factors."""
    monomials = st.lists(st.sampled_from(factors), max_size=4).map(lambda some: sp.Mul(*some))
    terms = st.tuples(st.integers(-3, 3), monomials).map(prod)
    return st.lists(terms, min_size=1, max_size=3).map(lambda some: sp.Add(*some))


# ---- against all masks ----------------------------------------------------------------------


@given(polynomials(b, m[1], m[2], m[3], 1 - m[1], m[2] + h[2] * m[3]))
@settings(max_examples=40)
def test_polynomials_in_coins(expr):
    assert agrees(expr, {n: 3})


@given(polynomials(b, A, B, A - b, m[1]), st.integers(1, 4))
@settings(max_examples=20)
def test_polynomials_in_sums_over_any_number_of_coins(expr, size):
    assert agrees(expr, {n: size})


@given(polynomials(b, m[i], m[j], m[k], m[1]), st.tuples(*[st.integers(1, 3)] * 3))
@settings(max_examples=40)
def test_polynomials_in_coins_of_unknown_indices(expr, indices):
    assert agrees(expr, {n: 3, **dict(zip((i, j, k), indices, strict=True))})


@given(polynomials(A, B, m[1]), polynomials(B, m[1], b), st.integers(1, 3))
@settings(max_examples=15)
def test_covariance_and_variance_are_those_over_all_masks(left, right, size):
    coins = [m[a] for a in range(1, size + 1)]
    f, g = (numbers(expr, {n: size}) for expr in (left, right))
    means = enumerated(f, coins) * enumerated(g, coins)
    found = covariance(left, right, m, q)
    assert numbers(found, {n: size}) == enumerated(sp.expand(f * g), coins) - means
    if left == right:
        assert found == variance(left, m, q)


@pytest.mark.parametrize(
    "expr",
    [
        sp.Max(0, h[1] * m[1] - m[2]),
        sp.exp(b * m[1] + m[2]),
        sp.tanh(h[1] * m[1] + h[2] * m[2] - 1),
        1 / (1 + m[1] + m[2]),
        sp.Piecewise((m[1], m[2] > 0), (b, True)),
        sp.Sum(sp.exp(h[i] * m[1]), (i, 1, n)),
        sp.exp(m[1]) * sp.Sum(h[i], (i, 1, n)),
        h[1 + m[1]],
    ],
)
def test_any_function_of_finitely_many_coins(expr):
    found, by_force = (
        e.subs(n, 2).doit().subs(NUMBERS)
        for e in (expectation(expr, m, q), enumerated(expr.subs(n, 2).doit(), [m[1], m[2]]))
    )
    assert sp.simplify(found - by_force) == 0


@pytest.mark.parametrize(
    "expr", [sp.exp(b * sp.Symbol("c")), sp.Sum(sp.exp(h[i] * sp.Symbol("c")), (i, 1, n))]
)
def test_a_coin_may_be_a_plain_symbol(expr):
    c = sp.Symbol("c")
    found = expectation(expr, c, q)
    conditioned = q * expr.subs(c, 1) + (1 - q) * expr.subs(c, 0)
    assert sp.simplify((found - conditioned).subs(n, 3).doit()) == 0


# ---- formulas of the book -------------------------------------------------------------------


def test_a_coin_is_idempotent():
    c = sp.Symbol("c")
    for coin, mask in ((c, c), (m[1], m), (m[i], m)):
        assert expectation(coin**5, mask, q) == q
        assert variance(coin, mask, q).equals(q * (1 - q))


def test_what_has_no_coin_is_its_own_mean():
    for constant in (sp.Integer(3), b, sp.Sum(h[i], (i, 1, n)), sp.exp(b)):
        assert expectation(constant, m, q) == constant
        assert variance(constant, m, q) == 0


def test_two_coins_are_independent_unless_they_are_one():
    assert covariance(m[1], m[2], m, q) == 0
    assert covariance(m[i], m[j], m, q).equals(q * (1 - q) * sp.KroneckerDelta(i, j))


def test_inverted_scaling_keeps_the_mean_and_adds_p_over_q_to_the_variance():
    inverted = sp.Sum(h[i] * m[i] / q, (i, 1, n)) + b
    assert expectation(inverted, m, q) == sp.Sum(h[i], (i, 1, n)) + b
    assert variance(inverted, m, q).equals((1 - q) / q * sp.Sum(h[i] ** 2, (i, 1, n)))


def test_a_sum_covaries_with_its_coin_by_that_coins_weight():
    assert covariance(m[j], A, m, q).equals(q * (1 - q) * h[j])


@pytest.mark.parametrize("order", [1, -1])
def test_a_free_index_is_not_taken_for_a_summation_index(order):
    """A sums over i, Z over j with i free: two units that share their input's mask."""
    found = covariance(*[A, Z][::order], m, q).subs(n, 3).doit()
    shared = sum(h[a] * x[i, a] for a in range(1, 4))
    assert sp.expand(found - q * (1 - q) * shared) == 0


def test_a_coin_whose_index_has_the_name_of_the_summation_index():
    assert agrees(A * m[i], {n: 3, i: 2})


@pytest.mark.parametrize("loss", [(y[i] - Z / q) ** 2, (y[i] - Z) ** 2 * h[i], (y[i] - Z) * Z * b])
def test_sums_over_samples_of_squared_sums_over_coins(loss):
    total = sp.Sum(loss, (i, 1, N))
    coins, sizes = [m[1], m[2], m[3]], {N: 2, n: 3}
    assert numbers(expectation(total, m, q), sizes) == enumerated(numbers(total, sizes), coins)


def test_the_ridge_loss_is_squared_error_plus_penalty():
    weighted = sp.Sum(x[i, j] * w[j] * m[j] / q, (j, 1, n))
    plain = sp.Sum(x[i, j] * w[j], (j, 1, n))
    found = expectation(sp.Sum((y[i] - weighted) ** 2, (i, 1, N)), m, q)
    penalty = (1 - q) / q * sp.Sum(x[i, j] ** 2 * w[j] ** 2, (j, 1, n), (i, 1, N))
    expected = sp.Sum((y[i] - plain) ** 2, (i, 1, N)) + penalty
    for sizes in product(range(1, 4), repeat=2):
        difference = (found - expected).subs(dict(zip((N, n), sizes, strict=True))).doit()
        assert sp.expand(difference) == 0


# ---- refusals -------------------------------------------------------------------------------


@pytest.mark.unchecked
@pytest.mark.parametrize(
    "expr",
    [
        sp.exp(A),
        sp.sqrt(A),
        1 / A,
        1 / (1 + A),
        A**n,
        sp.Abs(A) * m[1],
        sp.exp(m[i] + m[j]),
        sp.Max(m[i], m[j]),
        sp.Sum(1 / m[i], (i, 1, n)),
        sp.Sum(m[i + 1], (i, 1, n)) ** 2,
        sp.Sum(x[i, j] * m[i] * m[j], (i, 1, n), (j, 1, n)),
        sp.Sum(m[i], (i, 1, n)) * sp.Sum(m[i], (i, 1, N)),
        sp.Product(m[i], (i, 1, n)),
        m[i, 1] * m[i, 2],
        sp.Sum(m[i, 1], (i, 1, n)) ** 2,
    ],
    ids=str,
)
def test_what_is_neither_a_function_of_finitely_many_coins_nor_a_polynomial_is_refused(expr):
    with pytest.raises(ValueError, match=r"coin|sum"):
        expectation(expr, m, q)


@pytest.mark.unchecked
def test_a_mask_that_is_neither_symbol_nor_indexed_base_is_named():
    with pytest.raises(TypeError, match=r"m must be .*got 'm'"):
        expectation(m[1], "m", q)
