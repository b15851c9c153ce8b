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


def test_it_may_be_resized_like_any_tensor_and_is_then_not_used_again():
    x = torch.ones(1 << 12)
    for resize in (
        lambda out: out.untyped_storage().resize_(0),
        lambda out: out.resize_(1 << 13).fill_(2),
        lambda out: torch.add(torch.ones(1 << 13), 1, out=out.resize_(0)),
        lambda out: out.set_(),
        lambda out: out.share_memory_(),
    ):
        resize(out := memory.empty_like(x))
        address = out.data_ptr()
        del out
        again = memory.empty_like(x)
        assert again.data_ptr() != address
        assert again.untyped_storage().nbytes() == x.nbytes
        assert torch.equal(again.fill_(3), 3 * x)
        memory._kept.clear()


HOLDERS = {
    "view": lambda out: out[5:],
    "detached": lambda out: out.detach(),
    "numpy": lambda out: out.numpy(),
    "dlpack": lambda out: torch.utils.dlpack.to_dlpack(out),
    "storage": lambda out: out.untyped_storage(),
    "python's memory": lambda out: memoryview(out.numpy()),
}


@pytest.mark.parametrize("hold", HOLDERS.values(), ids=HOLDERS)
def test_whatever_holds_the_memory_keeps_it(hold):
    out = memory.empty_like(torch.ones(1 << 12))
    address, holder = out.data_ptr(), hold(out)
    del out
    assert memory.empty_like(torch.ones(1 << 12)).data_ptr() != address
    del holder


def test_a_lazy_clone_keeps_what_it_was():
    out = memory.empty_like(torch.ones(1 << 12)).fill_(7)
    clone = torch._lazy_clone(out)
    del out
    memory.empty_like(torch.ones(1 << 12)).fill_(3)
    memory.empty_like(torch.ones(1 << 12)).fill_(3)
    assert torch.equal(clone, torch.full((1 << 12,), 7.0))


def test_memory_of_inference_serves_training_and_the_other_way_round():
    x = torch.ones(1 << 12)
    with torch.inference_mode():
        first = memory.empty_like(x)
        assert first.is_inference()
        address = first.data_ptr()
        del first
    second = memory.empty_like(x)
    assert (second.data_ptr(), second.is_inference()) == (address, False)
    (second.fill_(2) * torch.ones(1, requires_grad=True)).sum().backward()
    del second
    with torch.inference_mode():
        assert memory.empty_like(x).data_ptr() == address


def test_another_layout_of_as_many_elements_uses_the_same_memory():
    x = torch.ones(4, 8, 16, 32)
    address = memory.empty_like(x).data_ptr()
    other = memory.empty_like(x.to(memory_format=torch.channels_last))
    assert other.data_ptr() == address
    assert other.is_contiguous(memory_format=torch.channels_last)
