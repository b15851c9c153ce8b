"""Dropout as a penalty: what the expected loss has beyond the loss without dropout.

Dropout is inverted, its noise p/q in variance, and the penalty is the sum over the examples of
E[loss with dropout] - loss without it. p is the drop rate and q = 1 - p the keep probability, as
asked for: the library's masks realise a rate up to 2**-17 from it.
"""

from math import isnan

import numpy as np
import torch
from jaxtyping import Float64, Int64

from dropout.theory.ensembles import all_masks, all_sums, mask_probabilities


def noise_variance(p: float) -> float:
    """p/q, the variance of a coin that is scaled to mean 1; ValueError unless p is in [0, 1).

    >>> noise_variance(0.75)
    3.0
    """
    if isnan(p) or not 0 <= p < 1:
        raise ValueError(f"p must be in [0, 1) for a finite penalty, got {p}")
    return p / (1 - p)


# ---- linear models and squared loss: exact ------------------------------------------------------


def squared_loss_penalty(
    x: Float64[np.ndarray, "examples features"], w: Float64[np.ndarray, "features"], p: float
) -> float:
    """(p/q) Σ_j w_j² Σ_i x_ij²: what dropout on x adds to Σ_i (y_i - b - x_i·w)² on average.

    Source: Srivastava et al. (2014), section 9.1, where p is the keep probability.

    >>> squared_loss_penalty(np.array([[1.0, 2.0], [3.0, 0.0]]), np.array([1.0, 2.0]), p=0.5)
    26.0
    """
    return noise_variance(p) * float((x**2 @ w**2).sum())


def fit_least_squares(
    x: Float64[np.ndarray, "examples features"], y: Float64[np.ndarray, "examples"], p: float
) -> tuple[Float64[np.ndarray, "features"], float]:
    """The weights w and bias b with the least expected squared loss under dropout on x.

    Ridge regression, its λ for feature j the (p/q) Σ_i x_ij² of that feature; the bias is free:
    least squares with one more example for each feature, (p/q Σ_i x_ij²)^½ e_j with target 0.
    Source: Srivastava et al. (2014), section 9.1.

    >>> w, b = fit_least_squares(np.array([[-1.0], [1.0]]), np.array([0.0, 4.0]), p=0.5)
    >>> w.round(9), round(b, 9)  # without dropout, w = 2
    (array([1.]), 2.0)
    """
    n, features = x.shape
    design = np.zeros((n + features, features + 1))
    design[:n, :-1], design[:n, -1] = x, 1
    design[n:, :-1] = np.diag(np.sqrt(noise_variance(p) * (x**2).sum(axis=0)))
    solution = np.linalg.lstsq(design, np.append(y, np.zeros(features)), rcond=None)[0]
    return solution[:-1], float(solution[-1])


# ---- other losses: to second order, or by counting ----------------------------------------------


def quadratic_penalty(
    h: Float64[np.ndarray, "examples units"],
    second_derivative: Float64[np.ndarray, "examples units"],
    p: float,
) -> float:
    """½ (p/q) Σ_i Σ_j L_ijj h_ij², to second order what dropout on h adds to any loss.

    L_ijj is the second derivative of example i's loss with respect to h_ij. Exact where the loss
    is quadratic in h. Source: Bishop (1995), for noise that does not depend on h.

    >>> quadratic_penalty(np.array([[1.0, 2.0]]), np.array([[2.0, 2.0]]), p=0.5)
    5.0
    """
    return noise_variance(p) / 2 * float((second_derivative * h**2).sum())


def glm_penalty(
    x: Float64[np.ndarray, "examples features"],
    w: Float64[np.ndarray, "features"],
    p: float,
    curvature: Float64[np.ndarray, "examples"],
) -> float:
    """½ (p/q) Σ_i A''(x_i·w) Σ_j x_ij² w_j², the quadratic penalty of a generalised linear model.

    `curvature` is A'' for each example: σ(1 - σ) for logistic regression, 1 for half the squared
    loss. Source: Wager, Wang and Liang (2013), section 2, whose δ is p.

    >>> x, w = np.array([[1.0, 2.0]]), np.array([2.0, -1.0])
    >>> glm_penalty(x, w, p=0.5, curvature=np.array([0.25]))
    1.0
    """
    return quadratic_penalty(x, curvature[:, None] * w**2, p)


def expected_logistic_loss(
    x: Float64[np.ndarray, "examples features"],
    y: Int64[np.ndarray, "examples"],
    w: Float64[np.ndarray, "features"],
    b: float,
    p: float,
) -> float:
    """Σ_i E[log(1 + exp z_i) - y_i z_i], z = b + dropped x·w, exact: by counting all 2^n masks.

    Classes y are 0 and 1, p the drop rate, and n, at most 24, the number of features.

    >>> x, y, w = np.array([[2.0]]), np.array([1]), np.array([1.0])
    >>> by_hand = (np.log(1 + np.exp(-4)) + np.log(2)) / 2  # kept and doubled, or dropped
    >>> bool(abs(expected_logistic_loss(x, y, w, 0.0, p=0.5) - by_hand) < 1e-15)
    True
    """
    noise_variance(p)  # refuses p = 1
    terms, start = torch.from_numpy((x * w / (1 - p)).T), torch.tensor(b, dtype=torch.float64)
    z = all_sums(terms, start).numpy()
    probabilities = mask_probabilities(all_masks(x.shape[1]), 1 - p)
    return float(probabilities @ (np.logaddexp(0, z) - y * z).sum(axis=1))


def softmax_curvature(
    probabilities: Float64[np.ndarray, "examples classes"],
    weights: Float64[np.ndarray, "classes units"],
) -> Float64[np.ndarray, "examples units"]:
    """Σ_k π_k W_kj² - (Σ_k π_k W_kj)²: the cross-entropy's second derivatives by the units.

    The variance of unit j's weights over the classes, as probable as the network thinks them: what
    `quadratic_penalty` takes below a softmax. Source: the A'' of Wager, Wang and Liang (2013).

    >>> softmax_curvature(np.array([[0.5, 0.5]]), np.array([[1.0, 2.0], [1.0, 4.0]]))
    array([[0., 1.]])
    """
    return probabilities @ weights**2 - (probabilities @ weights) ** 2


def expected_softmax_loss(
    h: Float64[np.ndarray, "examples units"],
    y: Int64[np.ndarray, "examples"],
    weights: Float64[np.ndarray, "classes units"],
    biases: Float64[np.ndarray, "classes"],
    p: float,
) -> float:
    """Σ_i E[cross-entropy of example i], scores W (dropped h_i) + b: by counting all 2^n masks.

    Classes y count from 0, p is the drop rate, and n, at most 24, the number of units. In nats.

    >>> h, y, weights = np.array([[2.0]]), np.array([1]), np.array([[0.0], [1.0]])
    >>> by_hand = (np.log(1 + np.exp(-4)) + np.log(2)) / 2  # kept and doubled, or dropped
    >>> bool(abs(expected_softmax_loss(h, y, weights, np.zeros(2), p=0.5) - by_hand) < 1e-15)
    True
    """
    noise_variance(p)  # refuses p = 1
    examples = np.arange(len(y))
    terms = torch.from_numpy(h.T[:, :, None] * weights.T[:, None, :] / (1 - p))
    z = all_sums(terms, torch.from_numpy(biases))
    losses = z.logsumexp(2) - z[:, examples, torch.from_numpy(y)]
    return float(mask_probabilities(all_masks(h.shape[1]), 1 - p) @ losses.sum(1).numpy())


# ---- matrix factorisation -----------------------------------------------------------------------


def factorisation_penalty(
    u: Float64[np.ndarray, "rows width"],
    v: Float64[np.ndarray, "columns width"],
    p: float,
    second_moment: Float64[np.ndarray, "columns columns"] | None = None,
) -> float:
    """(p/q) Σ_k ‖u_k‖² ‖v_k‖²: what dropping columns of u adds to ‖X - u vᵀ‖² on average.

    One coin a column, or one for each of u's entries: the mean is the same. Its least value over
    all u, v of d columns with u vᵀ = Y is (p/q) ‖Y‖²_* / d, with the squared nuclear norm, where d
    is at least Y's rank. Sources: Cavazza et al. (2018); for the least value Mianjy, Arora and
    Vidal (2018).

    With `second_moment` C = E[x xᵀ], positive definite: what dropout on the hidden units vᵀx of a
    linear network u vᵀ adds to its squared error E‖y - u vᵀx‖², with v_kᵀ C v_k in the place of
    ‖v_k‖². Its least value is then (p/q) ‖Y C^½‖²_* / d: whitened inputs give the same as none.

    >>> u, v = np.array([[1.0, 2.0]]), np.array([[3.0, 1.0]])
    >>> factorisation_penalty(u, v, p=0.5)
    13.0
    >>> factorisation_penalty(u, v, p=0.5, second_moment=np.array([[4.0]]))
    52.0
    """
    sizes = (v**2).sum(axis=0) if second_moment is None else (v * (second_moment @ v)).sum(axis=0)
    return noise_variance(p) * float((u**2).sum(axis=0) @ sizes)


def shrink_singular_values(
    s: Float64[np.ndarray, "values"], strength: float
) -> Float64[np.ndarray, "values"]:
    """The singular values of the Y that minimises ‖X - Y‖² + strength ‖Y‖²_*, from those of X.

    Each falls by one amount, strength Σ_{i ≤ D} s_i / (1 + strength D), but not below 0; D is how
    many stay above. `s` falls from the greatest value on. For a factorisation of width d with
    dropout at rate p, give its first d values and strength p/(q d).
    Source: Cavazza et al. (2018).

    >>> shrink_singular_values(np.array([3.0, 2.0, 0.5]), strength=0.5)
    array([1.75, 0.75, 0.  ])
    """
    if strength < 0 or isnan(strength):
        raise ValueError(f"strength must be at least 0, got {strength}")
    if (s < 0).any() or (np.diff(s) > 0).any():
        raise ValueError(f"s must be singular values, none below 0, greatest first, got {s}")
    amounts = strength * s.cumsum() / (1 + strength * np.arange(1, len(s) + 1))
    stay = (s > amounts).sum()
    return np.maximum(s - amounts[stay - 1], 0) if stay else np.zeros_like(s)


def rate_at_width(p: float, width: int) -> float:
    """The drop rate at which a factorisation of any width is penalised by (p/q) ‖Y‖²_*.

    d p / (q + d p) at width d, so that its p/q is d times that of p; at a fixed rate the penalty
    vanishes as the width grows. Source: Cavazza et al. (2018), whose θ is q.

    >>> rate_at_width(0.5, width=3)
    0.75
    """
    noise_variance(p)
    if width < 1:
        raise ValueError(f"width must be at least 1, got {width}")
    return width * p / (1 - p + width * p)
