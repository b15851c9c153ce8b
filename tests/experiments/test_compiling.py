"""The study of compiled dropout tells equal masks from others, and counts bytes."""

import torch
from torch.nn.functional import dropout

from dropout.experiments.compiling import observed


def test_one_seed_gives_one_mask_and_its_bytes():
    seen = [observed(lambda x: dropout(x, 0.5), number, torch.float32) for number in (1, 1, 2)]
    assert torch.equal(seen[0]["zero"], seen[1]["zero"])
    assert not torch.equal(seen[0]["zero"], seen[2]["zero"])
    assert seen[0]["kept"] == 4 * seen[0]["zero"].numel()
    assert seen[0]["same in backward"]
    assert abs(seen[0]["pairs"] - 0.25) < 0.01


def test_another_mask_in_backward_is_seen():
    class Other(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return dropout(x, 0.5)

        @staticmethod
        def backward(ctx, grad):
            return dropout(grad, 0.5)

    assert not observed(Other.apply, 1, torch.float32)["same in backward"]
