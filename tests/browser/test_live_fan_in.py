"""Same variance, other noise: the laws are exact, and the gap that is stated is theirs."""

import re

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.stats import binom, norm

from dropout import MaskKey, functional
from dropout.theory.ensembles import all_masks, mask_probabilities
from dropout.theory.penalties import noise_variance
from tests.browser.looks import settle

FANS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024]
pytestmark = pytest.mark.unchecked


def contributions(n, share=None):
    """What the inputs send: all 1, or one as much as makes its squares this share of all."""
    a = np.ones(n)
    if share and n > 1:
        a[-1] = max(1, np.sqrt((n - 1) * share / (1 - share)))
    return a


def widest_gap(a, p):
    """By another road: SciPy's binomial laws, at every value of the sum and just below it."""
    q, kept = 1 - p, np.arange(len(a))
    sums = np.concatenate([kept, kept + a[-1]]) / q
    chances = np.outer([p, q], binom.pmf(kept, len(a) - 1, q)).ravel()
    mean, std = a.sum(), np.sqrt(p / q * (a**2).sum())
    order = np.argsort(sums)
    sums, below = sums[order], np.cumsum(chances[order])
    same = np.append(np.diff(sums) < 1e-9, False)  # values that two fates give
    normal = norm.cdf((sums - mean) / std)
    first = np.append(True, ~same[:-1])
    before = below - chances[order]
    return max(np.abs(below - normal)[~same].max(), np.abs(before - normal)[first].max())


def numbers(page):
    """Variance, the two chances and the gap, as the sentence has them; and all of it."""
    settle(page)
    bold = page.locator(".live-said b").all_inner_texts()
    return [float(each) for each in bold], page.locator(".live-said").inner_text()


def test_the_normal_law_is_scipys(evaluate):
    z = [-9.5, -8, -3, -0.7, 0, 1e-9, 1.3, 5, 8.9, 40]
    found = evaluate("fan_in", "given.map(figure.normalBelow)", z)
    assert found == pytest.approx(norm.cdf(z), abs=1e-15)


@pytest.mark.parametrize(("n", "p", "share"), [(1, 0.3, None), (9, 0.2, None), (10, 0.7, 0.6)])
def test_the_law_of_the_sum_is_that_of_all_masks(evaluate, n, p, share):
    a = contributions(n, share)
    given = {"n": n, "p": p, "a": a[-1]}
    found = evaluate("fan_in", "figure.law(given.n, given.p, given.a)", given)
    _, chance, place, _ = np.array(found["atoms"], float).T
    sums, chances = all_masks(n) / (1 - p) @ a, mask_probabilities(all_masks(n), 1 - p)
    for c in np.linspace(-0.5, sums.max() + 0.5, 40):
        assert chance[place <= c].sum() == pytest.approx(chances[sums <= c].sum(), abs=1e-12)
    assert found["mean"] == pytest.approx(chances @ sums)
    assert found["variance"] == pytest.approx(chances @ (sums - a.sum()) ** 2)
    assert found["variance"] == pytest.approx(noise_variance(p) * (a**2).sum())


def test_the_gap_is_the_widest_there_is(evaluate):
    cases = [(n, p, share) for n in FANS for p in (0.1, 0.5, 0.85) for share in (None, 0.1, 0.8)]
    given = [[n, p, contributions(n, share)[-1]] for n, p, share in cases]
    found = evaluate("fan_in", "given.map((each) => figure.gap(figure.law(...each)).gap)", given)
    wanted = [widest_gap(contributions(n, share), p) for n, p, share in cases]
    assert found == pytest.approx(wanted, abs=1e-10)


def test_one_that_dominates_leaves_a_gap_that_stays(evaluate):
    """The limit, against SciPy; a hundred thousand are near it, and alike they are near 0."""
    p, q, shares = 0.2, 0.8, [0.2, 0.5, 0.8, 0.9]
    limits = evaluate("fan_in", "given.map((share) => figure.limit(0.2, share))", shares)
    law = "figure.law(1e5, 0.2, share ? figure.large(1e5, share) : 1)"
    many = evaluate("fan_in", f"given.map((share) => figure.gap({law}).gap)", [0, *shares])
    assert many[0] < 0.0025
    for share, limit, near in zip(shares, limits, many[1:], strict=True):
        places = np.array([-np.sqrt(share * q / p), np.sqrt(share * p / q)])

        def nearness(z, places=places, share=share):
            return -abs([p, q] @ norm.cdf((z - places) / np.sqrt(1 - share)) - norm.cdf(z))

        grid = np.linspace(-5, 5, 2001)
        start = grid[np.argmin([nearness(z) for z in grid])]
        exact = minimize_scalar(nearness, bounds=(start - 0.01, start + 0.01), method="bounded")
        assert limit == pytest.approx(-exact.fun, abs=1e-8)
        assert near == pytest.approx(limit, abs=0.003)
    rates = "Array.from({length: 17}, (_, k) => 0.1 + k / 20)"
    least = evaluate("fan_in", f"Math.min(...{rates}.map((p) => figure.limit(p, 0.2)))")
    assert least > 0.001  # it is never said as 0.000


def test_the_large_input_brings_its_share_of_the_variance(evaluate):
    """Or, where there are too few for so small a share, as much as each of the others."""
    cases = [(16, 0.8), (2, 0.5), (64, 0.1), (8, 0.1)]
    found = evaluate("fan_in", "given.map((each) => figure.large(...each))", cases)
    for a, (n, share) in zip(found, cases, strict=True):
        assert a**2 / (n - 1 + a**2) == pytest.approx(max(share, 1 / n))


def test_the_two_chances_are_those_that_the_library_draws(evaluate):
    """50,000 draws; five standard errors, at most 0.011 (and the gap is 0.23).

    The library's rate and scale are 2**-17 off; c moves by more, and passes no other value."""
    n, p, draws = 16, 0.2, 50_000
    a = contributions(n, 0.8)
    found = evaluate("fan_in", "figure.gap(figure.law(16, 0.2, given))", a[-1])
    x = torch.from_numpy(a).expand(draws, n)
    for law, name in ((functional.dropout, "coins"), (functional.gaussian_dropout, "normal")):
        sums = law(x, p, key=MaskKey(5)).sum(1).numpy()
        c = found["c"] + (1e-3 if found["within"] else -1e-3)
        assert np.mean(sums < c) == pytest.approx(found[name], abs=5 * 0.5 / draws**0.5)
    assert abs(found["coins"] - found["normal"]) == pytest.approx(found["gap"])
    assert found["gap"] > 0.2


def test_the_area_of_the_bars_is_one_and_that_of_the_dropped_p(evaluate):
    law = "figure.law(given.n, given.p, given.a)"
    for n, p, share in ((1, 0.5, None), (40, 0.2, None), (40, 0.2, 0.8)):
        given = {"n": n, "p": p, "a": contributions(n, share)[-1]}
        drawn = (
            "[(atom) => true, (atom) => !atom[3]].map((pick) => figure.steps(atoms, width, pick))"
        )
        steps = f"(({{atoms, step}}, width = Math.min(step, 1)) => {drawn})({law})"
        for found, wanted in zip(
            evaluate("fan_in", steps, given), (1, p if share else 0), strict=True
        ):
            places, heights = np.array(found).reshape(-1, 2).T
            assert heights[:-1] @ np.diff(places) == pytest.approx(wanted)


def test_the_sentence_at_first_is_that_of_sixteen_like_inputs(page):
    (variance, coins, normal, gap), said = numbers(page)
    assert said.startswith("16 inputs of 1. Under either noise the sum z has mean 16 and")
    assert variance == pytest.approx(noise_variance(0.2) * 16, abs=0.005)
    assert gap == pytest.approx(widest_gap(np.ones(16), 0.2), abs=5e-4)
    c = float(re.search(r"At c = ([\d.]+) the chance of z < c", said).group(1))
    assert coins == pytest.approx(binom.cdf(round(0.8 * c) - 1, 16, 0.8), abs=5e-4)
    assert normal == pytest.approx(norm.cdf((c - 16) / 2), abs=5e-4)
    assert said.endswith("As n grows the gap goes to 0.")


def test_the_gap_is_dragged_along_its_line(page):
    """To the foot of the tick of 256, from the left end; then one key further."""
    lines = page.locator("svg").nth(1)
    tick = lines.get_by_text("256", exact=True).bounding_box()
    box = lines.bounding_box()
    assert tick
    assert box
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 80)
    page.mouse.down()
    page.mouse.move(tick["x"] + tick["width"] / 2, box["y"] + 100, steps=6)
    page.mouse.up()
    values, said = numbers(page)
    assert said.startswith("256 inputs of 1.")
    assert values[3] == pytest.approx(widest_gap(np.ones(256), 0.2), abs=5e-4)
    page.get_by_role("slider", name="fan-in n").press("ArrowRight")
    values, said = numbers(page)
    assert said.startswith("384 inputs of 1.")
    assert values[3] == pytest.approx(widest_gap(np.ones(384), 0.2), abs=5e-4)


def test_one_that_dominates_is_seen_to(page):
    page.get_by_role("button", name="one dominates").click()
    page.get_by_role("slider", name="fan-in n").press("End")
    (variance, _, _, gap, at_last), said = numbers(page)
    a = contributions(1024, 0.8)
    assert said.startswith(f"1023 inputs of 1 and one of {a[-1]:.1f}.")
    assert variance == pytest.approx(noise_variance(0.2) * (a**2).sum(), abs=0.005)
    assert gap == pytest.approx(widest_gap(a, 0.2), abs=5e-4)
    assert 0.9 * gap < at_last < gap
    assert said.endswith(
        f"As n grows and the one keeps its 80 % the gap goes to {at_last:.3f}, not to 0."
    )
    assert page.locator("path.lost").count() == 1
    page.get_by_role("slider", name="its share of the noise").press("Home")
    page.get_by_role("slider", name="fan-in n").press("Home")
    page.get_by_role("slider", name="fan-in n").press("ArrowRight")
    assert "(for one to bring only 20 %, n must be larger)" in numbers(page)[1]
