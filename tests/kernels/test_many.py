"""One call for many keys drops what a call for each would."""

import numpy as np
import pytest
import torch

from dropout import MaskKey, functional
from dropout.kernels.engines import forced
from dropout.kernels.many import masked_scale
from dropout.mask import inverted_scale, threshold

RATES = [0.0, 2.0**-16, 0.25, 0.5, 0.9, 1.0]
SEEDS = [0, 1, 2**32, 2**63, 2**64 - 1, 12345]


def call(x, widths, rates=RATES):
    thresholds = np.array([threshold(p) for p in rates], np.int32)
    scales = np.array([inverted_scale(p) for p in rates], x.numpy().dtype)
    return masked_scale(x, np.array(SEEDS, np.uint64), np.array(widths), thresholds, scales)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("widths", [[1, 7, 8, 9, 16, 17], [65] * 6, [5000, 4096, 4097, 1, 2, 3]])
@pytest.mark.parametrize("rows", [1, 13, 60])
def test_each_tensor_drops_as_with_its_own_key(dtype, widths, rows):
    x = torch.randn(6, rows, max(widths)).to(dtype)
    out = call(x, widths)
    for k, (width, p) in enumerate(zip(widths, RATES, strict=True)):
        alone = functional.dropout(x[k, :, :width], p, key=MaskKey(SEEDS[k]))
        assert torch.equal(out[k, :, :width], alone)
        assert not out[k, :, width:].any()


def test_without_a_compiler_and_at_any_place_in_memory_they_are_the_same():
    x = torch.randn(6, 20, 30)
    expected = call(x, [30, 1, 7, 8, 9, 29])
    assert torch.equal(call(x.mT.contiguous().mT, [30, 1, 7, 8, 9, 29]), expected)
    with forced("portable"):
        assert torch.equal(call(x, [30, 1, 7, 8, 9, 29]), expected)


def test_one_thread_and_many_draw_the_same():
    x, threads = torch.randn(6, 200, 300), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = call(x, [300] * 6)
        torch.set_num_threads(4)
        assert torch.equal(call(x, [300] * 6), alone)
    finally:
        torch.set_num_threads(threads)


def test_what_is_dropped_is_zero_whatever_it_was():
    x = torch.full((6, 4, 8), torch.nan)
    ones = call(torch.ones_like(x), [8] * 6)
    assert torch.equal(call(x, [8] * 6) == 0, ones == 0)
