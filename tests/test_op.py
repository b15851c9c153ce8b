"""The operator as PyTorch sees it: dispatcher, autograd, fake tensors, what is saved."""

import pytest
import torch

from dropout import MaskKey, Shard, reference
from dropout.mask import inverted_scale, threshold
from dropout.op import drop, masked_scale

SEED = 2**64 - 3


def op(x, p=0.5, whole=None, start=None):
    whole, start = whole or list(x.shape), start or [0] * x.dim()
    seed = torch.tensor(SEED - 2**64)
    return masked_scale(x, seed, 1, 2, threshold(p), inverted_scale(p), 0.0, 0.0, whole, start)


KEY = MaskKey(SEED, 1, 2)


def a_leaf(*shape):
    return (
        torch.linspace(-2, 2, torch.Size(shape).numel(), dtype=torch.double)
        .view(shape)
        .requires_grad_()
    )


def test_forward_and_backward_are_the_references():
    x, grad = a_leaf(5, 8), torch.arange(40.0, dtype=torch.double).view(5, 8)
    out = op(x, 0.3)
    out.backward(grad)
    assert (
        out.detach().numpy().tolist()
        == reference.dropout(x.detach().numpy(), 0.3, key=KEY).tolist()
    )
    assert x.grad.tolist() == reference.dropout_backward(grad.numpy(), 0.3, key=KEY).tolist()


def test_a_shards_gradient_is_its_part_of_the_whole_gradient():
    whole, part = a_leaf(5, 8), a_leaf(2, 3)
    grad = torch.arange(1.0, 41.0, dtype=torch.double).view(5, 8)
    op(whole).backward(grad)
    op(part, whole=[5, 8], start=[2, 4]).backward(grad[2:4, 4:7])
    assert torch.equal(part.grad, whole.grad[2:4, 4:7])


def test_backward_draws_the_same_mask_for_a_gradient_of_other_strides():
    x, y = a_leaf(4, 6), a_leaf(4, 6)
    grad = torch.arange(24.0, dtype=torch.double).view(6, 4).t()
    op(x).backward(grad)
    op(y).backward(grad.contiguous())
    assert torch.equal(x.grad, y.grad)


@pytest.mark.parametrize("p", [0.3, 1.0])
def test_dropped_elements_get_a_zero_gradient_even_from_inf_and_nan(p):
    for poison in (torch.inf, torch.nan):
        x = torch.full((64,), poison, requires_grad=True)
        out = op(x, p)
        out.backward(torch.full_like(x, poison))
        dropped = torch.from_numpy(
            reference.dropout(torch.ones(64).double().numpy(), p, key=KEY) == 0
        )
        assert torch.equal(out == 0, dropped)
        assert torch.equal(x.grad == 0, dropped)


@pytest.mark.parametrize("p", [0.3, 1.0])
def test_gradients_of_first_and_second_order_pass_gradcheck(p):
    assert torch.autograd.gradcheck(lambda x: op(x, p), a_leaf(3, 5))
    assert torch.autograd.gradgradcheck(lambda x: op(x, p), a_leaf(3, 5))


def test_no_mask_is_stored_for_backward():
    stored = []

    def pack(tensor):
        stored.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        op(a_leaf(64, 64)).sum().backward()
    assert all(tensor.numel() == 1 for tensor in stored)  # a seed at most


# PyTorch's own check reads it, from 2.14 on.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_the_operator_keeps_pytorchs_rules():
    arguments = (torch.tensor(5), 1, 2, 20000, 1.5, 0.0, 0.0, [3, 5], [0, 0])
    for x in (torch.randn(3, 5, requires_grad=True), torch.randn(5, 3).t()):
        checks = torch.library.opcheck(torch.ops.dropout.masked_scale.default, (x, *arguments))
        assert set(checks.values()) == {"SUCCESS"}


@pytest.mark.unchecked
def test_the_operator_stays_whole_in_a_compiled_graph():
    x = torch.linspace(1, 2, 64)
    compiled = torch.compile(op, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x), op(x))


def test_on_meta_tensors_only_shape_and_dtype_are_known():
    out = op(torch.empty(4, 10**9, dtype=torch.half, device="meta"))
    assert (out.shape, out.dtype, out.device.type) == ((4, 10**9), torch.half, "meta")


@pytest.mark.unchecked
def test_a_shard_outside_its_whole_is_refused():
    for whole, start in (([4], [2]), ([4, 4], [0, 0]), ([2], [0])):
        with pytest.raises(ValueError, match=r"a shard of shape \(3,\) at .* does not lie inside"):
            drop(torch.ones(3), 0.5, key=KEY, shard=Shard(tuple(whole), tuple(start)))
