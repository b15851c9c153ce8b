"""What the layers are built on: a checked rate, and a say in where their coins come from."""

import torch
from torch import Generator
from torch.nn.modules.dropout import _DropoutNd

from dropout.mask import MaskKey, threshold


class CoinLayer(torch.nn.Module):
    """A module with a drop rate p and a source of coins: a key, or a generator of seeds."""

    def __init__(self, p: float, key: MaskKey | None, generator: Generator | None) -> None:
        threshold(p)  # refuses a bad rate here rather than at the first forward
        super().__init__()
        self.p = p
        self.key = key
        self.generator = generator

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Keyed(_DropoutNd):
    """The same for the layers that torch.nn has: its arguments first, then the source of coins.

    Stands before the class of `torch.nn` among the bases of ours.
    """

    def __init__(
        self,
        p: float = 0.5,
        inplace: bool = False,
        *,
        key: MaskKey | None = None,
        generator: Generator | None = None,
    ) -> None:
        threshold(p)
        super().__init__(p, inplace)
        self.key = key
        self.generator = generator
