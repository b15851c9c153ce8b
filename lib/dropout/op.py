"""The one operator: masked scale, known to PyTorch's dispatcher and to autograd."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dropout.kernels import portable
from dropout.mask import Shard


@torch.library.custom_op("dropout::masked_scale", mutates_args=())
def masked_scale(
    x: Tensor,
    seed: Tensor,
    stream: int,
    step: int,
    threshold: int,
    scale: float,
    whole: Sequence[int],
    start: Sequence[int],
) -> Tensor:
    """x · scale where the key's lane reaches `threshold`, 0 elsewhere; shape and dtype are x's.

    `seed` is a 0-d int64 tensor on the CPU whose 64 bits are the key's seed, so that drawing one
    never waits for a device. `whole` and `start` place x in the mask (`dropout.mask.Shard`).
    """
    shard = Shard(tuple(whole), tuple(start))
    return portable.masked_scale(x, int(seed), stream, step, threshold, scale, shard)


@masked_scale.register_fake
def _(x, seed, stream, step, threshold, scale, whole, start):
    return torch.empty_like(x)


def _remember_key(ctx, inputs, output):
    _, seed, *ctx.rest = inputs
    ctx.save_for_backward(seed)


def _backward(ctx, grad):
    # The operator is linear and its matrix diagonal: it is its own backward, to any order. The
    # mask is drawn again from the key, so that none is stored.
    (seed,) = ctx.saved_tensors
    return masked_scale(grad, seed, *ctx.rest), *[None] * (1 + len(ctx.rest))


masked_scale.register_autograd(_backward, setup_context=_remember_key)
