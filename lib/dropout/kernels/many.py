"""Masked scale of stacked tensors on the CPU in one call, each with a key and rate of its own."""

from collections.abc import Iterator
from itertools import pairwise

import numba
import numpy as np
import torch
from torch import Tensor

from dropout.kernels.cpu import pool
from dropout.kernels.loops import draw

COINS = 1 << 12  # at least one row, else at most so many, are drawn at a time
PART = 1 << 16  # elements, about: for fewer, waking a thread costs more than it saves


@numba.njit(nogil=True, cache=True)
def _masked_scale(x, out, seeds, widths, thresholds, scales, begin, end):
    _, rows, stride = x.shape
    x, out = x.reshape(-1), out.reshape(-1)
    for k in range(begin, end):
        width, threshold, scale = widths[k], thresholds[k], scales[k]
        tall = max(1, COINS // width)
        words = np.empty(tall * width // 4 + 4, np.uint64)
        lanes = words.view(np.uint16)
        for top in range(0, rows, tall):
            high, coin = min(tall, rows - top), top * width
            offset = coin % 8
            blocks = (offset + high * width + 7) // 8
            draw(words[: 2 * blocks], coin // 8, seeds[k], 0, 0)
            for row in range(high):
                at, lane = ((k * rows) + top + row) * stride, lanes[offset + row * width :]
                source, target = x[at : at + stride], out[at : at + stride]
                for unit in range(width):
                    keep = np.int32(lane[unit]) >= threshold
                    target[unit] = source[unit] * scale if keep else 0
                target[width:] = 0


def _parts(arguments: tuple, parts: Iterator[tuple[int, int]]) -> None:
    """Parts, until there are no more: a thread that is held up leaves them to the others."""
    for part in parts:
        _masked_scale(*arguments, *part)


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
