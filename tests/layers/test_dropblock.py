"""DropBlock: the rate asked for, whole blocks, and an expectation that stays everywhere."""

from itertools import product

import numpy as np
import pytest
import torch

from dropout import MaskKey, Shard, functional, nn
from dropout.mask import block_threshold
from tests.statistics import plausible_count, plausible_mean

KEY = MaskKey(seed=5)
MAPS = [(7, 7, 7), (14, 14, 7), (28, 28, 7), (8, 8, 5), (9, 6, 2), (5, 11, 4), (4, 4, 1)]
every_map = pytest.mark.parametrize(("height", "width", "size"), MAPS)


def covering(height, width, size):
    """How many blocks cover each element of a map, counted one by one."""
    n = np.zeros((height, width), int)
    for i, j in product(range(height - size + 1), range(width - size + 1)):
        n[i : i + size, j : j + size] += 1
    return n


@every_map
@pytest.mark.parametrize("p", [1e-6, 0.1, 0.5, 0.99, 1.0])
def test_gamma_makes_the_mean_rate_over_the_map_the_one_asked_for(height, width, size, p):
    gamma = block_threshold(p, height, width, size) / 2**32
    n = covering(height, width, size)
    rate, below = ((1 - (1 - g) ** n).mean() for g in (gamma, max(0, gamma - 2.0**-32)))
    assert abs(rate - p) <= n.mean() * 2.0**-32  # one step of γ, and rounding far below it
    assert below <= p + 1e-12


@every_map
@pytest.mark.parametrize("p", [0.1, 0.5])
def test_maps_lose_the_part_asked_for(height, width, size, p):
    """Mean share of 5 000 maps, normal, false-alarm rate 1e-6; timm drops .93 at 7 x 7, p = .1."""
    out = functional.drop_block2d(torch.ones(50, 100, height, width), p, size)
    share = (out == 0).float().mean(dim=(2, 3)).flatten().double()
    assert plausible_mean(share.mean().item(), p, share.std().item() / len(share) ** 0.5)


@every_map
def test_each_element_drops_at_its_own_rate_and_is_scaled_by_it(height, width, size):
    """5 000 coins at each place, binomial, false-alarm rate 1e-6 each; E = x but for rounding."""
    out = functional.drop_block2d(torch.ones(50, 100, height, width), 0.3, size).double()
    gamma = block_threshold(0.3, height, width, size) / 2**32
    stays = (1 - gamma) ** covering(height, width, size)
    for i, j in product(range(height), range(width)):
        values = out[..., i, j]
        kept = values[values != 0]
        assert plausible_count(len(kept), 5_000, stays[i, j])
        assert np.allclose(kept.numpy() * stays[i, j], 1, rtol=2.0**-24, atol=0)


@every_map
def test_whatever_drops_lies_in_a_block_that_drops_whole(height, width, size):
    out = functional.drop_block2d(torch.ones(4, 8, height, width), 0.3, size, key=KEY)
    dropped = (out == 0).float().flatten(0, 1)
    corners = -torch.nn.functional.max_pool2d(-dropped, size, stride=1)  # 1 where all of it drops
    whole = torch.nn.functional.conv_transpose2d(corners[:, None], torch.ones(1, 1, size, size)) > 0
    assert torch.equal(whole[:, 0], dropped > 0)
    assert dropped.any()


def test_a_block_as_large_as_the_map_drops_it_whole_or_not_at_all():
    """Maps kept of 2^14, binomial, false-alarm rate 1e-6."""
    out = functional.drop_block2d(torch.ones(256, 64, 5, 5), 0.25, 5).flatten(2)
    kept = out[..., 0] != 0
    assert torch.equal(out, (kept[..., None] / 0.75).expand(out.shape).float())
    assert plausible_count(int(kept.sum()), kept.numel(), 0.75)


def test_channels_have_their_own_blocks_or_those_of_their_example():
    own = functional.drop_block2d(torch.ones(2, 32, 6, 6), 0.4, 3, key=KEY)
    shared = functional.drop_block2d(torch.ones(2, 32, 6, 6), 0.4, 3, per_channel=False, key=KEY)
    assert not torch.equal(own[:, 0], own[:, 1])
    assert torch.equal(shared, shared[:, :1].expand(shared.shape))
    assert not torch.equal(shared[0], shared[1])
    lone = functional.drop_block2d(torch.ones(2, 1, 6, 6), 0.4, 3, key=KEY)
    assert torch.equal(shared[:, :1], lone)


def test_one_example_drops_the_same_alone_and_in_any_batch():
    batch = torch.rand(6, 3, 8, 8)
    whole = functional.drop_block2d(batch, 0.3, 3, key=KEY)
    shard = Shard((6, 3, 8, 8), (4, 0, 0, 0))
    assert torch.equal(
        functional.drop_block2d(batch[4:5], 0.3, 3, key=KEY, shard=shard), whole[4:5]
    )
    assert torch.equal(functional.drop_block2d(batch[:2], 0.3, 3, key=KEY), whole[:2])


@pytest.mark.unchecked
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", [8, 9, 100])
def test_a_block_larger_than_the_map_is_named_with_the_map(size, training):
    with pytest.raises(ValueError, match=f"block_size must be.*got {size} for a map of 7 x 9"):
        functional.drop_block2d(torch.ones(1, 1, 7, 9), 0.1, size, training)


@pytest.mark.unchecked
@pytest.mark.parametrize("size", [0, -1, 2.0, "3", True, None])
def test_a_block_size_that_is_none_is_named(size):
    for call in (
        lambda: functional.drop_block2d(torch.ones(1, 1, 7, 9), 0.1, size),
        lambda: nn.DropBlock2d(0.1, size),
    ):
        with pytest.raises(
            ValueError, match=f"block_size must be a positive integer, got {size!r}"
        ):
            call()


@pytest.mark.unchecked
@pytest.mark.parametrize("rank", [1, 2, 5])
def test_what_is_no_map_is_refused(rank):
    with pytest.raises(ValueError, match=r"x must be \(N, C, H, W\) or \(C, H, W\), got shape"):
        functional.drop_block2d(torch.ones([3] * rank), 0.1, 1)
