"""Noise that is more than a coin: x times a factor, drawn by a law from 32-bit words of the key.

Word i of a mask is word i % 4 of Philox block i // 4, the same words whose halves are the coins'
lanes. Whatever the law, the product is linear in x with a diagonal matrix: its derivative is the
operator again, to any order, and no factor is stored.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Int64
from torch import Generator, Tensor

from dropout.kernels.portable import philox4x32
from dropout.mask import MASK32, MaskKey
from dropout.op import coins, seed_tensor

# By name: (x, seed, stream, step, numbers, whole, start) -> x times its factors.
LAWS: dict[str, Callable[..., Tensor]] = {}


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
    seed, *rest = coins(key, generator)
    return _multiply(x, seed_tensor(seed), *rest, law, numbers, whole, start)


def words(
    seed: int, stream: int, step: int, starts: Int64[Tensor, "runs"], width: int
) -> Int64[Tensor, "runs width"]:
    """The 32-bit word of each of the `width` elements from each start."""
    block = (starts // 4)[:, None] + torch.arange((width + 6) // 4, device=starts.device)
    stream_of, step_of = torch.full_like(block, stream), torch.full_like(block, step)
    counter = (block & MASK32, block >> 32, stream_of, step_of)
    four = torch.stack(philox4x32(counter, (seed & MASK32, seed >> 32 & MASK32)), dim=-1)
    place = (starts % 4)[:, None] + torch.arange(width, device=starts.device)
    return four.flatten(1).gather(1, place)


_library = torch.library.Library("dropout", "FRAGMENT")
_library.define(
    "multiply(Tensor x, Tensor seed, SymInt stream, SymInt step, str law, float[] numbers, "
    "SymInt[] whole, SymInt[] start) -> Tensor"
)


def _kernel(x, seed, stream, step, law, numbers, whole, start):
    out = torch.empty_like(x)
    if x.numel():
        out.copy_(LAWS[law](x, int(seed), stream, step, numbers, tuple(whole), tuple(start)))
    return out


_library.impl("multiply", _kernel, "CompositeExplicitAutograd")
torch.library.register_fake("dropout::multiply", lambda x, *_: torch.empty_like(x), lib=_library)


def _multiply(x: Tensor, *rest) -> Tensor:
    if torch.compiler.is_compiling():
        return torch.ops.dropout.multiply(x, *rest)
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
