"""Dropout: one coin for each element (Srivastava et al., 2014)."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from dropout.layers.base import Keyed, overridable
from dropout.mask import MaskKey
from dropout.op import drop
from dropout.shard import Shard


@overridable
def dropout(
    input: Float[Tensor, "*shape"],
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: MaskKey | None = None,
    generator: Generator | None = None,
    shard: Shard | None = None,
) -> Float[Tensor, "*shape"]:
    """Drop each element with probability p and multiply the others by 1/(1 - p).

    p is the drop rate; the one realised is `dropout.mask.realised_rate(p)`. Which elements drop is
    settled by `key`, or by a seed drawn from `generator` (default: PyTorch's CPU generator, which
    `torch.manual_seed` governs). Activation checkpointing, which runs the function again in
    backward, gives PyTorch's own generators their state back, and no other: there use a key, or
    PyTorch's. With a `shard`, the input is a part of a larger tensor and drops what that tensor
    would drop there. A DTensor needs a key, and each of its processes drops its own part. With
    `training=False`, or nothing to drop, the input itself comes back, whatever tensor it is.

    Raises TypeError for a tensor that is to drop and not dense and floating point, ValueError for p
    outside [0, 1].
    Source: Srivastava et al. (2014), section 10.

    >>> x = torch.ones(2, 8)
    >>> dropout(x, p=0.5, key=MaskKey(seed=1))
    tensor([[0., 2., 0., 2., 0., 2., 2., 2.],
            [0., 2., 2., 2., 0., 0., 0., 2.]])
    """
    return drop(
        input, p, training=training, inplace=inplace, key=key, generator=generator, shard=shard
    )


class Dropout(Keyed, torch.nn.Dropout):
    """`torch.nn.Dropout` with the library's masks: its arguments, then where the coins come from.

    Each forward in training drops anew, from a seed drawn from `generator` (default: PyTorch's CPU
    generator). With a `key` it drops what the key names, the same in every forward until
    `self.key` is replaced. In evaluation it is the identity. Under activation checkpointing give it
    a key or leave it PyTorch's generator: one of its own is not put back for the second run.

    >>> layer = Dropout(p=0.5, key=MaskKey(seed=1)).train()
    >>> layer(torch.ones(2, 8))
    tensor([[0., 2., 0., 2., 0., 2., 2., 2.],
            [0., 2., 2., 2., 0., 0., 0., 2.]])
    """

    function = staticmethod(dropout)
    elementwise = True
