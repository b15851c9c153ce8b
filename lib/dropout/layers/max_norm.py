"""Max-norm: a bound on each unit's incoming weights, dropout's companion."""

from numbers import Real
from typing import Any

import torch
from torch import Tensor
from torch.nn import Linear, Module, Parameter

from dropout.layers.weights import CONVOLUTIONS, TRANSPOSED


@torch.no_grad()
def max_norm_(module: Module, c: float) -> None:
    """Scale down, in place, the incoming weights of each unit whose Euclidean norm exceeds c.

    To be called after each step of the optimiser. It reaches every Linear and convolution in the
    module, itself included; a unit of a convolution is an output channel. Weights within the bound
    keep their bits. Biases are free.

    Raises ValueError for c outside (0, inf), and for a weight that is computed from others, before
    anything is changed. Source: Srivastava et al. (2014), section 5.1.

    >>> layer = torch.nn.Linear(2, 2)
    >>> _ = layer.weight.data.copy_(torch.tensor([[3.0, 4.0], [0.6, 0.8]]))
    >>> max_norm_(layer, c=2.0)
    >>> layer.weight.data
    tensor([[1.2000, 1.6000],
            [0.6000, 0.8000]])
    """
    if not isinstance(c, Real) or isinstance(c, bool) or not 0 < c < float("inf"):
        raise ValueError(f"c must be a number in (0, inf), got {c!r}")
    kinds = Linear, *CONVOLUTIONS
    layers = {name: m for name, m in module.named_modules() if isinstance(m, kinds)}
    for name, layer in layers.items():
        if not isinstance(layer.weight, Parameter):
            raise ValueError(f"the weight of {name!r} is no parameter: bound what it is made from")
    for layer in layers.values():
        weight, incoming = _by_unit(layer)
        wide = torch.promote_types(weight.dtype, torch.float32)  # float16 ends at 65504
        norm = torch.linalg.vector_norm(weight, dim=incoming, keepdim=True, dtype=wide)
        weight.mul_((c / norm).clamp_(max=1))


def _by_unit(layer: Any) -> tuple[Tensor, tuple[int, ...]]:
    """A view of a layer's weight, and those of its axes that lead into one unit."""
    weight = layer.weight
    if not isinstance(layer, TRANSPOSED):
        return weight, tuple(range(1, weight.dim()))
    # (in, out / groups, ...): a unit is a group and a channel of it.
    weight = weight.unflatten(0, (layer.groups, -1))
    return weight, (1, *range(3, weight.dim()))
