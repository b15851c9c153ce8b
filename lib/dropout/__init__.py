"""Dropout: one coin per element, the same in every engine.

`functional` and `nn` read like their namesakes in PyTorch, `reference` is the same in NumPy, and
`mask` defines the coin that all of them toss.
"""

from dropout.mask import MaskKey
from dropout.shard import Shard

__all__ = ["MaskKey", "Shard"]
