"""A layer run with other weights than those that it would use."""

from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock, local
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


def reweighted(
    layer: Module,
    names: Sequence[str],
    body: Callable[..., Any],
    *args: Any,
    once: bool = True,
) -> Any:
    """`layer(*args)` with `body(run, *args)` in the place of its forward, between its hooks.

    `run(weights, *args)` is that forward with other weights. What body reads in the layer under
    the `names` of weights is what the forward would use: computed by now from what they are made
    of, where pruning, a normalisation or another hook or parametrisation does so. Other threads may
    run the layer meanwhile, by this function or as it is. `once` says that body calls run once, on
    all examples: then the hooks may as well be run there.
    """
    compiling = is_compiling()  # the compiler cannot follow a change of forward
    # A forward of the layer's own, such as an offloader's, reads the layer and no stand-in.
    own = not compiling and not isinstance(vars(layer).get("forward"), _Detour | None)
    if (compiling or own) and runs_as_it_is(layer, names, once):
        return body(lambda weights, *args: functional_call(layer, weights, args), *args)
    if compiling:
        return torch.compiler.disable(_between_hooks)(layer, body, *args)
    return _between_hooks(layer, body, *args)


class _Detour:
    """A layer's forward while threads run something else in its place, each its own."""

    def __init__(self, usual: Callable[..., Any], own: Callable[..., Any] | None) -> None:
        self.usual, self.own = usual, own
        self.threads, self.mine = 0, local()

    def __call__(self, *args: Any, **options: Any) -> Any:
        body = getattr(self.mine, "body", None)
        return (body or self.usual)(*args, **options)

    def __reduce__(self):
        return _Detour, (self.usual, self.own)  # what a thread runs is not its copy's


_changing = Lock()


def _between_hooks(layer: Module, body: Callable[..., Any], *args: Any) -> Any:
    ran = False

    def noted(*args):
        nonlocal ran
        ran = True
        return body(partial(_run, layer), *args)

    with _changing:
        detour = vars(layer).get("forward")
        if not isinstance(detour, _Detour):
            detour = vars(layer)["forward"] = _Detour(layer.forward, detour)
        detour.threads += 1
    outer = getattr(detour.mine, "body", None)
    detour.mine.body = noted
    try:
        out = layer(*args)
    finally:
        detour.mine.body = outer
        with _changing:
            detour.threads -= 1
            if not detour.threads:
                del vars(layer)["forward"]
                if detour.own is not None:
                    vars(layer)["forward"] = detour.own
    if not ran:  # but written into a graph of torch.fx
        raise RuntimeError(f"the weights of {layer} cannot drop: its call does not run its forward")
    return out


def _run(layer: Module, weights: dict[str, Tensor], *args: Any) -> Any:
    """The layer's forward by a stand-in, which has its weights for plain attributes."""
    kind: Any = type_before_parametrizations(layer)
    others = {*getattr(layer, "parametrizations", ())} - weights.keys()
    bare = object.__new__(kind)
    vars(bare).update(vars(layer), **{name: getattr(layer, name) for name in others}, **weights)
    return kind.forward(bare, *args)
