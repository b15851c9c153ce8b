"""The names that PyTorch keeps for itself and this library leans on, and what serves without them.

PyTorch may rename or drop any of these. Then the public way beside it serves: slower, or able to do
less, but not wrong. Microseconds are those of `functional.dropout` on 1,024 numbers with the name
and without it, on one thread: 7 with all of them, 39 with backward, 18 in place.
"""

import inspect
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.autograd import Function
from torch.library import Library, register_torch_dispatch
from torch.nn import Module
from torch.utils.checkpoint import CheckpointPolicy


def _found(name: str, otherwise: Any = None) -> Any:
    """What stands under a name, "module:attribute", or what serves where nothing does."""
    try:
        return pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return otherwise


# --- Whether PyTorch looks on: where it may, dropout goes by way of the dispatcher ---------------

# Whether a transform of torch.func is at work. Without it each call may be in one: 65 for 7.
in_transform: Callable[[], bool] = _found("torch._C:_are_functorch_transforms_active", lambda: True)
# How many modes see every operator: fake tensors, counters of operations. Likewise 65 for 7.
modes: Callable[[], int] = _found("torch._C:_len_torch_dispatch_stack", lambda: 1)
# Which backward is at work, or -1. Without it what a checkpoint computes again counts as a step.
graph_task: Callable[[], int] = _found("torch._C:_current_graph_task_id", lambda: -1)


def _has_storage(x: Tensor) -> bool:
    try:
        x.untyped_storage()
    except (NotImplementedError, RuntimeError):
        return False
    return True


# Whether x lies in memory: a sparse tensor does not, nor one whose batch an older vmap hides. As
# quick without it; but memory that was asked for its storage is never used again.
has_storage: Callable[[Tensor], bool] = _found("torch._C:_has_storage", _has_storage)
_forward_ad = _found("torch.autograd:forward_ad")  # 10 for 7, where no gradient is wanted


def may_have_tangent() -> bool:
    """Whether forward-mode differentiation is on, so that a tensor may carry a tangent."""
    return getattr(_forward_ad, "_current_level", 0) >= 0


# --- What vmap hides ----------------------------------------------------------------------------

_is_wrapped = _found("torch._C._functorch:is_functorch_wrapped_tensor", lambda x: False)
_unwrapped = _found("torch._C._functorch:get_unwrapped")


def unbatched(x: Tensor) -> Tensor:
    """The tensor that a transform of torch.func has wrapped, or x; without the names, x."""
    while _unwrapped is not None and _is_wrapped(x):
        x = _unwrapped(x)
    return x


# --- Autograd ------------------------------------------------------------------------------------

_plain_apply = _found("torch._C:_FunctionBase.apply")  # 41 for 39, with backward
# Of views, written in place: 28 for 18, and a second node in the graph.
_is_view = _found("torch:Tensor._is_view")
_base = _found("torch:Tensor._base")
_creation_meta = _found("torch._C._autograd:_get_creation_meta")


def quick_apply(function: type[Function]) -> Callable[..., Any]:
    """`function.apply`, without another look for the transforms of torch.func.

    Nor does its backward look whether the derivative is called backward or vjp.
    """
    if _plain_apply is None:
        return function.apply
    if (backward := getattr(function, "_backward_cls", None)) is not None:
        backward.apply = function.backward
    return super(Function, function).apply  # type: ignore[misc]


def check_gradients_follow(x: Tensor) -> None:
    """Raise RuntimeError where gradients could not follow a write into x, which requires them."""
    if None in (_is_view, _base, _creation_meta):
        x[None][:0].zero_()  # a write into none of its elements, which PyTorch checks
        return
    if (x if x._base is None else x._base).is_leaf:
        what = "a leaf Variable" if x._base is None else "a view of a leaf Variable"
        raise RuntimeError(f"{what} that requires grad is being used in an in-place operation")
    if x._is_view() and (made := _creation_meta(x).name) != "DEFAULT":
        raise RuntimeError(
            f"a view that gradients cannot follow ({made}: one of the outputs of unbind, split or "
            "chunk, or made under no_grad or inference_mode, or by a custom Function) cannot be "
            "written in place: clone it"
        )


# --- Memory and modules ------------------------------------------------------------------------

# They buy the use of large memory again: `kernels.memory`.
_storage_address = _found("torch._C:_storage_address")
_use_count = _found("torch._C:_storage_Use_Count")
# Attributes: of a module with hooks, a compiled one, one whose call is compiled; of an operator.
PRE_HOOKS, OTHER_HOOKS, ORIGINAL, COMPILED_CALL, SCHEMA = (
    "_forward_pre_hooks", ("_forward_hooks", "_backward_hooks", "_backward_pre_hooks"),
    "_orig_mod", "_compiled_call_impl", "_schema",
)  # fmt: skip


def _memory_users(x: Tensor) -> int:
    return _use_count(_storage_address(x))


# How many tensors and others lie on a tensor's memory; None where PyTorch does not say.
memory_users = None if None in (_storage_address, _use_count) else _memory_users


def runs_as_it_is(layer: Module, names: Sequence[str], hooked: bool) -> bool:
    """Whether nothing runs before a layer's forward, and its weights of some names are its own.

    Unless it may be `hooked`, nothing must run after it either, forward and backward.
    """
    own = dict(layer.named_parameters(recurse=False, remove_duplicate=False))
    kinds = (PRE_HOOKS, *([] if hooked else OTHER_HOOKS))
    return not any(getattr(layer, kind, True) for kind in kinds) and all(n in own for n in names)


def uncompiled(module: Module) -> Module:
    """The module that torch.compile made this one of, or itself."""
    return getattr(module, ORIGINAL, module)


def written(operator: Any, arguments: Sequence[Any]) -> list[Any]:
    """The arguments that an operator writes into; without its schema, all if its name says so."""
    if (schema := getattr(operator, SCHEMA, None)) is None:
        _, name, overload = str(operator).split(".")  # aten.add_.Tensor, aten.add.out
        writes = name.endswith("_") or overload.endswith("out")
        return [value for value in arguments if writes and isinstance(value, Tensor | list)]
    pairs = zip(schema.arguments, arguments, strict=False)
    return [value for a, value in pairs if a.alias_info and a.alias_info.is_write]


def is_new(operator: Any) -> bool:
    """Whether an operator's result is in memory of its own."""
    schema = getattr(operator, SCHEMA, None)
    return schema is None or not schema.returns[0].alias_info


# --- Operators -----------------------------------------------------------------------------------

_destroy = _found("torch.library:Library._destroy")
_register_effect = _found("torch.library:Library._register_effectful_op")
_ordered = _found("torch._library.effects:EffectType.ORDERED")
_checkpoint = _found("torch.utils.checkpoint:_CachingTorchDispatchMode")
_region = _found("torch._higher_order_ops.invoke_subgraph:InvokeSubgraphAutogradOp.forward")
_functorch = _found("torch._functorch.config")


def take_back(library: Library) -> None:
    """Forget the operators of a library. Without it a module of operators cannot be reloaded."""
    if _destroy is not None:
        library._destroy()


def keep_order(name: str, library: Library) -> None:
    """Have compiled code call an operator as often as eager code does, and in the same order.

    Without it compiled code may draw other seeds than eager code, as good. The gradients of a
    region that is compiled once and used again are lost to PyTorch where it keeps an order: who
    cannot say whether it is in one, does without.
    """
    if None not in (_register_effect, _ordered, _region):
        library._register_effectful_op(name, _ordered)


def save_in_checkpoints(name: str, library: Library) -> bool:
    """Have compiled checkpoints save what an operator returns, in place of calling it again.

    Returns whether they will. Where not, what compiled code draws for backward may be another draw.
    """
    if _checkpoint is None:
        return False

    def saved(mode, op, types, args, kwargs):
        policy, mode.policy_fn = mode.policy_fn, lambda *_, **__: CheckpointPolicy.MUST_SAVE
        try:
            return mode.__torch_dispatch__(op, types, args, kwargs)
        finally:
            mode.policy_fn = policy

    register_torch_dispatch(name, _checkpoint, saved, lib=library)
    return True


def in_region() -> bool:
    """Whether the compiler is in a region that it may use again and that needs gradients."""
    frame = inspect.currentframe() if _region else None
    while frame is not None and frame.f_code is not _region.__code__:
        frame = frame.f_back
    return frame is not None and any(frame.f_locals["ctx"].needs_input_grad)


def memory_budget() -> float:
    """The part of the activations that compiled code may save; below 1 it computes some again."""
    return getattr(_functorch, "activation_memory_budget", 1)
