"""Are the coins fair and independent? With fixed keys; a fair coin would fail one test in 1e6."""

from itertools import product

import numpy as np
import pytest
import torch
from scipy.stats import chi2, chisquare

from dropout import MaskKey, functional, nn
from dropout.mask import keep_mask, lanes, realised_rate
from dropout.seeding import seeded, set_step
from tests.statistics import FALSE_ALARM, plausible_count, plausible_mean

N = 1 << 14


def plausible_squares(z: np.ndarray) -> bool:
    """Whether the squares of standard normal z sum to what they should, but for 1e-6, two-sided.

    Both tails, since coins that balance each other are as suspect as coins that move together.
    """
    low, high = chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], z.size)
    return low <= np.square(z).sum() <= high


def correlations(draws: np.ndarray) -> np.ndarray:
    """Of standardised columns, each pair's correlation in standard errors."""
    gram = draws.T @ draws / np.sqrt(len(draws))
    return gram[np.triu_indices_from(gram, k=1)]


def signs(key: MaskKey) -> np.ndarray:
    """A mask of N fair coins as +1 and -1."""
    return np.where(keep_mask(key, (N,), 0.5), 1.0, -1.0)


# ---- elements -------------------------------------------------------------------------------


@pytest.fixture(params=[0.1, 0.4, 0.9])
def errors(request):
    """Of 64 activations h, N times dropped out: h, out - h, and p and q."""
    h = torch.linspace(-3, 5, 64, dtype=torch.double)
    out = functional.dropout(h.expand(N, 64), request.param, key=MaskKey(seed=20))
    p = realised_rate(request.param)
    return h.numpy(), (out - h).numpy(), p, 1 - p


def test_each_output_has_mean_h_and_variance_h2_p_over_q(errors):
    """Normal, false-alarm rate 1e-6 for each of 128 numbers."""
    h, errors, p, q = errors
    variance = h**2 * p / q
    spread = h**2 * abs(1 - (p / q) ** 2) * (p * q) ** 0.5  # of the square of -h or h p/q
    for j in range(64):
        assert plausible_mean(errors[:, j].mean(), 0, (variance[j] / N) ** 0.5)
        assert plausible_mean((errors[:, j] ** 2).mean(), variance[j], spread[j] / N**0.5)


def test_a_rate_between_the_steps_of_eight_bits_is_the_one_that_comes():
    """2^22 coins, binomial, false-alarm rate 1e-6; the rates of kernels that compare bytes fail."""
    n, p = 1 << 22, 0.1
    kept = int((functional.dropout(torch.ones(n), p, key=MaskKey(27)) != 0).sum())
    assert plausible_count(kept, n, 1 - p)
    for bytes_kept in (np.floor(255 * (1 - p)) + 1, 256 - np.floor(256 * p)):
        assert not plausible_count(kept, n, bytes_kept / 256)


def test_outputs_of_one_example_are_uncorrelated(errors):
    """2016 pairs, chi-squared; false-alarm rate 1e-6 for each p."""
    h, errors, p, q = errors
    assert plausible_squares(correlations(errors / (h * (p / q) ** 0.5)))


def test_outputs_of_examples_in_a_minibatch_are_uncorrelated(errors):
    """2016 pairs of 64 examples, over 256 minibatches; false-alarm rate 1e-6 for each p."""
    h, errors, p, q = errors
    z = (errors / (h * (p / q) ** 0.5)).reshape(256, 64, 64)  # minibatch, example, element
    assert plausible_squares(correlations(z.transpose(0, 2, 1).reshape(-1, 64)))


@pytest.mark.parametrize("p", [0.3, 0.5])
def test_the_eight_coins_of_a_block_are_independent_together(p):
    """All 2^8 patterns, and so all pairs: chi-squared, false-alarm rate 1e-6 for each p."""
    kept = keep_mask(MaskKey(seed=21), (1 << 17, 8), p)
    found = np.bincount(np.packbits(kept, axis=1).ravel(), minlength=256)
    q = 1 - realised_rate(p)
    ones = np.array([pattern.bit_count() for pattern in range(256)])
    assert chisquare(found, len(kept) * q**ones * (1 - q) ** (8 - ones)).pvalue > FALSE_ALARM


def test_the_128_bits_of_a_block_are_uncorrelated():
    """8128 pairs, those within one lane and those of two: chi-squared, false-alarm rate 1e-6."""
    lane = lanes(MaskKey(seed=22), np.array([0]), 8 * N).reshape(N, 8)
    bits = lane[..., None] >> np.arange(16) & 1
    assert plausible_squares(correlations(2.0 * bits.reshape(N, 128) - 1))


# ---- keys -----------------------------------------------------------------------------------

KEYS = {
    "consecutive seeds": [MaskKey(n) for n in range(64)],
    "seeds of one bit": [MaskKey(1 << n) for n in range(64)],
    "consecutive streams": [MaskKey(23, stream=n) for n in range(64)],
    "streams of one bit": [MaskKey(23, stream=1 << n) for n in range(32)],
    "consecutive steps": [MaskKey(23, step=n) for n in range(64)],
    "steps of one bit": [MaskKey(23, step=1 << n) for n in range(32)],
    "seed, stream and step": [MaskKey(*words) for words in product(range(4), repeat=3)],
}


@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
def test_masks_of_many_keys_are_uncorrelated(keys):
    """Each pair of masks, element by element: chi-squared, false-alarm rate 1e-6 for each set."""
    assert plausible_squares(correlations(np.stack([signs(key) for key in keys], axis=1)))


@pytest.mark.parametrize("word", ["stream", "step"])
def test_an_element_over_consecutive_keys_has_fair_independent_coins(word):
    """What one unit sees in training: counts binomial, false-alarm rate 1e-6 for each of 32."""
    steps = 1 << 11
    masks = np.stack([keep_mask(MaskKey(24, **{word: n}), (16,), 0.5) for n in range(steps)])
    for coin in masks.T:
        assert plausible_count(int(coin.sum()), steps, 0.5)
        assert plausible_count(int((coin[1:] == coin[:-1]).sum()), steps - 1, 0.5)


BITS = [("seed", 64), ("stream", 32), ("step", 32)]


@pytest.mark.parametrize(("word", "bit"), [(word, n) for word, bits in BITS for n in range(bits)])
def test_a_flipped_bit_of_the_key_flips_every_bit_of_a_block_half_of_the_time(word, bit):
    """Avalanche, 512 blocks: chi-squared over 128 bits, false-alarm rate 1e-6 for each bit."""
    words = {"seed": 0x0123_4567_89AB_CDEF, "stream": 25, "step": 26}
    keys = MaskKey(**words), MaskKey(**words | {word: words[word] ^ 1 << bit})
    before, after = (lanes(key, np.array([0]), 8 * 512).reshape(512, 8) for key in keys)
    flips = ((before ^ after)[..., None] >> np.arange(16) & 1).sum(axis=0)
    assert plausible_squares((flips - 256) / np.sqrt(128))


# ---- collisions -----------------------------------------------------------------------------


def test_no_two_keys_share_a_block_even_elsewhere_in_their_masks():
    """Where seed + counter is what is hashed, seed 1's second draw is seed 2's first."""
    keys = [MaskKey(*words) for words in product(range(16), range(8), range(16))]
    blocks = np.concatenate([lanes(key, np.array([0]), 64).reshape(8, 8) for key in keys])
    assert len({block.tobytes() for block in blocks}) == 8 * len(keys)


def test_a_models_draws_differ_between_seeds_and_steps_and_layers():
    model, x = nn.Dropout(0.5), torch.ones(128)
    pair = torch.nn.Sequential(model, nn.Dropout(0.5))
    masks = set()
    for seed, step in product(range(8), repeat=2):
        set_step(seeded(pair, seed), step)
        masks |= {tuple((layer(x) != 0).tolist()) for layer in pair}
    assert len(masks) == 8 * 8 * 2
