"""What PyTorch is told: operators for its dispatcher, autograd, torch.func, vmap and compiler.

What dropout does to a tensor is affine in it with a diagonal matrix, which is drawn anew wherever
it is needed. So the derivative is an operator of the same kind, to any order, and all that PyTorch
asks of one is written here once.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.compiler import is_compiling
from torch.library import Library, register_autograd, register_fake, register_vmap
from torch.nn import Parameter

from dropout.coins import empty_seeds, filled, sampler, seed_tensor, watched
from dropout.torch_private import (
    has_storage,
    in_region,
    keep_order,
    may_have_tangent,
    memory_budget,
    quick_apply,
    save_in_checkpoints,
    take_back,
)

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def readable(x: Tensor) -> bool:
    """Whether an engine may read x's memory: PyTorch does not look on, and x is what lies there.

    Other tensors (of a subclass, lazily negated, unfit) go by way of the dispatcher.
    """
    kind = type(x)
    return (
        (kind is Tensor or kind is Parameter)
        and not watched()
        and x.dtype in DTYPES
        and has_storage(x)
        and not (x.is_nested or x.is_neg())
        and (x.data_ptr() != 0 or not x.numel())  # else PyTorch's stand-in for zeros
    )


def library(name: str) -> Library:
    """A library for one operator, in place of the one that an earlier import made.

    PyTorch keeps operators apart from the modules that define them: a module that is loaded anew
    has to take back what it registered.
    """
    libraries = vars(torch.ops.dropout).setdefault("_libraries", {})
    if name in libraries:
        take_back(libraries[name])
    libraries[name] = Library("dropout", "FRAGMENT")
    return libraries[name]


def diagonal(
    name: str,
    arguments: str,
    run: Callable[[Tensor, tuple, bool], Tensor],
    linear: Callable[[tuple], tuple],
) -> Callable[..., Tensor]:
    """Register the operator `dropout::name(x, *coins)`, and give what applies it.

    The coins are seed, stream, step, then what `arguments` declares, then whole and start: the
    shape of the mask that x is at `start` of. `run(x, coins, inplace)` computes it where x's memory
    may be read, `linear(coins)` are those of its derivative.

    What comes back is `apply(x, coins, inplace, direct)`, where `direct` is whether x is readable.
    """
    qualified, lib = f"dropout::{name}", library(name)
    lib.define(
        f"{name}(Tensor x, Tensor seed, SymInt stream, SymInt step, {arguments}, "
        "SymInt[] whole, SymInt[] start) -> Tensor"
    )

    def apply(x: Tensor, coins: tuple, inplace: bool, direct: bool) -> Tensor:
        if direct:
            if x.requires_grad or may_have_tangent():
                return eager(x, coins, inplace)
            out = run(x, coins, inplace)
            if inplace:
                torch.autograd.graph.increment_version(x)
            return out
        if (sampling := sampler()) is not None:
            return sampling.draw(call, x, *coins)
        operator = getattr(torch.ops.dropout, name) if is_compiling() else Transformed.apply
        out = operator(x, seed_tensor(coins[0]), *coins[1:])
        return x.copy_(out) if inplace else out

    def call(x: Tensor, seed: Tensor | int, *rest: Any) -> Tensor:
        if direct := readable(x):
            *numbers, whole, start = rest  # which the dispatcher and saved tensors make lists
            seed, rest = int(seed), (*numbers, tuple(whole), tuple(start))
        return apply(x, (seed, *rest), False, direct)

    def kernel(x, seed, *rest):
        *numbers, whole, start = rest
        return run(x, (int(seed), *numbers, tuple(whole), tuple(start)), False)

    def remember(ctx, inputs, output):
        _, seed, *rest = inputs
        _, *ctx.rest = linear((seed, *rest))
        ctx.save_for_backward(seed)
        ctx.save_for_forward(seed)

    def gradient(ctx, grad):
        return call(grad, *ctx.saved_tensors, *ctx.rest), *[None] * (1 + len(ctx.rest))

    def batched(info, in_dims, x, seed, *rest):
        if in_dims[1] is None:  # one seed: the examples share their coins
            *numbers, whole, start = rest
            return call(x.movedim(in_dims[0], 0), seed, *numbers, [1, *whole], [0, *start]), 0
        examples = [x] * info.batch_size if in_dims[0] is None else x.unbind(in_dims[0])
        outs = [call(a, s, *rest) for a, s in zip(examples, seed.unbind(), strict=True)]
        return torch.stack(outs), 0

    class Transformed(Function):
        """The operator under torch.func: forward mode too, which a registered one has not."""

        setup_context = staticmethod(remember)
        backward = staticmethod(gradient)
        vmap = staticmethod(batched)

        @staticmethod
        def forward(*inputs):
            return getattr(torch.ops.dropout, name)(*inputs)

        @staticmethod
        def jvp(ctx, tangent, *_):
            return call(tangent, *ctx.saved_tensors, *ctx.rest)

    class Eager(Function):
        """The operator in plain eager mode, at a third of the cost of `Transformed`."""

        @staticmethod
        def forward(ctx, x, coins, inplace):
            ctx.coins, ctx.inplace = linear(coins), inplace
            if inplace:
                ctx.mark_dirty(x)
            return run(x, coins, inplace)

        @staticmethod
        def backward(ctx, grad):
            return apply(grad, ctx.coins, False, readable(grad)), None, None

        @staticmethod
        def jvp(ctx, tangent, *_):
            return apply(tangent, ctx.coins, ctx.inplace, readable(tangent))

    eager = quick_apply(Eager)
    lib.impl(name, kernel, "CompositeExplicitAutograd")
    register_fake(qualified, lambda x, *_: torch.empty_like(x), lib=lib)
    register_autograd(qualified, gradient, setup_context=remember, lib=lib)
    register_vmap(qualified, batched, lib=lib)
    return apply


# --- The drawing of seeds ------------------------------------------------------------------------

# A seed for each of the examples in the batch of `carrier`, an empty vector; without it, one.
_library = library("draw_seed")
_library.define("draw_seed(Tensor? carrier) -> Tensor", tags=torch.Tag.nondeterministic_seeded)


def _room(carrier: Tensor | None) -> Tensor:
    return empty_seeds(() if carrier is None else carrier.shape[:-1])


def _draw(carrier: Tensor | None) -> Tensor:
    return filled(_room(carrier))


def _fake(carrier: Tensor | None) -> Tensor:
    if not _is_saved:
        raise RuntimeError(
            "dropout cannot draw seeds in code that is compiled by this PyTorch: give it a key, as "
            "dropout.seeding.seeded does"
        )
    if memory_budget() < 1:  # PyTorch would draw others in backward, or fail
        raise RuntimeError(
            "dropout cannot draw seeds in code that is compiled with an activation_memory_budget "
            "below 1: give it a key, as dropout.seeding.seeded does"
        )
    if in_region():  # PyTorch loses the gradients of one that is used again and keeps an order
        raise RuntimeError(
            "dropout cannot draw seeds in a torch.compiler.nested_compile_region that is to be "
            "differentiated: give it a key, as dropout.seeding.seeded does"
        )
    return _room(carrier)


def _batched(info, in_dims, carrier):
    return torch.ops.dropout.draw_seed(carrier.movedim(in_dims[0], 0)), 0


_library.impl("draw_seed", _draw, "CompositeExplicitAutograd")
register_fake("dropout::draw_seed", _fake, lib=_library)
register_vmap("dropout::draw_seed", _batched, lib=_library)
_is_saved = save_in_checkpoints("dropout::draw_seed", _library)
# Draws in compiled code keep the order they have in eager mode, and with it their seeds.
keep_order("dropout::draw_seed", _library)
