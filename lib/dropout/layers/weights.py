"""A layer run with other weights than those that it would use."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.compiler import is_compiling
from torch.func import functional_call
from torch.nn import Module
from torch.nn.utils.parametrize import type_before_parametrizations

from dropout.torch_private import runs_as_it_is

TRANSPOSED = torch.nn.ConvTranspose1d, torch.nn.ConvTranspose2d, torch.nn.ConvTranspose3d
CONVOLUTIONS = torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d, *TRANSPOSED


def reweighted(layer: Module, names: Sequence[str], body: Callable[..., Any], *args: Any) -> Any:
    """`layer(*args)` with `body(run, *args)` in the place of its forward, between its hooks.

    `run(weights, *args)` is that forward with other weights. What body reads in the layer under
    the `names` of weights is what the forward would use: computed by now from what they are made
    of, where pruning, a normalisation or another hook or parametrisation does so.
    """
    if runs_as_it_is(layer, names):
        return body(lambda weights, *args: functional_call(layer, weights, args), *args)
    if is_compiling():  # which cannot follow a change of forward
        return torch.compiler.disable(_between_hooks)(layer, body, *args)
    return _between_hooks(layer, body, *args)


def _between_hooks(layer: Module, body: Callable[..., Any], *args: Any) -> Any:
    own = vars(layer).get("forward")
    vars(layer)["forward"] = partial(body, partial(_run, layer))
    try:
        return layer(*args)
    finally:
        del vars(layer)["forward"]
        if own is not None:
            vars(layer)["forward"] = own


def _run(layer: Module, weights: dict[str, Tensor], *args: Any) -> Any:
    """The layer's forward by a stand-in, which has its weights for plain attributes."""
    kind: Any = type_before_parametrizations(layer)
    others = {*getattr(layer, "parametrizations", ())} - weights.keys()
    bare = object.__new__(kind)
    vars(bare).update(vars(layer), **{name: getattr(layer, name) for name in others}, **weights)
    return kind.forward(bare, *args)
