"""Expectation and variance over Bernoulli masks, for SymPy expressions.

A mask is written m: a Symbol for one coin, or an IndexedBase for a family m[i] of independent
ones, each 1 with probability q and else 0. Three facts do all the work: expectation is linear,
m² = m, and independent coins have joint cumulants only with themselves. The last one is what lets
n stay a symbol. For sums over coins S_k = Σ_i f_k(i) m[i],

    E[S_1 ⋯ S_K] = Σ_σ Π_{B ∈ σ} κ_|B|(q) Σ_i Π_{k ∈ B} f_k(i),

over the partitions σ of {1, …, K}, where κ_r is the r-th cumulant of one coin (the moment-cumulant
formula: McCullagh, "Tensor Methods in Statistics", 1987, chapter 2).
"""

from math import prod

import sympy as sp
from sympy.concrete.expr_with_limits import ExprWithLimits
from sympy.utilities.iterables import multiset_partitions


def expectation(expr: sp.Expr | int, m: sp.Symbol | sp.IndexedBase, q: sp.Expr) -> sp.Expr:
    """E[expr] over the masks m with keep probability q.

    Any function of finitely many coins is allowed, and any polynomial in them and in sums
    Σ_i f(i) m[i] with symbolic bounds. In a product of a coin m[j] and such a sum, j is taken to
    lie within the sum's bounds. A number is its own expectation. Raises ValueError for what is
    neither.

    >>> m, h = sp.IndexedBase("m"), sp.IndexedBase("h")
    >>> i, n, q = sp.symbols("i n q", positive=True)
    >>> expectation(sp.Sum(h[i] * m[i] / q, (i, 1, n)), m, q)
    Sum(h[i], (i, 1, n))
    >>> expectation(1, m, q)  # the empty product
    1
    """
    if not isinstance(m, sp.Symbol | sp.IndexedBase):
        raise TypeError(f"m must be a Symbol or an IndexedBase, got {m!r}")
    terms = sp.Add.make_args(_expanded(sp.sympify(expr)))
    return _expanded(sp.Add(*(_expected_term(term, m, q) for term in terms)))


def variance(expr: sp.Expr, m: sp.Symbol | sp.IndexedBase, q: sp.Expr) -> sp.Expr:
    """Var[expr] over the masks m with keep probability q, factored.

    >>> m, h, q = sp.symbols("m h q")
    >>> variance(m * h / q, m, q)
    -h**2*(q - 1)/q
    """
    return covariance(expr, expr, m, q)


def covariance(a: sp.Expr, b: sp.Expr, m: sp.Symbol | sp.IndexedBase, q: sp.Expr) -> sp.Expr:
    """Cov[a, b] = E[a b] - E[a] E[b] over the masks m with keep probability q, factored."""
    product_of_means = expectation(a, m, q) * expectation(b, m, q)
    return sp.factor(sp.expand(expectation(a * b, m, q) - product_of_means))


def _expanded(expr: sp.Expr) -> sp.Expr:
    """expr multiplied out, its sums split over their terms and freed of constant factors."""

    def split(total: sp.Sum) -> sp.Expr:
        indices = [limit[0] for limit in total.limits]
        terms = []
        for term in sp.Add.make_args(_expanded(total.function)):
            constant, summand = term.as_independent(*indices, as_Add=False)
            terms.append(constant * sp.Sum(summand, *total.limits))
        return sp.Add(*terms)

    flat = expr.replace(lambda e: isinstance(e, sp.Sum), split)
    names = {total: sp.Dummy() for total in flat.atoms(sp.Sum)}  # expand must not enter the sums
    return sp.expand(flat.xreplace(names)).xreplace({name: total for total, name in names.items()})


def _expected_term(term: sp.Expr, m, q: sp.Expr) -> sp.Expr:
    coins = _coins(term, m)
    outer, random = term.as_independent(*coins, as_Add=False)
    known = isinstance(m, sp.Symbol) or all(j.is_number for coin in coins for j in coin.indices)
    if not known and (len(coins) > 1 or random.has(ExprWithLimits)):
        return outer * _expected_product(_factors(random, m), m, q)
    for coin in coins:  # finitely many coins: condition on each in turn
        random = q * random.subs(coin, 1) + (1 - q) * random.subs(coin, 0)
    return outer * random


def _coins(expr: sp.Expr, m) -> list[sp.Expr]:
    if isinstance(m, sp.Symbol):
        return [m]
    return sorted((c for c in expr.atoms(sp.Indexed) if c.base == m), key=sp.default_sort_key)


def _factors(product: sp.Expr, m) -> list[sp.Expr]:
    """The factors of a product, powers written out, but a coin only once: m² = m."""
    factors = []
    for factor in sp.Mul.make_args(product):
        base, power = factor.as_base_exp()
        is_coin = isinstance(base, sp.Indexed) and base.base == m
        if not (power.is_Integer and power > 0 and (is_coin or isinstance(base, sp.Sum))):
            raise ValueError(f"{factor} is no polynomial in coins and sums over coins")
        factors += [base] * (1 if is_coin else int(power))
    return factors


def _expected_product(factors: list[sp.Expr], m, q: sp.Expr) -> sp.Expr:
    if len(factors) == 1 and not _is_sum_over_coins(factors[0], m):
        (total,) = factors  # a sum over something else than coins: expectation passes inside
        return sp.Sum(expectation(total.function, m, q), *total.limits)
    weights = [_weight(factor, m) for factor in factors]
    return sp.Add(
        *(
            prod(
                _cumulant(len(block), q) * _merged([weights[k] for k in block]) for block in blocks
            )
            for blocks in multiset_partitions(list(range(len(weights))))
        )
    )


def _is_sum_over_coins(factor: sp.Expr, m) -> bool:
    return not isinstance(factor, sp.Sum) or factor.function.has(m[factor.limits[0][0]])


def _weight(factor: sp.Expr, m):
    """(f, limits) of a sum Σ_i f(i) m[i], or (None, j) of a coin m[j]."""
    if isinstance(factor, sp.Indexed):
        if len(factor.indices) > 1:
            raise ValueError(f"{factor} is no coin m[i] of one index")
        return None, factor.indices[0]
    i = factor.limits[0][0]
    weight = sp.Mul(*(f for f in sp.Mul.make_args(factor.function) if not _is_power(f, m[i])))
    if len(factor.limits) > 1 or _coins(weight, m):
        raise ValueError(f"{factor} is not a sum Σ f(i) m[i] over one index")
    return sp.Lambda(i, weight), factor.limits[0]


def _is_power(factor: sp.Expr, coin: sp.Expr) -> bool:
    base, exponent = factor.as_base_exp()
    return base == coin and bool(exponent.is_positive)


def _merged(block) -> sp.Expr:
    """Σ_i Π_k f_k(i) over a block; a coin m[j] in it pins i to j."""
    sums = [(f, limits) for f, limits in block if f is not None]
    pins = [j for f, j in block if f is None]
    if pins:
        same = prod((sp.KroneckerDelta(pins[0], j) for j in pins[1:]), start=sp.S.One)
        return same * prod((f(pins[0]) for f, _ in sums), start=sp.S.One)
    bounds = sums[0][1][1:]
    if any(limits[1:] != bounds for _, limits in sums):
        raise ValueError("sums over the same coins must run over the same indices")
    taken = set().union(*(f.free_symbols for f, _ in sums))
    i = next((limits[0] for _, limits in sums if limits[0] not in taken), sp.Dummy("i"))
    return sp.Sum(sp.Mul(*(f(i) for f, _ in sums)), (i, *bounds))


def _cumulant(order: int, q: sp.Expr) -> sp.Expr:
    """The cumulants of one coin: κ_1 = q, κ_(r+1) = q (1 - q) dκ_r/dq."""
    x = sp.Dummy()
    kappa = x
    for _ in range(order - 1):
        kappa = sp.expand(x * (1 - x) * kappa.diff(x))
    return kappa.subs(x, q)
