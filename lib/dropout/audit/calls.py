"""The functions that drop, of PyTorch and of this library, and how to read a call of one."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F

from dropout import functional
from dropout.layers.base import TORCH_DROPOUTS, Coins

ATTENTION = "scaled_dot_product_attention", "multi_head_attention_forward", "attention"
RECURRENT = "lstm", "gru", "rnn_tanh", "rnn_relu"
# What drops in weights, or between layers: the input of the call is another tensor.
INSIDE = {*ATTENTION, *RECURRENT, "drop_connect", "embedding_dropout", "word_dropout"}
CHANNELS = {  # the ranks they are made for
    "dropout1d": (3,), "dropout2d": (4,), "dropout3d": (5,), "feature_alpha_dropout": (3, 4, 5),
}  # fmt: skip
BOUND = {"dropout_", "alpha_dropout_", "feature_dropout_", "feature_alpha_dropout_"}  # in place
# Functions written in C++, which do not tell of their arguments.
NAMED: dict[Callable[..., Any], tuple[str, ...]] = {
    **{
        getattr(torch, name): ("input", "p", "training")
        for stem in ("dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout")
        for name in (stem, stem + "_")
    },
    torch.native_dropout: ("input", "p", "training"),
    F.scaled_dot_product_attention: ("query", "key", "value", "attn_mask", "dropout_p"),
    **{getattr(torch, name): () for name in RECURRENT},  # `_rate_of_recurrent`
}
LIBRARY = tuple(getattr(functional, name) for name in functional.__all__ if name != "max_norm_")
PYTHONS: tuple[Callable[..., Any], ...] = (
    F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout,
    F.multi_head_attention_forward,
    *LIBRARY,
)  # fmt: skip
SIGNATURES = {function: inspect.signature(function) for function in PYTHONS}
DEFAULTS = {"p": 0.5, "training": True}
DROP_LAYERS = (*TORCH_DROPOUTS, Coins)
BATCH_NORMS: dict[Callable[..., Any], tuple[str, ...]] = {
    F.batch_norm: ("input", "running_mean", "running_var", "weight", "bias", "training"),
    torch.batch_norm: ("input", "weight", "bias", "running_mean", "running_var", "training"),
    torch.native_batch_norm: (
        "input", "weight", "bias", "running_mean", "running_var", "training",
    ),
}  # fmt: skip
RATES = "p", "dropout_p", "beta"
INPUTS = "input", "query", "queries"


class Call:
    """A call of a function that drops: its name, rate, training flag and input."""

    def __init__(self, function: Callable[..., Any], args: tuple, kwargs: Mapping[str, Any]):
        self.function, self.name = function, function.__name__
        if (signature := SIGNATURES.get(function)) is not None:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            given: dict[str, Any] = dict(bound.arguments)
        elif self.name in RECURRENT:
            place = _rate_of_recurrent(args)
            given = {"input": args[0], "p": args[place], "training": args[place + 1]}
        else:
            names = NAMED[function]
            given = dict(zip(names, args, strict=False)) | dict(kwargs)
            if "train" in given:
                given["training"] = given.pop("train")
        self.given = given
        first = next((given[name] for name in INPUTS if name in given), None)
        self.input = first if isinstance(first, torch.Tensor) else args[0] if args else None
        rate = next((given[name] for name in RATES if name in given), None)
        if rate is None:
            rate = 0.0 if self.name in ATTENTION else 0.5
        self.p = float(rate) if isinstance(rate, int | float) else 0.0
        attends = self.name == "scaled_dot_product_attention"
        self.training = bool(given.get("training", True)) or attends
        self.inplace = bool(given.get("inplace", False)) or self.name in BOUND
        self.keyed = function in LIBRARY and given.get("key") is not None


def _rate_of_recurrent(args: tuple) -> int:
    """Which argument the rate is: the second behind the first flag, of both forms of the call."""
    return next(i for i, a in enumerate(args) if isinstance(a, bool)) + 2


def drops(function: Any) -> bool:
    """Whether a function is one that drops."""
    try:
        return function in SIGNATURES or function in NAMED
    except TypeError:  # it cannot be hashed
        return False


def is_batch_norm(function: Any) -> bool:
    """Whether a function is a batch norm."""
    try:
        return function in BATCH_NORMS
    except TypeError:
        return False


def without(call: Call, args: tuple, kwargs: Mapping[str, Any]) -> tuple[tuple, dict[str, Any]]:
    """The arguments of a call, changed such that nothing drops."""
    function = call.function
    if (signature := SIGNATURES.get(function)) is not None:
        bound = signature.bind(*args, **kwargs)
        bound.arguments["training"] = False
        return bound.args, bound.kwargs
    names, rest, values = list(NAMED[function]), dict(kwargs), list(args)
    if call.name in RECURRENT:
        values[_rate_of_recurrent(args)] = 0.0
        return tuple(values), rest
    name = "dropout_p" if "dropout_p" in names else "p"
    place = names.index(name)
    if len(values) > place:
        values[place] = 0.0
    elif name == "dropout_p" or name in rest:
        rest[name] = 0.0
    return tuple(values), rest


def not_in_place(
    call: Call, args: tuple, kwargs: Mapping[str, Any]
) -> tuple[Callable[..., Any], tuple, dict[str, Any]]:
    """The same call, but for the place where its result goes."""
    if call.name in BOUND:
        return getattr(torch, call.name.removesuffix("_")), args, dict(kwargs)
    bound = SIGNATURES[call.function].bind(*args, **kwargs)
    bound.arguments["inplace"] = False
    return call.function, bound.args, bound.kwargs
