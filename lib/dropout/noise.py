"""Noise that is more than a coin: x times a factor, drawn by a law from 32-bit words of the key.

Word i of a mask is word i % 4 of Philox block i // 4, the same words whose halves are the coins'
lanes. Whatever the law, the product is linear in x with a diagonal matrix: its derivative is the
operator again, to any order, and no factor is stored.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

from dropout.kernels.engines import engine_of
from dropout.mask import MaskKey
from dropout.op import coins, library, sampler, seed_tensor

# By name: (x, seed, stream, step, numbers, whole, start) -> x times its factors, laid out as x.
# A module that is loaded anew keeps them: layers enter their own only when they are loaded.
LAWS: dict[str, Callable[..., Tensor]] = globals().get("LAWS", {})


def multiply(
    x: Tensor,
    law: str,
    numbers: Sequence[float],
    whole: Sequence[int],
    start: Sequence[int],
    key: MaskKey | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """x times the factors that a law with certain numbers draws by the key, or by a new seed.

    `whole` is the shape of the mask that x is at `start` of, 1 where factors are shared.
    """
    seed, *rest = coins(key, generator, x)
    return _multiply(x, seed_tensor(seed), *rest, law, numbers, whole, start)


def affine(
    x: Tensor,
    seed: int,
    stream: int,
    step: int,
    normal: bool,
    bias: float,
    gain: float,
    whole: Sequence[int],
    start: Sequence[int],
) -> Tensor:
    """x (bias + gain z) for a z that is an element's own, `normal` or uniform in (-1, 1)."""
    engine = engine_of(x.device)
    out = engine.empty_like(x)
    engine.noise(x, out, seed, stream, step, normal, bias, gain, whole, start)
    return out


_library = library("FRAGMENT")
_library.define(
    "multiply(Tensor x, Tensor seed, SymInt stream, SymInt step, str law, float[] numbers, "
    "SymInt[] whole, SymInt[] start) -> Tensor"
)


def _kernel(x, seed, stream, step, law, numbers, whole, start):
    if not x.numel():
        return torch.empty_like(x)
    return LAWS[law](x, int(seed), stream, step, numbers, tuple(whole), tuple(start))


_library.impl("multiply", _kernel, "CompositeExplicitAutograd")
torch.library.register_fake("dropout::multiply", lambda x, *_: torch.empty_like(x), lib=_library)


def _multiply(x: Tensor, *rest) -> Tensor:
    if torch.compiler.is_compiling():
        return torch.ops.dropout.multiply(x, *rest)
    if (sampling := sampler()) is not None:
        return sampling.draw(_multiply, x, *rest)
    return _Multiply.apply(x, *rest)


def _setup_context(ctx, inputs, output):
    _, seed, *ctx.rest = inputs
    ctx.save_for_backward(seed)
    ctx.save_for_forward(seed)


def _backward(ctx, grad):
    return _multiply(grad, *ctx.saved_tensors, *ctx.rest), *[None] * (1 + len(ctx.rest))


def _batched(info, in_dims, x, seed, *rest):
    if in_dims[1] is None:  # one seed: the examples share their factors
        *first, whole, start = rest
        return _multiply(x.movedim(in_dims[0], 0), seed, *first, [1, *whole], [0, *start]), 0
    examples = [x] * info.batch_size if in_dims[0] is None else x.unbind(in_dims[0])
    outs = [_multiply(a, s, *rest) for a, s in zip(examples, seed.unbind(), strict=True)]
    return torch.stack(outs), 0


class _Multiply(torch.autograd.Function):
    """The operator outside the compiler: forward mode too, which a registered operator has not."""

    @staticmethod
    def forward(*inputs):
        return torch.ops.dropout.multiply(*inputs)

    setup_context = staticmethod(_setup_context)
    backward = staticmethod(_backward)
    vmap = staticmethod(_batched)

    @staticmethod
    def jvp(ctx, tangent, *_):
        return _multiply(tangent, *ctx.saved_tensors, *ctx.rest)


torch.library.register_autograd(
    "dropout::multiply", _backward, setup_context=_setup_context, lib=_library
)
torch.library.register_vmap("dropout::multiply", _batched, lib=_library)
