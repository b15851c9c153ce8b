"""What models take and return: the tensors in it, and others in their place."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from dropout.bayes.tree import mapped


def leaves(tree: Any) -> list[Any]:
    """What a structure of tuples, lists, dictionaries and dataclasses holds, in order."""
    if isinstance(tree, Mapping):
        return [leaf for value in tree.values() for leaf in leaves(value)]
    if isinstance(tree, list | tuple | set):
        return [leaf for value in tree for leaf in leaves(value)]
    if is_dataclass(tree) and not isinstance(tree, type):
        return [leaf for f in fields(tree) for leaf in leaves(getattr(tree, f.name, None))]
    return [tree]


def tensors(tree: Any) -> list[Tensor]:
    """The tensors among them."""
    return [leaf for leaf in leaves(tree) if isinstance(leaf, Tensor)]


def dense(x: Tensor) -> bool:
    """Whether a tensor is neither sparse nor nested, and so can be compared element by element."""
    return x.layout == torch.strided and not x.is_nested


def copied(tree: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A structure with changed tensors; one tensor that stands twice in it does there too."""
    memo: dict[int, Tensor] = {}

    def changed(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        if id(leaf) not in memo:
            memo[id(leaf)] = change(leaf)
        return memo[id(leaf)]

    try:
        return mapped(changed, tree)
    except Exception:  # a structure that cannot be built anew: its parts that can
        return _by_parts(changed, tree)


def _by_parts(change: Callable[[Any], Any], tree: Any) -> Any:
    if type(tree) in (list, tuple):
        return type(tree)(_by_parts(change, value) for value in tree)
    if type(tree) is dict:
        return {name: _by_parts(change, value) for name, value in tree.items()}
    try:
        return mapped(change, tree)
    except Exception:
        return tree
