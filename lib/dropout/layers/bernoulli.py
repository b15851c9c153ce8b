"""Dropout: one coin for each element (Srivastava et al., 2014)."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from dropout.mask import MaskKey, Shard, inverted_scale, threshold
from dropout.op import masked_scale


def dropout(
    x: Float[Tensor, "*shape"],
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
    `torch.manual_seed` governs). With a `shard`, x is a part of a larger tensor and drops what that
    tensor would drop there. With `training=False`, or nothing to drop, x itself comes back.

    Raises TypeError for a tensor that is not floating point, ValueError for p outside [0, 1].
    Source: Srivastava et al. (2014), section 10.

    >>> x = torch.ones(2, 8)
    >>> dropout(x, p=0.5, key=MaskKey(seed=1))
    tensor([[0., 2., 0., 2., 0., 2., 2., 2.],
            [0., 2., 2., 2., 0., 0., 0., 2.]])
    """
    t = threshold(p)
    if not isinstance(x, Tensor) or not x.is_floating_point():
        kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"dropout needs a floating-point tensor, got {kind}")
    for name, value, kind in (
        ("key", key, MaskKey),
        ("generator", generator, Generator),
        ("shard", shard, Shard),
    ):
        if value is not None and not isinstance(value, kind):
            raise TypeError(f"{name} must be a {kind.__name__}, got {value!r}")
    if key is not None and generator is not None:
        raise ValueError("give a key or a generator, not both: a key needs no generator")
    if not training or t == 0:
        return x
    whole, start = (x.shape, [0] * x.dim()) if shard is None else (shard.shape, shard.start)
    stream, step = (0, 0) if key is None else (key.stream, key.step)
    seed = draw_seed(generator) if key is None else seed_tensor(key)
    out = masked_scale(x, seed, stream, step, t, inverted_scale(p), whole, start)
    return x.copy_(out) if inplace else out


def draw_seed(generator: Generator | None = None) -> Tensor:
    """A seed of 64 random bits from a CPU generator (default: PyTorch's own), as a 0-d tensor."""
    if generator is not None and generator.device.type != "cpu":
        raise ValueError(f"generator must be on the CPU, got one on {generator.device}")
    seed = torch.empty((), dtype=torch.int64, device="cpu")
    return seed.random_(-(2**63), None, generator=generator)


def seed_tensor(key: MaskKey) -> Tensor:
    """The 64 bits of a key's seed as a 0-d int64 tensor."""
    signed = key.seed - 2**64 if key.seed >= 2**63 else key.seed
    return torch.tensor(signed, dtype=torch.int64, device="cpu")


class Dropout(torch.nn.Dropout):
    """`torch.nn.Dropout` with the library's masks: its arguments, then where the coins come from.

    Each forward in training drops anew, from a seed drawn from `generator` (default: PyTorch's CPU
    generator). With a `key` it drops what the key names, the same in every forward until
    `self.key` is replaced. In evaluation it is the identity.

    >>> layer = Dropout(p=0.5, key=MaskKey(seed=1)).train()
    >>> layer(torch.ones(2, 8))
    tensor([[0., 2., 0., 2., 0., 2., 2., 2.],
            [0., 2., 2., 2., 0., 0., 0., 2.]])
    """

    def __init__(
        self,
        p: float = 0.5,
        inplace: bool = False,
        *,
        key: MaskKey | None = None,
        generator: Generator | None = None,
    ) -> None:
        threshold(p)  # refuses a bad rate here rather than at the first forward
        super().__init__(p, inplace)
        self.key = key
        self.generator = generator

    def forward(self, input: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return dropout(
            input, self.p, self.training, self.inplace, key=self.key, generator=self.generator
        )
