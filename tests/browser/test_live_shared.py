"""Who shares a coin: the masks are the library's, and how loud each way is holds exactly."""

import re

import numpy as np
import pytest
import torch

from dropout.functional import drop_block2d
from dropout.mask import MaskKey, block_threshold, keep_mask, realised_rate

SEED, SHAPE = 2016, (2, 3, 6, 6)
SHARED = {
    "element": (), "weight": (0,), "feature": (2,), "row": (3,), "block": None,
    "channel": (2, 3), "example": (1, 2, 3), "batch": (0, 1, 2, 3),
}  # fmt: skip
RATES = [round(0.05 * k, 2) for k in range(1, 20)]
pytestmark = pytest.mark.unchecked


def library(who: str, p: float, step: int) -> np.ndarray:
    """The mask that the library draws, broadcast to the tensor."""
    key = MaskKey(SEED, 0, step)
    if SHARED[who] is None:
        return (drop_block2d(torch.ones(SHAPE), p, 3, key=key) > 0).numpy()
    return np.broadcast_to(keep_mask(key, SHAPE, p, shared=SHARED[who]), SHAPE)


def exact(who: str, p: float) -> tuple[float, float]:
    """Mean and variance of the fraction kept, by the chapter's theorems."""
    if SHARED[who] is not None:
        q, coins = 1 - realised_rate(p), keep_mask(MaskKey(0), SHAPE, p, shared=SHARED[who]).size
        return q, q * (1 - q) / coins
    gamma = block_threshold(p, 6, 6, 3) / 2**32
    first = np.arange(4)
    inside = (np.arange(6)[:, None] >= first) & (np.arange(6)[:, None] < first + 3)
    along = inside.astype(int) @ inside.T
    common = np.kron(along, along)  # blocks over both of two places of a map
    over = np.diag(common)
    kept = (1 - gamma) ** over
    covariance = np.outer(kept, kept) * ((1 - gamma) ** (-common) - 1.0)
    return kept.mean(), 6 * covariance.sum() / 216**2


def kept_of(page) -> int:
    return int(re.search(r"keeps (\d+) of 216", page.locator(".live-said").inner_text())[1])


def test_its_masks_are_the_librarys(evaluate):
    given = [{"who": who, "p": p, "step": 5} for who in SHARED for p in (0.05, 0.35, 0.9)]
    drawn = evaluate("shared", "given.map((each) => figure.mask(base, each.who, each))", given)
    for each, mask in zip(given, drawn, strict=True):
        wanted = library(each["who"], each["p"], 5)
        assert np.array_equal(np.reshape(mask, SHAPE), wanted), each


def test_its_blocks_fall_at_the_rate_of_the_library(evaluate):
    """Of 32 bits: the rate of a block is a number of these, not of 65,536."""
    found = evaluate("shared", "given.map(figure.blockThreshold)", RATES)
    assert found == [block_threshold(p, 6, 6, 3) for p in RATES]


def test_the_outlined_elements_are_those_that_share(evaluate):
    """Two with one coin agree in all of 60 masks; two with coins of their own, once in 2^60."""
    given = [(who, at) for who in SHARED if who != "block" for at in (0, 51, 100, 215)]
    found = evaluate("shared", "given.map(([who, at]) => figure.sharers(who, at))", given)
    masks = {who: [library(who, 0.5, step).ravel() for step in range(60)] for who in SHARED}
    for (who, at), group in zip(given, found, strict=True):
        agree = (np.stack(masks[who]) == np.stack(masks[who])[:, [at]]).all(0)
        assert group == np.flatnonzero(agree).tolist(), who


def test_elements_of_blocks_share_where_a_block_holds_both(evaluate):
    pixels = [0, 14, 215]
    found = evaluate("shared", "given.map((at) => figure.sharers('block', at))", pixels)
    for at, group in zip(pixels, found, strict=True):
        n, r, s = at // 36, at // 6 % 6, at % 6
        wanted = np.zeros((6, 6, 6), bool)
        for top, left in np.ndindex(4, 4):
            if top <= r < top + 3 and left <= s < left + 3:
                wanted[n, top : top + 3, left : left + 3] = True
        assert group == np.flatnonzero(wanted).tolist()


def test_how_much_is_kept_has_the_variance_of_the_theorems(evaluate):
    """The figure goes through all masks; the theorems have covariances."""
    given = [(who, p) for who in SHARED for p in (0.05, 0.35, 0.95)]
    call = """given.map(([who, p]) => {
      const chance = figure.chances(base, who, p);
      return {all: chance.reduce((a, b) => a + b), ...figure.moments(chance)};
    })"""
    for (who, p), found in zip(given, evaluate("shared", call, given), strict=True):
        mean, variance = exact(who, p)
        assert found["all"] == pytest.approx(1, rel=1e-12)
        assert found["mean"] == pytest.approx(mean, rel=1e-12)
        assert found["variance"] == pytest.approx(variance, rel=1e-9)


def test_sharing_is_louder_at_every_rate():
    """As the title says; of blocks it is no theorem."""
    for p in RATES:
        variances = [exact(who, p)[1] for who in SHARED]
        assert min(variances[1:]) > 1.5 * variances[0]


def test_the_line_that_it_shows_draws_its_mask(page):
    names = {"keep_mask": keep_mask, "drop_block2d": drop_block2d, "torch": torch}
    for who in SHARED:
        page.get_by_role("button", name=who, exact=True).click()
        line = page.locator(".live code", has_text="m = ")
        page.locator(".live-panel text[font-weight='650']", has_text=who).wait_for()
        scope = names | {"x": torch.ones(SHAPE), "p": 0.35, "key": MaskKey(SEED, 0, 0)}
        exec(line.inner_text(), scope)
        m = scope["m"]
        assert np.array_equal(np.broadcast_to(np.asarray(m), SHAPE), library(who, 0.35, 0))
        if who != "block":
            assert (
                line.locator("..")
                .inner_text()
                .endswith(f"of shape {' × '.join(map(str, m.shape))}")
            )


def test_its_sentence_and_its_dots_are_of_the_mask_drawn(page):
    for _ in range(3):
        page.get_by_role("button", name="New draw").click()
    page.get_by_role("button", name="example", exact=True).click()
    page.get_by_label("show the std").check()
    page.locator(".live-said", has_text="2 coins, 108 elements each").wait_for()
    assert kept_of(page) == library("example", 0.35, 3).sum()
    assert f"{exact('example', 0.35)[1] ** 0.5:.3f}" in page.locator(".live-said").inner_text()
    axis = page.locator(".live-panel").nth(1).locator(".live-frame").get_attribute("d")
    left, right = (float(re.findall(r"[ML]([\d.]+)", axis)[k]) for k in (0, 2))
    for who in SHARED:
        dot = float(page.locator(f"circle.{who}").get_attribute("cx"))
        share = library(who, 0.35, 3).mean()
        assert (dot - left) / (right - left) == pytest.approx(share, abs=0.001)


def test_an_element_is_picked_by_a_click_and_pointing(page):
    box = page.locator(".live-panel").first.bounding_box()
    unit = box["width"] / 320

    def to(x, y):
        page.mouse.move(box["x"] + x * unit, box["y"] + y * unit)

    slider = page.get_by_role("slider", name="element")
    to(22 + 102 + 3 * 15 + 7, 24 + 106 + 2 * 15 + 7)
    page.mouse.down()
    page.mouse.up()
    page.locator(".live-panel text", has_text="x[1, 1, 2, 3]").wait_for()
    assert slider.get_attribute("aria-valuetext") == "1,1,2,3"
    to(22 + 7, 24 + 7)  # pointing changes no control
    page.locator(".live-panel text", has_text="x[0, 0, 0, 0]").wait_for()
    assert page.locator(".live-panel text", has_text="and 35 more").count() == 1
    assert slider.get_attribute("aria-valuetext") == "1,1,2,3"


def test_a_click_on_a_strip_chooses_it(page):
    page.locator(".live-panel").nth(1).get_by_text("batch").click()
    page.locator(".live-said", has_text="the whole batch: 1 coin. This").wait_for()
    assert kept_of(page) in (0, 216)


@pytest.mark.parametrize("who", ["channel", "block"])
def test_a_guess_is_told_how_loud_it_is_and_no_sooner(page, who):
    page.get_by_role("button", name=who, exact=True).click()
    times = exact(who, 0.35)[1] / exact("element", 0.35)[1]
    told, std = page.locator(".live-told"), f"{exact(who, 0.35)[1] ** 0.5:.3f}"
    page.locator(".live-panel text[font-weight='650']", has_text=who).wait_for()
    before = page.locator(".live").text_content()
    for answer in (std, "std", f"{times:.0f} elements", f"{times:.0f} times"):
        assert answer not in before.replace("show the std", "")
    page.get_by_role("spinbutton").fill("6")
    page.get_by_role("button", name="That is my guess").click()
    shown = f"{times:.0f}" if who == "channel" else f"{times:.1f}"
    assert f"You said 6 times. By {who} it is {shown} times" in told.inner_text()
    page.locator(".live-said", has_text=f"standard deviation {std}").wait_for()
    assert page.get_by_label("show the std").is_checked()
    assert page.locator(".live-panel").nth(1).get_by_text(std, exact=True).count() == 1
