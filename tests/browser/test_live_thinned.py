"""The thinned network: its masks are the library's, and what it says of them holds."""

import numpy as np
import pytest

from dropout.mask import MaskKey, keep_mask, realised_rate
from tests.browser.looks import settle

EXAMPLES, SEED = 4, 2014
pytestmark = pytest.mark.unchecked


@pytest.mark.parametrize("p", [0.05, 0.5, 0.95])
def test_its_masks_are_the_librarys(evaluate, p):
    sizes = [4, 8, 8, 3]
    given = {"sizes": sizes, "p": p, "step": 7, "training": True}
    drawn = evaluate("thinned", "figure.masks(base, given.sizes, given)", given)
    for layer, units in enumerate(sizes):
        if layer in (0, len(sizes) - 1):
            wanted = np.ones((EXAMPLES, units), bool)
        else:
            wanted = keep_mask(MaskKey(SEED, layer, 7), (EXAMPLES, units), p)
        assert np.array_equal(np.reshape(drawn[layer], (EXAMPLES, units)), wanted)


def test_the_mean_that_it_states_is_that_of_all_masks(evaluate):
    """By enumeration of the hidden units of 2-3-2, with the probability of each mask."""
    p, total = realised_rate(0.3), 0.0
    for mask in np.ndindex(2, 2, 2):
        kept = sum(mask)
        total += (1 - p) ** kept * p ** (3 - kept) * (2 * kept + kept * 2)
    given = {"sizes": [2, 3, 2], "p": 0.3, "step": 0, "training": True}
    masks = "figure.masks(base, given.sizes, given)"
    found = evaluate("thinned", f"figure.counts(base, given.sizes, {masks}, 0, given)", given)
    assert found["edges"]["mean"] == pytest.approx(total, rel=1e-12)
    assert found["units"]["mean"] == pytest.approx(3 * (1 - p), rel=1e-12)


def test_the_numbers_are_those_of_the_picture(page):
    for _ in range(3):
        page.get_by_role("button", name="New draw").click()
    settle(page)
    on = page.locator("svg").first.locator("circle.on").count()
    said = page.locator(".live-said").inner_text()
    assert said.startswith(f"{on - 5} of 9 units stay")  # 3 inputs and 2 outputs are not dropped


def test_evaluation_drops_nothing(page):
    page.get_by_role("button", name="eval()").click()
    page.locator(".live-said", has_text="9 of 9 units stay").wait_for()
    assert page.locator("circle.off").count() == 0
    assert "evaluation" in page.locator(".live-said").inner_text()


def test_a_slider_moves_by_the_keys(page):
    slider = page.get_by_role("slider", name="rate p")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.locator(".live-value", has_text="0.65").wait_for()
    assert slider.get_attribute("aria-valuetext") == "0.65"
    page.locator(".live-said", has_text="what the survivors send is multiplied by 2.857").wait_for()


def test_another_example_has_another_mask(page):
    page.locator(".live-said", has_text="5 of 9").wait_for()
    page.get_by_role("button", name="2", exact=True).click()
    page.locator(".live-said", has_text="3 of 9").wait_for()
