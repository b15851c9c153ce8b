"""Stochastic depth: examples drop whole, and a branch does not run for those that do."""

import pytest
import torch

from dropout import MaskKey, functional, nn
from tests.statistics import plausible_count

KEY = MaskKey(seed=5)


class Counted(torch.nn.Linear):
    """A linear branch that notes how many examples it gets."""

    def __init__(self):
        super().__init__(3, 3, dtype=torch.double)
        self.seen = []

    def forward(self, x):
        self.seen.append(len(x))
        return super().forward(x)


def residual(p=0.5, n=64):
    """A layer, its branch and an input."""
    torch.manual_seed(3)
    branch = Counted()
    x = torch.randn(n, 5, 3, dtype=torch.double, requires_grad=True)
    return nn.StochasticDepth(branch, p, key=KEY), branch, x


def test_examples_drop_whole_each_by_its_own_coin():
    """Examples kept of 2^15, binomial, false-alarm rate 1e-6."""
    out = functional.drop_path(torch.ones(1 << 15, 2, 3), 0.25).flatten(1)
    kept = out[:, 0] != 0
    assert torch.equal(out, (kept[:, None] / 0.75).expand(out.shape).float())
    assert plausible_count(int(kept.sum()), 1 << 15, 0.75)


def test_rank_one_is_dropout():
    x = torch.linspace(1, 2, 99)
    assert torch.equal(functional.drop_path(x, 0.3, key=KEY), functional.dropout(x, 0.3, key=KEY))


def test_the_branch_runs_for_the_kept_examples_alone_with_the_same_result():
    layer, branch, x = residual()
    out = layer(x)
    out.square().sum().backward()
    found = x.grad, branch.weight.grad, branch.bias.grad
    kept = int((functional.drop_path(torch.ones(64), 0.5, key=KEY) != 0).sum())
    assert branch.seen == [kept]
    assert 0 < kept < 64

    y = x.detach().clone().requires_grad_()
    branch.zero_grad()
    expected = y + functional.drop_path(branch(y), 0.5, key=KEY)
    expected.square().sum().backward()
    torch.testing.assert_close(out, expected, rtol=1e-14, atol=1e-14)
    for a, b in zip(found, (y.grad, branch.weight.grad, branch.bias.grad), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-12)


def test_examples_that_drop_pass_unchanged_to_the_bit():
    layer, _, x = residual()
    dropped = functional.drop_path(torch.ones(64), 0.5, key=KEY) == 0
    out = layer(x)
    assert torch.equal(out[dropped], x[dropped])
    assert not (out[~dropped] == x[~dropped]).any()


def test_at_rate_one_the_branch_never_runs_and_at_zero_and_in_evaluation_always():
    layer, branch, x = residual(p=1.0)
    assert torch.equal(layer(x), x)
    assert branch.seen == []
    assert torch.equal(layer.eval()(x), x + branch(x))
    layer, branch, x = residual(p=0.0)
    assert torch.equal(layer(x), x + branch(x))


@pytest.mark.parametrize("examples", [4, 0])
def test_what_comes_back_may_be_written_where_all_examples_drop(examples):
    layer, _, _ = residual(p=1.0)
    x = -torch.ones(examples, 3).double().requires_grad_()
    layer(x).relu_()
    assert (x == -1).all()
    assert layer(x) is not x


def test_gradients_of_the_skipping_layer_pass_gradcheck():
    layer, _, x = residual(n=4)
    assert torch.autograd.gradcheck(layer, x)
    assert torch.autograd.gradgradcheck(layer, x)


def test_checkpointing_runs_the_branch_for_the_same_examples_again():
    layer, branch, x = residual()
    layer.key = None
    torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=False).sum().backward()
    assert len(branch.seen) == 2
    assert branch.seen[0] == branch.seen[1]


def test_a_branch_of_a_narrower_type_is_joined_in_the_type_of_the_stream():
    layer = nn.StochasticDepth(torch.nn.Linear(3, 3), 0.5, key=KEY)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = layer(torch.ones(8, 3))
    assert out.dtype == torch.float32


@pytest.mark.unchecked
def test_a_scalar_has_no_examples():
    for call in (functional.drop_path, nn.StochasticDepth(torch.nn.Identity())):
        with pytest.raises(ValueError, match=r"x must have a first axis.*shape \(\)"):
            call(torch.tensor(1.0))
