"""The kernel from torch integer operations draws the bits of the definition."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import dropout.nn  # noqa: F401  (its layers have the laws of noise)
from dropout import MaskKey, noise
from dropout import mask as definition
from dropout.kernels import cpu, portable
from dropout.kernels.engines import forced
from dropout.mask import inverted_scale, keep_mask, threshold
from dropout.shard import Shard, place
from tests import strategies
from tests.kernels.cases import CASES


def dropped(x, key, p, shard=None):
    """The kernel on x, whose whole is x itself unless it has another place."""
    shard = shard or Shard(tuple(x.shape), (0,) * x.dim())
    t, scale = threshold(p), inverted_scale(p)
    out = torch.empty_like(x)
    whole, start = shard.shape, shard.start
    portable.masked_scale(x, out, key.seed, key.stream, key.step, t, scale, 0.0, 0.0, whole, start)
    return out


@given(
    st.lists(st.tuples(*[strategies.words(32)] * 4), min_size=1, max_size=5),
    st.tuples(strategies.words(32), strategies.words(32)),
)
def test_philox_is_the_definitions_for_any_words(counters, key):
    by_definition = definition.philox4x32(np.array(counters, np.uint32), key)
    words = portable.philox4x32(torch.tensor(counters).unbind(-1), key)
    assert torch.stack(words, dim=-1).tolist() == by_definition.tolist()


@given(
    strategies.keys,
    st.lists(st.one_of(st.integers(0, 40), st.integers(0, 2**62)), min_size=1, max_size=3),
    st.integers(0, 40),
)
def test_lanes_are_the_definitions_for_any_runs(key, starts, width):
    by_definition = definition.lanes(key, np.array(starts), width)
    drawn = portable.lanes(key.seed, key.stream, key.step, torch.tensor(starts), width)
    assert drawn.tolist() == by_definition.tolist()


@given(strategies.keys)
def test_a_seed_of_64_bits_may_come_signed(key):
    signed = key.seed - 2**64 if key.seed >= 2**63 else key.seed
    drawn = portable.lanes(signed, key.stream, key.step, torch.tensor([3]), 40)
    assert drawn.tolist() == definition.lanes(key, np.array([3]), 40).tolist()


@given(strategies.keys)
def test_a_lane_equal_to_the_threshold_is_kept(key):
    lane = definition.lanes(key, np.array([0]), 1).item()
    assert dropped(torch.ones(1), key, lane / 65536).all()
    assert not dropped(torch.ones(1), key, (lane + 1) / 65536).any()


@given(strategies.keys, strategies.shapes, strategies.rates, strategies.dtypes)
def test_kept_are_scaled_and_the_others_zero_in_every_dtype(key, shape, p, dtype):
    x = torch.linspace(0.5, 2, int(np.prod(shape)), dtype=dtype).view(shape)
    out = dropped(x, key, p)
    kept = torch.from_numpy(keep_mask(key, shape, p))
    assert out.dtype == dtype
    assert torch.equal(out, (x * inverted_scale(p)).where(kept, torch.zeros((), dtype=dtype)))


@given(strategies.keys, strategies.shapes, strategies.rates, st.data())
def test_the_shards_of_any_split_are_the_whole(key, shape, p, data):
    x = torch.arange(1.0, 1 + np.prod(shape)).view(shape)
    whole = dropped(x, key, p)
    for tile in data.draw(strategies.tilings(shape)):
        assert torch.equal(dropped(x[tile], key, p, strategies.shard(shape, tile)), whole[tile])


@pytest.mark.parametrize("start", [2**32 - 9, 8 * 2**32 - 9, 8 * 2**33 + 3, 2**63 - 21])
def test_element_and_block_numbers_go_beyond_32_bits(start):
    key, place = MaskKey(2**64 - 1, stream=7, step=2**32 - 1), Shard((2**63 - 1,), (start,))
    kept = dropped(torch.ones(20), key, 0.5, place) != 0
    assert kept.tolist() == keep_mask(key, (20,), 0.5, place).tolist()


LAYOUTS = {
    "transposed": lambda x: x.transpose(0, 3).contiguous().transpose(0, 3),
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "every second": lambda x: torch.stack((x, x), dim=-1).flatten(3)[..., ::2],
    "flipped twice": lambda x: x.flip(1).flip(1),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_layout_in_memory_changes_neither_the_mask_nor_itself(layout):
    x = torch.arange(1.0, 361.0).view(3, 4, 5, 6)
    rearranged = layout(x)
    out = dropped(rearranged, MaskKey(8), 0.5)
    assert torch.equal(out, dropped(x, MaskKey(8), 0.5))
    assert out.stride() == torch.empty_like(rearranged).stride()


def test_expanded_input_has_a_coin_for_each_element_of_its_shape():
    row = torch.arange(1.0, 9.0)
    out = dropped(row.expand(32, 8), MaskKey(8), 0.5)
    assert torch.equal(out, dropped(row.repeat(32, 1), MaskKey(8), 0.5))


def test_the_number_of_threads_does_not_change_the_mask():
    x, threads = torch.ones(1 << 17), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = dropped(x, MaskKey(8), 0.5)
        torch.set_num_threads(3)
        together = dropped(x, MaskKey(8), 0.5)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(alone, together)
    assert torch.equal(alone != 0, torch.from_numpy(keep_mask(MaskKey(8), x.shape, 0.5)))


@pytest.mark.parametrize("p", [0.5, 1.0])
def test_a_dropped_element_is_zero_whatever_stood_there(p):
    kept = torch.from_numpy(keep_mask(MaskKey(8), (3, 64), p))
    x = torch.tensor([[torch.inf], [-torch.inf], [torch.nan]]).repeat(1, 64)
    out = dropped(x, MaskKey(8), p)
    assert torch.equal(out == 0, ~kept)
    assert not out[kept].isfinite().any()


def test_the_input_is_left_as_it_was():
    x = torch.ones(64)
    dropped(x, MaskKey(8), 0.5)
    assert torch.equal(x, torch.ones(64))


class NoFloat64(TorchDispatchMode):
    """PyTorch on a device such as Apple's MPS."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, out)):
            if leaf is torch.float64 or getattr(leaf, "dtype", None) is torch.float64:
                raise TypeError(f"{func} meets float64")
        return out


def test_the_mode_refuses_float64():
    for call in (lambda x: x.double(), lambda x: x * torch.from_numpy(np.ones(3))):
        with pytest.raises(TypeError, match="float64"), NoFloat64():
            call(torch.ones(3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_device_without_float64_draws_the_same(case, dtype):
    x, shared, shard = case
    x, window = x.to(dtype), place(x.shape, shard, shared)
    calls = [("masked_scale", (20000, 1.4, 0.3, -1.7))]
    calls += [("noise", (normal, 1.0, 0.7)) for normal in (True, False)]
    for name, numbers in calls:
        expected, out = torch.empty_like(x), torch.empty_like(x)
        getattr(cpu, name)(x, expected, 1, 2, 3, *numbers, *window)
        with NoFloat64():
            getattr(portable, name)(x, out, 1, 2, 3, *numbers, *window)
        ulp = torch.finfo(dtype).eps if name == "noise" else 0  # two roundings in place of one
        torch.testing.assert_close(out, expected, rtol=ulp, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("law", noise.LAWS)
def test_every_law_of_noise_does_without_float64(law, dtype):
    x = torch.linspace(-2, 2, 2 * 3 * 9 * 8).reshape(2, 3, 9, 8).to(dtype)
    arguments = 1, 2, 3, [0.3, 3.0], x.shape, (0,) * 4
    expected = noise.LAWS[law](x, *arguments)
    with forced("portable"), NoFloat64():
        out = noise.LAWS[law](x, *arguments)
    ulp = 0 if law == "blocks" else torch.finfo(dtype).eps
    torch.testing.assert_close(out, expected, rtol=ulp, atol=0)
    assert not torch.equal(out, x)
