"""Masked scale of stacked tensors in one call, each with a key and rate of its own.

On the CPU one compiled loop does them all; elsewhere, and without a compiler, each has its turn.
"""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from dropout.kernels.engines import engine_of
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

    x, of shape (tensors, rows, widest), is in float32 or float64, as the scales are.
    """
    x, engine = x.contiguous(), engine_of(x.device)
    out, run = torch.empty_like(x), None
    if hasattr(engine, "code"):  # Numba's alone has it
        run = engine.code(engine.loops.masked_scale_many, x.dtype)
    if run is not None:
        arguments = (x.numpy(), out.numpy(), seeds, widths, thresholds, scales)
        spread(partial(run, *arguments), len(x), x.numel() // PART)
        return out
    out.zero_()
    for k, (seed, width) in enumerate(zip(seeds.astype(np.int64), widths, strict=True)):
        part, numbers = x[k, :, :width], (int(thresholds[k]), float(scales[k]), 0.0, 0.0)
        window = tuple(part.shape), (0, 0)
        engine.masked_scale(part, out[k, :, :width], int(seed), 0, 0, *numbers, *window)
    return out
