"""What PyTorch's operators do to random numbers, to masks and to what is masked."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from dropout.audit.facts import Value
from dropout.audit.tree import dense, tensors

FACTORIES = {
    "empty", "empty_like", "empty_strided", "zeros", "zeros_like", "ones", "ones_like", "full",
    "full_like", "new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided", "arange",
    "scalar_tensor", "lift_fresh", "eye", "linspace", "fill", "fill_", "zero_",
}  # fmt: skip
COMPARISONS = {"lt", "le", "gt", "ge"}
BINARY = COMPARISONS | {
    "eq", "ne", "floor", "floor_", "ceil", "round", "sign", "logical_not", "bitwise_not",
    "bernoulli", "bernoulli_",
}  # fmt: skip
COINS = {"bernoulli", "bernoulli_", "randint", "random_", "masked_scale"}
SHAPED_LIKE = {"rand_like", "randn_like", "randint_like"}
PRODUCTS = {"mul", "mul_", "div", "div_"}
CHOICES = {"where", "masked_fill", "masked_fill_", "index_put", "index_put_"}
SOFTMAX = {"softmax", "log_softmax", "safe_softmax"}
# Operators between which a number stays the same number, perhaps in another type or memory.
COPIES = {
    "clone", "contiguous", "to_copy", "copy_", "unsafe_view", "reshape_alias", "alias", "view",
    "detach", "expand", "squeeze", "unsqueeze", "transpose", "permute", "t", "reshape", "slice",
    "select", "lift_fresh_copy",
}  # fmt: skip


def short(function: Any) -> str:
    """The name of an operator without its namespace, its overload and what marks it private."""
    return function.name().split("::")[1].split(".")[0].lstrip("_")


def is_own(function: Any) -> bool:
    """Whether an operator is one of this library that drops or makes noise."""
    return function.namespace == "dropout" and short(function) in ("masked_scale", "multiply")


def drawn(function: Any, args: tuple, out: Any) -> Any:
    """The random numbers that an operator drew, or the words that name them; else None."""
    name = short(function)
    if is_own(function):
        return tuple(
            int(a) if isinstance(a, Tensor) else tuple(a) if isinstance(a, list) else a
            for a in args[1:]
        )
    if torch.Tag.nondeterministic_seeded not in function.tags or not _at_random(name, args):
        return None
    outs = tensors(out)
    return outs[-1 if name == "native_dropout" else 0].detach().clone() if outs else None


def _at_random(name: str, args: tuple) -> bool:
    """Whether an operator that can draw random numbers did, by its rate and its mode."""
    if name == "native_dropout":
        return args[1] > 0 and args[2] is not False
    if name.startswith("scaled_dot_product"):
        return any(isinstance(a, float) and a > 0 for a in args[3:])
    if name in ("cudnn_rnn", "miopen_rnn"):
        floats = [i for i, a in enumerate(args) if isinstance(a, float)]
        return any(args[i] > 0 and args[i + 1] is True for i in floats)
    return True


def after(function: Any, before: Sequence[Value], draw: int | None, index: int) -> Value:
    """What the result of an operator depends on."""
    name = short(function)
    if name in FACTORIES:
        return Value(producer=index)
    draws = frozenset[int]().union(*(value.draws for value in before))
    data = any(value.data for value in before)
    binary = any(value.binary for value in before)
    if draw is not None:
        draws |= {draw}
        if name in SHAPED_LIKE or name.endswith("_"):
            data = False
        elif name == "bernoulli":
            data = data and function.name() == "aten::bernoulli"  # of rates, not of a shape
        binary = name in COINS
    elif name in BINARY and draws:
        binary, data = True, data and name not in COMPARISONS
    return Value(draws, data, binary and not data, index)


def factor(name: str, args: tuple) -> float | None:
    """The plain number that a product has for a factor."""
    if name not in PRODUCTS or len(args) < 2:
        return None
    other = args[1]
    if isinstance(other, Tensor):
        if other.dim() or other.dtype.is_complex:
            return None
        other = float(other)
    if not isinstance(other, int | float) or not other:
        return None
    return 1 / other if name.startswith("div") else float(other)


# --- Masks that code makes by itself -------------------------------------------------------------


def mask_place(name: str, args: tuple, value: Callable[[Tensor], Value]) -> int | None:
    """Which argument of an operator is a random mask, of two values, by which it drops data."""
    if name in PRODUCTS:
        if len(args) < 2 or not all(isinstance(a, Tensor) for a in args[:2]):
            return None
        order = [1] if name.startswith("div") or name.endswith("_") else [1, 0]
        return next(
            (i for i in order if value(args[1 - i]).data and _is_mask(args[i], value(args[i]))),
            None,
        )
    if name not in CHOICES or len(args) < 3:
        return None
    place = 0 if name == "where" else 1
    mask, rest = mask_of(args, place), _others(args, place)
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        return None
    if not any(isinstance(x, Tensor) and value(x).data for x in rest):
        return None
    return place if any(map(is_zero, rest)) and _is_mask(mask, value(mask)) else None


def mask_of(args: tuple, place: int) -> Any:
    """The mask among an operator's arguments: of x[mask] = 0 it is in a list."""
    mask = args[place]
    return mask[0] if isinstance(mask, list | tuple) and mask else mask


def _others(args: tuple, place: int) -> tuple:
    return args[:place] + args[place + 1 : 3]


def _is_mask(x: Tensor, value: Value) -> bool:
    return value.binary and not value.data and two_values(x)


def two_values(x: Tensor) -> bool:
    """Whether a tensor holds 0 and one other number, or one number alone."""
    if not dense(x) or not x.numel() or x.dtype.is_complex:
        return False
    levels = torch.unique(x.detach())
    return len(levels) == 1 or (len(levels) == 2 and bool((levels == 0).any()))


def masked(name: str, args: tuple, place: int, value: Callable[[Tensor], Value]) -> Tensor:
    """What a mask is laid on."""
    rest = args[1 - place : 2 - place] if name in PRODUCTS else _others(args, place)
    return next(x for x in rest if isinstance(x, Tensor) and value(x).data)


def kept(name: str, args: tuple, place: int) -> Tensor:
    """The mask, with 0 where it drops."""
    mask = mask_of(args, place).detach().clone()
    if name in PRODUCTS or (name == "where" and not is_zero(args[1])):
        return mask
    return ~mask


def unmasked(name: str, args: tuple, place: int) -> Tensor:
    """What an operator that drops by a mask would give if nothing dropped."""
    if name.endswith("_"):
        return args[0]
    if name in PRODUCTS:
        x = args[1 - place]
    else:
        x = args[2] if name == "where" and is_zero(args[1]) else args[1 if name == "where" else 0]
    mask = mask_of(args, place)
    return x.expand(torch.broadcast_shapes(x.shape, mask.shape)).clone()


def is_zero(x: Any) -> bool:
    """Whether something is the number 0, or nothing but zeros."""
    if isinstance(x, Tensor):
        return (
            dense(x)
            and not x.dtype.is_complex
            and x.numel() > 0
            and not bool(x.detach().ne(0).any())
        )
    return isinstance(x, int | float) and x == 0
