"""Large results get memory that an earlier one has left, and never what is still in use."""

import copy

import pytest
import torch

from dropout import MaskKey, functional
from dropout.kernels import memory


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch):
    monkeypatch.setattr(memory, "LARGE", 1 << 12)
    memory._kept.clear()
    yield
    memory._kept.clear()


def test_memory_is_reused_once_the_last_tensor_on_it_is_gone():
    x = torch.ones(1 << 12)
    first = memory.empty_like(x)
    address, view = first.data_ptr(), first[:1]
    del first
    second = memory.empty_like(x)
    assert second.data_ptr() != address
    del view
    assert memory.empty_like(x).data_ptr() == address


def test_what_autograd_and_numpy_hold_is_in_use():
    x = torch.ones(1 << 12, requires_grad=True)
    out = functional.dropout(x, key=MaskKey(1))
    squared, array = out.square(), functional.dropout(x.detach(), key=MaskKey(2)).numpy()
    expected = array.copy()
    del out
    for seed in range(4):
        functional.dropout(torch.full_like(x, 5.0), key=MaskKey(seed))
    squared.sum().backward()
    keep = functional.dropout(torch.ones(1 << 12), key=MaskKey(1))
    assert torch.equal(x.grad, 4 * keep)
    assert (array == expected).all()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_it_lies_as_torch_lays_it_and_may_be_changed_copied_and_shared(dtype, layout):
    x = torch.ones(4, 8, 16, 32, dtype=dtype).contiguous(memory_format=layout)
    out = memory.empty_like(x)
    assert out.stride() == torch.empty_like(x).stride()
    assert out.dtype == dtype
    assert not out._is_view()
    out.fill_(3).add_(1)
    assert torch.equal(copy.deepcopy(out), torch.full_like(x, 4))
    assert torch.equal(out.share_memory_(), torch.full_like(x, 4))


def test_no_more_is_kept_than_two_blocks():
    results = [memory.empty_like(torch.ones(1 << 12)) for _ in range(5)]
    del results
    assert len(memory._kept) == 2
