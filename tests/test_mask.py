"""The mask contract, against a restatement in plain integers and against its own claims."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from dropout import functional, reference
from dropout.mask import (
    LEVELS,
    MaskKey,
    inverted_scale,
    keep_mask,
    lanes,
    philox4x32,
    realised_rate,
    threshold,
)
from dropout.shard import Shard
from tests import strategies
from tests.statistics import FALSE_ALARM, plausible_count


def lane_by_hand(key: MaskKey, element: int) -> int:
    """The contract word by word: one Philox block as one integer of 128 bits, cut into eight."""
    block, lane = divmod(element, 8)
    r0, l0, r1, l1 = block % 2**32, block // 2**32, key.stream, key.step
    k0, k1 = key.seed % 2**32, key.seed // 2**32
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * r0, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * r1, 2**32)
        r0, l0, r1, l1 = high1 ^ l0 ^ k0, low1, high0 ^ l1 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    bits = r0 + (l0 << 32) + (r1 << 64) + (l1 << 96)
    return bits >> 16 * lane & 0xFFFF


# ---- Philox and lanes -----------------------------------------------------------------------

KNOWN_ANSWERS = [  # Random123, tests/kat_vectors, "philox4x32 10": counter, key, result
    ("00000000 " * 4, "00000000 " * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff " * 4, "ffffffff " * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN_ANSWERS)
def test_philox_gives_the_known_answers_of_its_authors(counter, key, result):
    counter, key, result = (
        [int(word, 16) for word in hexes.split()] for hexes in (counter, key, result)
    )
    assert philox4x32(np.array(counter, np.uint32), tuple(key)).tolist() == result


@given(
    strategies.keys,
    st.lists(st.one_of(st.integers(0, 40), st.integers(0, 2**62)), min_size=1, max_size=3),
    st.integers(0, 20),
)
def test_a_lane_is_the_one_that_key_and_element_number_name(key, starts, width):
    by_hand = [[lane_by_hand(key, start + i) for i in range(width)] for start in starts]
    assert lanes(key, np.array(starts), width).tolist() == by_hand


@given(strategies.keys, st.integers(0, 24), st.integers(0, 24))
def test_where_a_run_starts_and_ends_does_not_change_its_lanes(key, start, width):
    everything = lanes(key, np.array([0]), 48)[0]
    assert lanes(key, np.array([start]), width)[0].tolist() == everything[start:][:width].tolist()


@pytest.mark.parametrize("byte", [0, 8])
def test_each_byte_of_a_lane_is_uniform(byte):
    """Chi-squared over 256 values; false-alarm rate 1e-6, one-sided."""
    drawn = lanes(MaskKey(seed=10), np.array([0]), 1 << 18) >> byte & 0xFF
    assert chisquare(np.bincount(drawn.ravel(), minlength=256)).pvalue > FALSE_ALARM


# ---- the example of the page on masks -------------------------------------------------------

ELEMENT_13 = """
key        seed 42, stream 3, step 1
element    13: block 1, lane 5
counter    00000001 00000000 00000003 00000001
words      79703968 49c55fa7 db708c7f c086024c
lane       db70, which is 56176
p = 0.5    threshold 32768: kept
"""
ROWS = """
1 1 1 1 1 1 0 0 0 0 0 0 1 1 0 1
0 1 1 0 0 0 0 0 1 1 0 1 0 0 0 0
1 0 0 1 0 0 1 1 0 0 1 0 0 0 0 1
"""
EXAMPLE = MaskKey(seed=42, stream=3, step=1)
EXAMPLE_MASK = np.array([[coin == "1" for coin in row.split()] for row in ROWS.split("\n")[1:-1]])


def test_the_element_on_the_page_is_worked_out_right():
    key, element = EXAMPLE, 13
    block, lane = divmod(element, 8)
    counter = np.array([block, 0, key.stream, key.step], dtype=np.uint32)
    words = philox4x32(counter, (key.seed, 0))
    bits = int(words[lane // 2]) >> 16 * (lane % 2) & 0xFFFF
    fate = "dropped" if bits < threshold(0.5) else "kept"
    shown = f"""
key        seed {key.seed}, stream {key.stream}, step {key.step}
element    {element}: block {block}, lane {lane}
counter    {" ".join(f"{word:08x}" for word in counter)}
words      {" ".join(f"{word:08x}" for word in words)}
lane       {bits:04x}, which is {bits}
p = 0.5    threshold {threshold(0.5)}: {fate}
"""
    assert shown == ELEMENT_13
    assert bits == lanes(key, np.array([0]), 32)[0, element] == lane_by_hand(key, element)
    assert EXAMPLE_MASK.flat[element] == (fate == "kept")


def test_the_mask_on_the_page_is_drawn_by_numpy_in_every_type_and_layout_of_torch():
    assert keep_mask(EXAMPLE, (3, 16), 0.5).tolist() == EXAMPLE_MASK.tolist()
    assert (reference.dropout(np.ones((3, 16)), 0.5, key=EXAMPLE) != 0).tolist() == (
        EXAMPLE_MASK.tolist()
    )
    x = torch.ones(3, 16)
    for other in (x, x.double(), x.half(), x.bfloat16(), torch.ones(16, 3).T):
        kept = functional.dropout(other, 0.5, key=EXAMPLE) != 0
        assert kept.tolist() == EXAMPLE_MASK.tolist()


# ---- rate and scale -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "t"),
    [
        (0.0, 0),
        (5e-324, 0),
        (2.0**-17, 0),  # ties go to even
        (3 * 2.0**-17, 2),
        (np.nextafter(2.0**-17, 1), 1),
        (2.0**-16, 1),
        (0.1, 6554),
        (0.5, 32768),
        (1 - 2.0**-16, 65535),
        (np.nextafter(1.0, 0), 65536),
        (1.0, 65536),
    ],
)
def test_threshold_is_the_nearest_of_65537_rates(p, t):
    assert threshold(float(p)) == t


@given(strategies.rates)
def test_realised_rate_is_within_half_a_level(p):
    assert Fraction(realised_rate(p)) == Fraction(threshold(p), 65536)
    assert abs(Fraction(realised_rate(p)) - Fraction(p)) <= Fraction(1, 2**17)


@given(strategies.rates.filter(lambda p: threshold(p) < 65536))
def test_the_mean_of_mask_times_scale_is_exactly_one(p):
    kept = len(range(threshold(p), 65536))  # the lane values, all as likely
    scale = Fraction(65536, 65536 - threshold(p))
    assert Fraction(kept, 65536) * scale == 1
    assert inverted_scale(p) == float(scale)


@pytest.mark.unchecked
def test_the_mean_over_all_lane_values_is_one_at_every_threshold(monkeypatch):
    """Each 16-bit number once in the place of random ones; what is left is the scale's rounding."""
    each_once = np.arange(LEVELS, dtype=np.uint16)[None]
    monkeypatch.setattr("dropout.mask.lanes", lambda key, starts, width: each_once[:, -width:])
    key, one = MaskKey(seed=0), np.ones(1)
    for t in range(LEVELS):
        p = (t + 0.3) / LEVELS  # not the rate that is realised, by which a survivor is scaled
        kept = int(np.count_nonzero(keep_mask(key, (LEVELS,), p)))
        scale = float(reference.dropout(one, p, key=key)[0])
        assert kept == LEVELS - t
        assert abs(Fraction(kept, LEVELS) * Fraction(scale) - 1) <= Fraction(1, 2**53)


@pytest.mark.parametrize("t", [*range(0, LEVELS, 1285), 6554, LEVELS - 2, LEVELS - 1])
def test_torch_drops_and_scales_at_the_threshold_of_the_definition(t):
    key = MaskKey(seed=15)
    out = functional.dropout(torch.ones(4096).double(), (t + 0.3) / LEVELS, key=key).numpy()
    kept = lanes(key, np.array([0]), 4096)[0] >= t
    assert out.tolist() == np.where(kept, LEVELS / (LEVELS - t), 0.0).tolist()


def test_at_rate_one_there_is_nothing_to_scale():
    assert inverted_scale(1.0) == 0


@pytest.mark.unchecked
@pytest.mark.parametrize("p", [0, 1, Fraction(1, 2), np.float32(0.5)])
def test_any_real_number_is_a_rate(p):
    assert threshold(p) == 65536 * p


# ---- masks ----------------------------------------------------------------------------------


@given(strategies.keys, strategies.shapes, strategies.rates)
def test_an_element_is_dropped_iff_its_lane_is_below_the_threshold(key, shape, p):
    kept = [lane_by_hand(key, i) >= threshold(p) for i in range(min(60, int(np.prod(shape))))]
    mask = keep_mask(key, shape, p)
    assert mask.shape == shape
    assert mask.ravel()[:60].tolist() == kept


@given(strategies.keys)
def test_a_lane_equal_to_the_threshold_is_kept(key):
    lane = lane_by_hand(key, 0)
    assert keep_mask(key, (1,), lane / 65536).all()
    assert not keep_mask(key, (1,), (lane + 1) / 65536).any()


@given(strategies.keys)
def test_rate_zero_keeps_all_and_rate_one_drops_all(key):
    assert keep_mask(key, (99,), 0.0).all()
    assert not keep_mask(key, (99,), 1.0).any()


@given(strategies.keys, strategies.rates, strategies.rates)
def test_a_higher_rate_drops_what_the_lower_one_drops_and_more(key, p, r):
    low, high = sorted((p, r))
    assert (keep_mask(key, (99,), high) <= keep_mask(key, (99,), low)).all()


@given(strategies.keys, strategies.shapes, strategies.rates, st.data())
def test_the_shards_of_any_split_are_the_mask(key, shape, p, data):
    whole = keep_mask(key, shape, p)
    for tile in data.draw(strategies.tilings(shape)):
        part = whole[tile]
        drawn = keep_mask(key, part.shape, p, strategies.shard(shape, tile))
        assert drawn.tolist() == part.tolist()


@pytest.mark.parametrize("start", [2**32 - 9, 8 * 2**32 - 9, 8 * 2**33 + 3, 2**63 - 21])
def test_element_and_block_numbers_go_beyond_32_bits(start):
    key = MaskKey(2**64 - 1, stream=7, step=2**32 - 1)
    window = keep_mask(key, (20,), 0.5, Shard((2**63 - 1,), (start,)))
    assert window.tolist() == [lane_by_hand(key, start + i) >= 32768 for i in range(20)]


def test_a_window_of_a_matrix_too_large_to_hold_is_drawn_row_by_row():
    key, columns = MaskKey(seed=3), 2**40 + 5
    window = keep_mask(key, (3, 9), 0.5, Shard((2**20, columns), (2**19, 2**39)))
    for i in range(3):
        first = (2**19 + i) * columns + 2**39
        assert window[i].tolist() == [lane_by_hand(key, first + j) >= 32768 for j in range(9)]


# ---- statistics -----------------------------------------------------------------------------

N = 1 << 17


@pytest.mark.parametrize("p", [2.0**-16, 0.1, 0.5, 0.9])
def test_the_keep_rate_is_one_minus_the_realised_rate(p):
    """Binomial, false-alarm rate 1e-6 for each p."""
    kept = int(keep_mask(MaskKey(seed=11), (N,), p).sum())
    assert plausible_count(kept, N, 1 - realised_rate(p))


@pytest.mark.parametrize("distance", [1, 2, 3, 4, 5, 6, 7, 8, 64, 4096])
def test_coins_at_a_distance_are_independent(distance):
    """Pairs of fair coins agree half of the time; binomial, false-alarm rate 1e-6 for each."""
    mask = keep_mask(MaskKey(seed=12), (N,), 0.5)
    agree = int((mask[distance:] == mask[:-distance]).sum())
    assert plausible_count(agree, N - distance, 0.5)


@pytest.mark.parametrize(
    "other",
    [
        MaskKey(14),
        MaskKey(13 + 2**32),
        MaskKey(13 + 2**63),
        MaskKey(13, stream=1),
        MaskKey(13, step=1),
    ],
)
def test_masks_of_another_seed_stream_or_step_are_independent(other):
    """Pairs of fair coins agree half of the time; binomial, false-alarm rate 1e-6 for each."""
    agree = int((keep_mask(MaskKey(13), (N,), 0.5) == keep_mask(other, (N,), 0.5)).sum())
    assert plausible_count(agree, N, 0.5)


def test_stream_and_step_are_not_interchangeable():
    masks = [keep_mask(MaskKey(*words), (64,), 0.5) for words in ((1, 2, 3), (1, 3, 2), (2, 1, 3))]
    assert len({mask.tobytes() for mask in masks}) == 3


# ---- keys and bad input ---------------------------------------------------------------------


def test_a_key_is_a_value():
    assert MaskKey(1) == MaskKey(seed=1, stream=0, step=0) != MaskKey(1, 1)
    assert {MaskKey(1, 2, 3): "found"}[MaskKey(1, 2, 3)] == "found"


@pytest.mark.unchecked
def test_numpy_integers_make_the_same_key():
    key = MaskKey(np.uint64(2**64 - 1), np.int64(2), np.uint8(3))
    assert repr(key) == "MaskKey(seed=18446744073709551615, stream=2, step=3)"


BAD_RATES = [
    (-0.1, ValueError, "-0.1"),
    (1.1, ValueError, "1.1"),
    (float("nan"), ValueError, "nan"),
    (float("inf"), ValueError, "inf"),
    ("half", TypeError, "'half'"),
    (None, TypeError, "None"),
    (True, TypeError, "True"),
]


@pytest.mark.unchecked
@pytest.mark.parametrize(("p", "error", "shown"), BAD_RATES)
@pytest.mark.parametrize("function", [threshold, realised_rate, inverted_scale])
def test_a_bad_rate_is_named(function, p, error, shown):
    with pytest.raises(error, match=rf"\bp must be .*in \[0, 1\], got {shown}"):
        function(p)


@pytest.mark.unchecked
@pytest.mark.parametrize(("name", "bits"), [("seed", 64), ("stream", 32), ("step", 32)])
def test_a_bad_word_of_a_key_is_named(name, bits):
    for value in (-1, 2**bits):
        with pytest.raises(ValueError, match=rf"{name} must be in \[0, 2\*\*{bits}\), got {value}"):
            MaskKey(**{"seed": 0, name: value})
    for value in (1.0, "1", None, True):
        with pytest.raises(TypeError, match=f"{name} must be an integer, got {value!r}"):
            MaskKey(**{"seed": 0, name: value})


BAD_SHARDS = [
    ((4,), (-1,)),
    ((4,), (2,)),
    ((2,), (0,)),
    ((4, 4), (0, 0)),
    ((4,), (0, 0)),
    ((), ()),
]


@pytest.mark.unchecked
@pytest.mark.parametrize(("whole", "start"), BAD_SHARDS)
def test_a_shard_outside_its_whole_is_refused(whole, start):
    with pytest.raises(ValueError, match="shard") as error:
        keep_mask(MaskKey(0), (3,), 0.5, Shard(whole, start))
    assert all(str(value) in str(error.value) for value in ((3,), whole, start))


@pytest.mark.unchecked
@pytest.mark.parametrize("bad", [1.5, np.float64(1), True, "1", None], ids=repr)
def test_a_shard_of_other_numbers_than_integers_is_refused(bad):
    for name, lengths in (("shape", ((8, bad), (0, 0))), ("start", ((8, 8), (bad, 0)))):
        with pytest.raises(TypeError, match=f"a shard's {name} must be integers, got "):
            Shard(*lengths)


@pytest.mark.unchecked
def test_a_shard_counts_in_integers_that_do_not_wrap():
    """2^40 elements are too many for 32 bits."""
    whole, start = (2**20, 2**20), (2**19, 8)
    small = Shard(*(tuple(np.array(n, np.int32)) for n in (whole, start)))
    assert {type(n) for n in (*small.shape, *small.start)} == {int}
    window = keep_mask(MaskKey(1), (2, 8), 0.5, small)
    assert np.array_equal(window, keep_mask(MaskKey(1), (2, 8), 0.5, Shard(whole, start)))


@pytest.mark.unchecked
@pytest.mark.parametrize("columns", [2**31, 2**32])
def test_a_whole_of_more_elements_than_63_bits_count_is_refused(columns):
    with pytest.raises(ValueError, match=rf"less than 2\*\*63 elements, got .*{columns}"):
        keep_mask(MaskKey(0), (1, 3), 0.5, Shard((2**32, columns), (0, 0)))
