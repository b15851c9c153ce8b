"""Masked scale of stacked tensors on the CPU in one call, each with a key and rate of its own."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from dropout.kernels import loops
from dropout.kernels.cpu import pool

PART = 1 << 16  # elements, about: for fewer, waking a thread costs more than it saves


def _parts(arguments: tuple, parts: Iterator[tuple[int, int]]) -> None:
    """Parts, until there are no more: a thread that is held up leaves them to the others."""
    for part in parts:
        loops.masked_scale_many(*arguments, *part)


def masked_scale(
    x: Tensor,
    seeds: np.ndarray,
    widths: np.ndarray,
    thresholds: np.ndarray,
    scales: np.ndarray,
) -> Tensor:
    """x[k, :, : widths[k]] as MaskKey(seeds[k]) drops and scales it, for each k, and 0 beyond.

    x, of shape (tensors, rows, widest), is contiguous and in float32 or float64; so are the scales.
    """
    out, count = torch.empty_like(x), len(x)
    arguments = (x.numpy(), out.numpy(), seeds, widths, thresholds, scales)
    pieces = max(1, min(count, x.numel() // PART))
    parts = iter(list(pairwise(count * n // pieces for n in range(pieces + 1))))
    helpers = range(min(torch.get_num_threads(), pieces) - 1)
    others = [pool().submit(_parts, arguments, parts) for _ in helpers]
    _parts(arguments, parts)
    for other in others:
        other.cancel() or other.result()
    return out
