"""Hypothesis strategies that the tests share: everything that a mask can be asked for."""

from itertools import pairwise, product

import torch
from hypothesis import strategies as st

from dropout.mask import MaskKey
from dropout.shard import Shard


def words(bits: int) -> st.SearchStrategy[int]:
    """Unsigned integers of so many bits, the extremes and the sign bit often."""
    edges = [0, 1, 2 ** (bits - 1) - 1, 2 ** (bits - 1), 2**bits - 1]
    return st.one_of(st.sampled_from(edges), st.integers(0, 2**bits - 1))


keys = st.builds(MaskKey, seed=words(64), stream=words(32), step=words(32))
rates = st.one_of(st.sampled_from([0.0, 2.0**-17, 2.0**-16, 0.5, 1.0]), st.floats(0.0, 1.0))
shapes = st.lists(st.integers(0, 7), max_size=4).map(tuple)
dtypes = st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64])


@st.composite
def tilings(draw, shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
    """Cuts of every axis of `shape`: tiles that cover it once, some of them empty."""
    axes = []
    for n in shape:
        cuts = sorted(draw(st.lists(st.integers(0, n), max_size=2)))
        axes.append([slice(a, b) for a, b in pairwise([0, *cuts, n])])
    return list(product(*axes))


def shard(whole: tuple[int, ...], tile: tuple[slice, ...]) -> Shard:
    """The place of a tile in its whole."""
    return Shard(whole, tuple(cut.start for cut in tile))
