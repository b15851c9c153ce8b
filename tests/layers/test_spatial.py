"""Channel dropout: who shares a coin at each rank, and what PyTorch warns of."""

import warnings

import pytest
import torch

from dropout import MaskKey, functional, nn
from tests.statistics import plausible_count

KEY = MaskKey(seed=5)
LAYERS = [nn.Dropout1d, nn.Dropout2d, nn.Dropout3d]


def map_of(rank, n=2000, channels=64):
    return torch.ones(n, channels, *[2] * rank)


@pytest.mark.parametrize(("layer", "rank"), [*zip(LAYERS, (1, 2, 3), strict=True)])
def test_channels_drop_whole_each_by_its_own_coin(layer, rank):
    """Channels kept, and pairs of neighbours that agree: binomial, false-alarm rate 1e-6 each."""
    out = layer(0.25)(map_of(rank)).flatten(2)
    kept = out[..., 0] != 0
    assert torch.equal(out, (kept[..., None] / 0.75).expand(out.shape))
    assert plausible_count(int(kept.sum()), kept.numel(), 0.75)
    for a, b in ((kept[:, 1:], kept[:, :-1]), (kept[1:], kept[:-1])):
        assert plausible_count(int((a == b).sum()), a.numel(), 0.75**2 + 0.25**2)


@pytest.mark.parametrize(("layer", "rank"), [(nn.Dropout1d, 1), (nn.Dropout3d, 3)])
def test_with_no_batch_the_channels_drop_as_those_of_a_batch_of_one(layer, rank):
    x = torch.linspace(1, 2, 16 * 2**rank).view(16, *[2] * rank)
    drop = layer(0.5, key=KEY)
    assert torch.equal(drop(x), drop(x[None])[0])


def test_rank_three_of_dropout2d_is_batch_channels_length_as_in_pytorch():
    x = torch.ones(3, 4, 5)
    with pytest.warns(UserWarning, match="assuming that channel-wise 1D dropout behavior") as seen:
        out = nn.Dropout2d(0.5, key=KEY)(x)
    assert len(seen) == 1
    assert torch.equal(out, functional.dropout1d(x, 0.5, key=KEY))


@pytest.mark.parametrize("rank", [2, 5])
def test_other_ranks_of_dropout2d_warn_and_have_coins_along_two_axes(rank):
    x = torch.ones([4] * rank)
    with pytest.warns(UserWarning, match=f"Received a {rank}-D input to dropout2d"):
        out = functional.dropout2d(x, 0.5, key=KEY)
    coins = functional.dropout(torch.ones(4, 4), 0.5, key=KEY)
    assert torch.equal(out, coins.view(4, 4, *[1] * (rank - 2)).expand(x.shape))


@pytest.mark.parametrize("rank", [1, 2, 3, 6])
def test_other_ranks_of_dropout3d_warn_and_have_coins_along_one_axis(rank):
    x = torch.ones([4] * rank)
    with pytest.warns(UserWarning, match=f"Received a {rank}-D input to dropout3d"):
        out = functional.dropout3d(x, 0.5, key=KEY)
    coins = functional.dropout(torch.ones(4), 0.5, key=KEY)
    assert torch.equal(out, coins.view(4, *[1] * (rank - 1)).expand(x.shape))


def test_warnings_come_in_evaluation_too_and_never_for_the_right_rank():
    with pytest.warns(UserWarning, match="3D input"):
        functional.dropout2d(torch.ones(2, 2, 2), training=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for rank, layer in enumerate(LAYERS, start=1):
            layer()(map_of(rank, n=1))


@pytest.mark.unchecked
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("rank", [0, 1, 4])
def test_other_ranks_of_dropout1d_are_refused(rank, training):
    with pytest.raises(RuntimeError, match=f"Expected 2D or 3D input, but received a {rank}D"):
        functional.dropout1d(torch.ones([2] * rank), training=training)


@pytest.mark.unchecked
@pytest.mark.filterwarnings("ignore:dropout.d. Received")
def test_too_few_axes_for_the_coins_are_refused():
    for drop, rank in ((functional.dropout2d, 1), (functional.dropout3d, 0)):
        with pytest.raises(RuntimeError, match="Feature dropout requires at least"):
            drop(torch.ones([2] * rank))
