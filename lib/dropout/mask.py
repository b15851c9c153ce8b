"""The mask contract: which elements a key drops.

Dropout is one coin per element. Here the coin is defined, once, so that every engine can toss the
same one: number the elements of a mask in C order, feed that number and the key to the
counter-based generator Philox4x32-10, and compare the 16 bits that come back with a threshold.
Nothing else enters: no state, no thread, no device, no layout, no data type.

Philox: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral, Real

import numpy as np
from jaxtyping import Bool, Int64, UInt16, UInt32

from dropout.shard import Shard, place, runs

LEVELS = 1 << 16  # a lane has 16 bits, so the rates a mask can realise are t / LEVELS
LANES = 8  # 16-bit lanes in the four 32-bit words of one block
MASK32 = 0xFFFFFFFF


@dataclass(frozen=True)
class MaskKey:
    """The name of one mask: `seed` (64 bits), `stream` for the layer, `step` for the draw (32)."""

    seed: int
    stream: int = 0
    step: int = 0

    def __post_init__(self):
        for name, bits in (("seed", 64), ("stream", 32), ("step", 32)):
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool):
                raise TypeError(f"{name} must be an integer, got {value!r}")
            if not 0 <= int(value) < 1 << bits:
                raise ValueError(f"{name} must be in [0, 2**{bits}), got {value}")
            object.__setattr__(self, name, int(value))


def threshold(p: float) -> int:
    """The number of lane values that drop an element at rate p: t = round(65536 p).

    The rate that is realised is t / 65536, at most 2**-17 from p. Raises TypeError unless p is a
    real number and ValueError unless it is in [0, 1].
    """
    if not isinstance(p, Real) or isinstance(p, bool):
        raise TypeError(f"dropout probability p must be a number in [0, 1], got {p!r}")
    if not 0 <= p <= 1:  # NaN is not, either
        raise ValueError(f"dropout probability p must be in [0, 1], got {p}")
    return round(float(p) * LEVELS)


def realised_rate(p: float) -> float:
    """The drop rate that a mask of rate p has exactly: t / 65536."""
    return threshold(p) / LEVELS


def inverted_scale(p: float) -> float:
    """What survivors are multiplied by, 65536 / (65536 - t), so that E[mask · scale] = 1 exactly.

    With nothing left to scale (t = 65536) it is 0.
    """
    kept = LEVELS - threshold(p)
    return LEVELS / kept if kept else 0.0


def philox4x32(
    counter: UInt32[np.ndarray, "*n 4"], key: tuple[int, int]
) -> UInt32[np.ndarray, "*n 4"]:
    """Ten rounds of Philox on each counter: four random words from four counter words and a key."""
    c0, c1, c2, c3 = np.moveaxis(counter.astype(np.uint64), -1, 0)
    k0, k1 = key
    for _ in range(10):
        a, b = c0 * 0xD2511F53, c2 * 0xCD9E8D57  # 32 x 32 -> 64 bits: nothing overflows
        c0, c1, c2, c3 = b >> 32 ^ c1 ^ k0, b & MASK32, a >> 32 ^ c3 ^ k1, a & MASK32
        k0, k1 = k0 + 0x9E3779B9 & MASK32, k1 + 0xBB67AE85 & MASK32
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def lanes(
    key: MaskKey, starts: Int64[np.ndarray, "runs"], width: int
) -> UInt16[np.ndarray, "runs width"]:
    """The 16 random bits of each of the `width` elements from each start.

    Element i is lane i % 8 of block i // 8: the words of counter (block low, block high, stream,
    step), low half first.
    """
    first, offset = np.divmod(starts, LANES)
    block = first[:, None] + np.arange((width + 2 * LANES - 2) // LANES)
    stream, step = np.full_like(block, key.stream), np.full_like(block, key.step)
    counter = np.stack([block & MASK32, block >> 32, stream, step], axis=-1).astype(np.uint32)
    words = philox4x32(counter, (key.seed & MASK32, key.seed >> 32))
    lane = words.astype("<u4").view("<u2").reshape(len(starts), LANES * block.shape[1])
    return np.take_along_axis(lane, offset[:, None] + np.arange(width), axis=1).astype(np.uint16)


def keep_mask(
    key: MaskKey,
    shape: tuple[int, ...],
    p: float,
    shard: Shard | None = None,
    shared: Sequence[int] = (),
) -> Bool[np.ndarray, "..."]:
    """The mask of a key: True where an element is kept, False where its lane is below threshold(p).

    `shape` is the array's own; with a `shard`, the array's part of the whole mask is drawn. Along
    the axes `shared` one coin decides for all, and the mask has length 1.

    >>> keep_mask(MaskKey(seed=1), (2, 8), p=0.5).astype(int)
    array([[0, 1, 0, 1, 0, 1, 1, 1],
           [0, 1, 1, 1, 0, 0, 0, 1]])
    """
    whole, start = place(shape, shard, shared)
    part = tuple(min(n, 1) if w == 1 else n for n, w in zip(shape, whole, strict=True))
    return (lanes(key, *runs(part, Shard(whole, start))) >= threshold(p)).reshape(part)


def block_covers(length: int, block_size: int) -> Int64[np.ndarray, "..."]:
    """How many blocks cover each place of one axis of a map: n_ij is one axis's times the other's.

    >>> block_covers(6, block_size=3).tolist()
    [1, 2, 3, 3, 2, 1]
    """
    i = np.arange(length)
    return np.minimum(i, length - block_size) - np.maximum(i - block_size + 1, 0) + 1


@lru_cache
def block_threshold(p: float, height: int, width: int, block_size: int) -> int:
    """γ · 2³²: the smallest for which a share p of the map drops, mean_ij 1 - (1 - γ)^n_ij ≥ p.

    >>> block_threshold(0.1, 7, 7, block_size=7) / 2**32  # one block, the map
    0.10000000009313226
    """
    n = np.outer(block_covers(height, block_size), block_covers(width, block_size))
    low, high = 0, 2**32
    while low < high:
        gamma = (low + high) // 2
        with np.errstate(divide="ignore"):  # log 0 where γ = 1
            share = -np.expm1(n * np.log1p(-gamma / 2**32)).mean()
        low, high = (low, gamma) if share >= p else (gamma + 1, high)
    return low
