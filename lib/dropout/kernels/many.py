"""Masked scale of stacked tensors on the CPU in one call, each with a key and rate of its own."""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from dropout.kernels import loops
from dropout.kernels.threads import spread

PART = 1 << 16  # elements, about: for fewer, waking a thread costs more than it saves


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
    spread(partial(loops.masked_scale_many, *arguments), count, x.numel() // PART)
    return out
