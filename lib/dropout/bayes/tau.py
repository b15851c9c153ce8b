"""What weight decay says of the noise in y, where dropout is read as variational inference."""

from math import isfinite


def precision(
    weight_decay: float, length_scale: float, q: float, n: int, *, outputs: int = 1
) -> float:
    """The precision τ = 2 l² / (q N D w) of the noise in y that a trained network stands for.

    N is the number n of training examples, D that of `outputs`, l the length scale. The loss is
    PyTorch's: `mse_loss`, the mean over examples and outputs, and a `weight_decay` w that the
    optimiser adds as w W to the gradient, as SGD and Adam do. AdamW's shrinks W beside the
    gradient: it belongs to no loss, and to no τ.

    Times D/2 that loss is (1/N) Σ ½‖y - ŷ‖² + λ‖W‖² with λ = D w/4. Dropout divides by q in
    training, so the networks have the weights M = W/q or 0. With the prior N(0, 1/l²) on M, what
    depends on the weights in the divergence is ½ q l² ‖M‖² = ½ l² ‖W‖²/q, for rows of M that are
    long against the width of their normals. Over N τ it is λ‖W‖², hence τ = l² / (2 q N λ).

    q is the keep probability of the inputs of W. Weights with other inputs have another q, biases
    and a first layer without dropout q = 1: with one weight decay and one τ, each kind has a length
    scale of its own, l² = ½ τ q N D w.

    Raises ValueError unless 0 < q ≤ 1 and the rest is positive and finite.
    Source: Gal and Ghahramani (2016), equation 7, τ = q l² / (2 N λ) for a penalty λ‖M‖² of weights
    that are not divided by q (p there is q here). The division by q is that of the code of Gal,
    Hron and Kendall, "Concrete Dropout" (2017).

    >>> precision(weight_decay=0.004, length_scale=1.0, q=0.5, n=100)
    10.0
    """
    positive = {
        "weight_decay": weight_decay, "length_scale": length_scale, "n": n, "outputs": outputs,
    }  # fmt: skip
    for name, value in positive.items():
        if not (isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive and finite, got {value}")
    if not 0 < q <= 1:
        raise ValueError(f"keep probability q must be in (0, 1], got {q}")
    return 2 * length_scale**2 / (q * n * outputs * weight_decay)
