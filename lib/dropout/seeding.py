"""One seed for a whole model: a stream for each layer that drops, a step for each forward."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from torch.nn import Module, MultiheadAttention
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.rnn import RNNBase

from dropout.layers.base import Coins
from dropout.mask import MaskKey

M = TypeVar("M", bound=Module)


def seeded(model: M, seed: int, step: int = 0) -> M:
    """Give each layer of `dropout.nn` in a model the key (seed, its own stream, step), in place.

    Streams count the layers in the order of `model.named_modules()`, so that the same model with
    the same seed drops the same units, anywhere. The step stays what it is until `set_step`: call
    that before each forward in training, once the backward of the one before is done. Activation
    checkpointing, which runs layers again in backward, then drops again what the forward dropped.
    Where a generator was a layer's source of coins, the key takes its place.

    Under torch.compile, set `torch._dynamo.config.allow_unspec_int_on_nn_module = True`: PyTorch
    otherwise takes a module's integers for constants and compiles anew for every step. An
    activation_memory_budget below 1 needs keys; in PyTorch 2.11 a compiled checkpoint does too.

    Raises ValueError for a layer of torch.nn that drops and takes no key, before any change.

    >>> from torch import nn, ones
    >>> from dropout.nn import Dropout
    >>> model = seeded(nn.Sequential(Dropout(0.5), nn.Tanh(), Dropout(0.5)), seed=1)
    >>> [layer.key.stream for layer in model if isinstance(layer, Dropout)]
    [0, 1]
    >>> bool((set_step(model, 7)(ones(8)) == model(ones(8))).all())
    True
    """
    layers = _layers(model)
    keys = [MaskKey(seed, stream, step) for stream in range(len(layers))]
    for layer, key in zip(layers.values(), keys, strict=True):
        layer.key, layer.generator = key, None
    return model


def set_step(model: M, step: int) -> M:
    """Set the step of each key in a model, so that all its layers drop anew; give the model back.

    Raises ValueError for a layer without a key and for a step outside [0, 2**32), before anything
    is changed.
    """
    layers = _layers(model)
    for name, layer in layers.items():
        if layer.key is None:
            raise ValueError(f"{name!r} has no key whose step could be set: call seeded first")
    keys = [replace(layer.key, step=step) for layer in layers.values()]
    for layer, key in zip(layers.values(), keys, strict=True):
        layer.key = key
    return model


@contextmanager
def unique_keys(model: Module) -> Iterator[None]:
    """A debug mode: within one forward of the model in training, no key may be used twice.

    Raises RuntimeError at the second layer that drops by a key, or at the second call of one layer,
    and names both. Layers without a key draw a seed each, and cannot share one. That activation
    checkpointing calls layers again in backward is right, and not counted.

    >>> from torch import nn, ones
    >>> from dropout.nn import Dropout
    >>> model = nn.Sequential(Dropout(key=MaskKey(seed=1)), Dropout(key=MaskKey(seed=1)))
    >>> with unique_keys(model):
    ...     model(ones(8))
    Traceback (most recent call last):
    RuntimeError: '0' and '1' both drop by MaskKey(seed=1, stream=0, step=0): give each its own key
    """
    names: dict[MaskKey, str] = {}
    running = False

    def begin(*_):
        nonlocal running
        running = True
        names.clear()

    def end(*_):
        nonlocal running
        running = False

    def note(name, layer, _):
        if not (running and layer.training and layer.key):
            return
        if layer.key in names:
            both = f"{names[layer.key]!r} and {name!r} both drop by {layer.key}"
            raise RuntimeError(f"{both}: give each its own key")
        names[layer.key] = name

    with ExitStack() as hooks:
        hooks.enter_context(model.register_forward_pre_hook(begin, prepend=True))
        hooks.enter_context(model.register_forward_hook(end, always_call=True))
        for name, layer in _layers(model).items():
            hooks.enter_context(layer.register_forward_pre_hook(partial(note, name)))
        yield


def _layers(model: Module) -> dict[str, Any]:
    """The layers of a model that draw coins, by name."""
    layers: dict[str, Any] = {}
    for name, layer in model.named_modules():
        if isinstance(layer, Coins) or {"key", "generator"} <= vars(layer).keys():
            layers[name] = layer
        elif _drops(layer):
            kind = f"{name!r} is torch.nn's {type(layer).__name__}"
            raise ValueError(f"{kind}, whose dropout takes no key: use one of dropout.nn")
    return layers


def _drops(layer: Module) -> bool:
    """Whether a layer of torch.nn drops by itself."""
    if isinstance(layer, (MultiheadAttention, RNNBase)):
        return layer.dropout > 0
    return isinstance(layer, _DropoutNd) and layer.p > 0
