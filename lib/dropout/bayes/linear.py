"""A linear layer of many networks at once, which need not multiply what they drop.

A network drops the same units for all inputs. Where a linear layer follows, it is a smaller one: of
matrices without the rows and columns of these units, which add nothing but zeros.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

INPUTS = 64  # for fewer, taking out the weights costs more than it saves
PRODUCTS = 1 << 24  # of an input and a weight, for each network and thread: for fewer, likewise
MOST_USED = 0.75  # the share of units, of the first network, up to which it pays


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`F.linear` under the maps of `networks`: one matrix product, or one for each network."""
    return _Linear.apply(input, weight, bias)


class _Linear(torch.autograd.Function):
    """One product for all that adds the bias: torch.vmap makes it two steps."""

    @staticmethod
    def forward(x, weight, bias):
        return _smaller(x, weight, bias) if _pays(x, weight) else F.linear(x, weight, bias)

    @staticmethod
    def setup_context(ctx, inputs, output): ...

    @staticmethod
    def vmap(info, in_dims, x, weight, bias):
        if in_dims[1:] == (None, None):
            return _Linear.apply(x.movedim(in_dims[0], 0), weight, bias), 0
        return torch.vmap(F.linear, in_dims)(x, weight, bias), 0


def _pays(x: Tensor, weight: Tensor) -> bool:
    """Whether networks of x (networks, ..., units) drop enough to leave that out."""
    if x.dim() < 3 or not x.numel() or x.device.type != "cpu" or x.dtype != weight.dtype:
        return False
    inputs = x[0].numel() // x.shape[-1]
    if inputs < INPUTS or inputs * weight.numel() < PRODUCTS * torch.get_num_threads():
        return False
    used = int(_used(x[0].flatten(0, -2)).numel())
    return used <= MOST_USED * x.shape[-1] and not torch.is_autocast_enabled("cpu")


def _used(x: Tensor) -> Tensor:
    """Which units of x (inputs, units) are not zero for all inputs."""
    return x.any(0).nonzero().flatten()


def _smaller(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The layer for each network of x (networks, ..., units), with the units that it uses."""
    out, columns = x.new_empty(*x.shape[:-1], len(weight)), weight.T.contiguous()
    for inputs, part in zip(x.flatten(1, -2), out.flatten(1, -2), strict=True):
        used = _used(inputs)
        factors = inputs.index_select(1, used), columns.index_select(0, used)
        if bias is None:
            torch.mm(*factors, out=part)
        else:
            torch.addmm(bias, *factors, out=part)
    return out
