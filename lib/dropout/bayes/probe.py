"""What a model's output is, and how large what it makes on the way, from runs without dropout."""

from inspect import unwrap
from itertools import takewhile
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from dropout.bayes.samplers import Off
from dropout.bayes.tree import tensors
from dropout.torch_private import is_new, written


def check_leaf(leaf: Any) -> Any:
    if leaf is not None and not isinstance(leaf, Tensor):
        raise TypeError(
            f"model must return tensors, or None beside them, got {type(leaf).__name__}"
        )
    return leaf


def the_axis(alone: Tensor, among: Tensor) -> int | None:
    """The axis of the inputs, from the output for one and for three with that one in the middle."""
    threes = [axis for axis, n in enumerate(among.shape) if n == 3]
    kept = [a for a in threes if alone.shape == (*among.shape[:a], 1, *among.shape[a + 1 :])]
    lost = [a for a in threes if alone.shape == among.shape[:a] + among.shape[a + 1 :]]
    if not kept and not lost:
        raise ValueError(
            "model must return tensors with an axis of the inputs, got shape "
            f"{tuple(alone.shape)} for one input and {tuple(among.shape)} for three"
        )
    single = alone.squeeze(kept[0]) if kept else alone
    if not any(_close(single, among.select(axis, 1)) for axis in kept or lost):
        raise ValueError(
            "model must take each input by itself, but in a batch with others its output for one "
            "is another than alone: is the first axis of x that of the inputs, and does no layer "
            "look across it, as batch normalisation without running statistics does?"
        )
    return kept[0] if kept else None


def same(a: Any, b: Any) -> bool:
    """Whether two outputs are equal, shapes and NaN too."""
    return all(
        x.shape == y.shape and torch.allclose(x, y, rtol=0, atol=0, equal_nan=True)
        for x, y in zip(tensors(a), tensors(b), strict=True)
    )


def asks_for_training(kind: type) -> bool:
    """Whether the code of a class of layers, other than those of PyTorch, speaks of `training`."""
    if kind.__module__.startswith("torch."):
        return False
    bases = takewhile(lambda base: base is not nn.Module, kind.__mro__)
    methods = [unwrap(f) for base in bases for f in vars(base).values() if callable(f)]
    return any("training" in f.__code__.co_names for f in methods if hasattr(f, "__code__"))


def _close(a: Tensor, b: Tensor) -> bool:
    """Whether two results are the same but for the rounding that goes with the size of a batch."""
    if a.is_complex():
        a, b = torch.view_as_real(a), torch.view_as_real(b)
    if not a.is_floating_point():
        return torch.equal(a, b)
    tolerance = torch.finfo(a.dtype).eps ** (1 / 3)
    a, b = (c.to(torch.promote_types(c.dtype, torch.float32)) for c in (a, b))
    size = float(a.nan_to_num(0.0, 0.0, 0.0).abs().amax()) if a.numel() else 0.0
    return torch.allclose(a, b, rtol=0, atol=size * tolerance, equal_nan=True)


class Watch(TorchDispatchMode):
    """The bytes of the largest new tensor, before the first dropout and from there on.

    Stops a forward that would write into the model's parameters, or draws from a generator of its
    own.
    """

    def __init__(self, sampler: Off, model: nn.Module) -> None:
        super().__init__()
        self.sampler, self.largest = sampler, [1, 1]
        self.places = {p.untyped_storage().data_ptr() for p in model.parameters()} - {0}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if any(isinstance(a, Generator) for a in (*args, *(kwargs or {}).values())):
            raise OtherDrawError
        places = {a.untyped_storage().data_ptr() for a in tensors(written(function, args))}
        if places & self.places:
            raise ParameterWrittenError
        out = function(*args, **(kwargs or {}))
        if isinstance(out, Tensor) and is_new(function):
            size, dropping = out.numel() * out.element_size(), self.sampler.drops > 0
            self.largest[dropping] = max(size, self.largest[dropping])
        return out


class ParameterWrittenError(Exception):
    pass


class OtherDrawError(ValueError):
    """A draw that no key names."""

    def __init__(self) -> None:
        super().__init__(
            "model must draw no random numbers but those of dropout: no key names them"
        )
