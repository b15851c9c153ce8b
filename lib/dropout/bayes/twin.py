"""A copy of a model to run in its place, so that nothing a forward does reaches the model."""

from collections import OrderedDict, defaultdict, deque
from copy import copy
from dataclasses import is_dataclass
from functools import partial
from types import CellType, FunctionType, MethodType, SimpleNamespace
from typing import Any

from torch import Tensor
from torch.nn import Module, Parameter

from dropout.torch_private import COMPILED_CALL, uncompiled

ATOMS = {type(None), bool, int, float, str}
MAPPINGS = {dict, OrderedDict, defaultdict}


def twin(model: Module, own_parameters: bool = False) -> Any:
    """A model with layers, buffers and attributes of its own, and parameters in the same memory.

    With `own_parameters` those are copies too, for a model that writes into them. What a forward
    assigns, appends or counts up goes to the twin. Layers that share a parameter share it there
    too; what is bound to a layer, a patched forward or a hook, is bound to its twin. Twins of
    compiled models are not compiled. Objects of other classes, locks among them, are shared.
    """
    memo: dict[int, Any] = {}
    if own_parameters:
        memo = {id(p): Parameter(p.detach().clone(), p.requires_grad) for p in model.parameters()}
    return _copy(model, memo)


def _copy(value: Any, memo: dict[int, Any]) -> Any:
    kind = type(value)
    if kind in ATOMS:
        return value
    if id(value) in memo:
        return memo[id(value)]
    new: Any = value
    if kind in MAPPINGS or kind in (list, set, deque):
        new = memo[id(value)] = copy(value) if kind in (defaultdict, deque) else kind()
        if kind in MAPPINGS:
            new.update((name, _copy(v, memo)) for name, v in value.items())
        else:
            new.clear()
            (new.update if kind is set else new.extend)(_copy(v, memo) for v in value)
    elif kind is tuple:
        new = tuple(_copy(v, memo) for v in value)
    elif isinstance(value, Module):
        if (original := uncompiled(value)) is not value:
            return _copy(original, memo)
        new = memo[id(value)] = object.__new__(kind)  # its attributes may lead back to it
        vars(new).update((name, _copy(v, memo)) for name, v in vars(value).items())
        vars(new).pop(COMPILED_CALL, None)  # of Module.compile: it would call the model
    elif isinstance(value, Parameter):
        new = Parameter(value.detach(), value.requires_grad)
    elif isinstance(value, Tensor):
        new = value.detach().clone()
    elif isinstance(value, SimpleNamespace) or is_dataclass(kind):
        new = memo[id(value)] = copy(value)
        for name, v in getattr(value, "__dict__", {}).items():
            vars(new)[name] = _copy(v, memo)
    elif isinstance(value, MethodType) and isinstance(value.__self__, Module):
        new = MethodType(value.__func__, _copy(value.__self__, memo))
    elif isinstance(value, partial):
        parts = (value.func, value.args, value.keywords)
        function, args, keywords = (_copy(part, memo) for part in parts)
        new = partial(function, *args, **keywords)
    elif isinstance(value, FunctionType) and value.__closure__:
        new = _closure(value, memo)
    memo[id(value)] = new
    return new


def _closure(function: FunctionType, memo: dict[int, Any]) -> FunctionType:
    """A function that knows the twins of the layers it was defined beside."""
    cells = function.__closure__ or ()
    if not any(_is_module(cell) for cell in cells):
        return function
    cells = tuple(
        CellType(_copy(cell.cell_contents, memo)) if _is_module(cell) else cell for cell in cells
    )
    new = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, cells
    )
    new.__kwdefaults__ = function.__kwdefaults__
    vars(new).update(vars(function))
    return new


def _is_module(cell: CellType) -> bool:
    try:
        return isinstance(cell.cell_contents, Module)
    except ValueError:  # not filled yet
        return False
