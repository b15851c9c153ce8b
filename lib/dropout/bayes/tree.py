"""Tensors in tuples, lists, dictionaries and dataclasses: what models take and return."""

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import fields, is_dataclass, replace
from typing import Any

from torch import Tensor


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same structure with function(leaf) for each leaf, in order.

    >>> mapped(lambda n: n + 1, {"a": 1, "b": (2, [3])})
    {'a': 2, 'b': (3, [4])}
    """
    if is_dataclass(tree) and not isinstance(tree, type):
        names = [field.name for field in fields(tree) if field.init]
        return replace(tree, **{name: mapped(function, getattr(tree, name)) for name in names})
    if isinstance(tree, Mapping):
        new: Any = copy(tree)
        for name, value in tree.items():
            new[name] = mapped(function, value)
        return new
    if isinstance(tree, list | tuple):
        items = [mapped(function, value) for value in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    return function(tree)


def tensors(tree: Any) -> list[Tensor]:
    """The leaves that are tensors, in order."""
    found: list[Tensor] = []

    def note(leaf):
        if isinstance(leaf, Tensor):
            found.append(leaf)
        return leaf

    mapped(note, tree)
    return found


def rebuilt(tree: Any, new: Iterable[Any]) -> Any:
    """The same structure with others in the place of its tensors, in order."""
    rest = iter(new)
    return mapped(lambda leaf: next(rest) if isinstance(leaf, Tensor) else leaf, tree)
