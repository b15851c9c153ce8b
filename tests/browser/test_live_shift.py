"""The variance shift: its numbers are the library's, and those of a batch norm in PyTorch."""

import re
from copy import deepcopy
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from dropout.nn import Dropout
from dropout.theory.variance_shift import before_batch_norm, reestimate, through_weights

TOGETHER = {"alone": (0, 0.5), "cancel": (0.1, 0), "some": (0.1, 0.1), "all": (0.1, 1)}
pytestmark = pytest.mark.unchecked


def weights(d, cos2):
    """Weights of length 1, of which cos² with (1, ..., 1) is this."""
    along = np.ones(d) / d**0.5
    across = np.where(np.arange(d) == 0, 1.0, 0) - np.where(np.arange(d) == 1, 1.0, 0)
    return cos2**0.5 * along + (1 - cos2) ** 0.5 * across / 2**0.5


def between(p, c, d, together):
    """The library's shift of a unit with such weights between."""
    rho, cos2 = TOGETHER[together]
    covariance = rho + (1 - rho) * np.eye(d)
    return through_weights(np.full(d, float(c)), covariance, weights(d, cos2)[None], p)[0]


def direct(p, c):
    """The library's shift of a unit of variance 1 right before a batch norm."""
    return before_batch_norm(np.array([float(c)]), np.ones(1), p)[0]


def said(page, *numbers):
    """Wait until the sentence has these numbers in bold."""
    for number in numbers:
        page.locator(".live-said b", has_text=re.compile(f"^{number:.2f}$")).first.wait_for()


RATIOS = "given.map((each) => figure.variances(each).ratio)"


def test_right_before_it_is_the_librarys(evaluate):
    cases = list(product([0, 0.1, 0.5, 0.8], [0, 0.7, 2]))
    given = [{"p": p, "c": c, "place": "direct"} for p, c in cases]
    assert evaluate("shift", RATIOS, given) == pytest.approx([direct(*each) for each in cases])


def test_with_weights_between_it_is_the_librarys(evaluate):
    cases = list(product([0, 0.3, 0.8], [0, 1.5], [2, 32, 362], TOGETHER))
    keys = "p", "c", "d", "together"
    given = [{"place": "between", **dict(zip(keys, each, strict=True))} for each in cases]
    assert evaluate("shift", RATIOS, given) == pytest.approx([between(*each) for each in cases])


def test_after_it_there_is_none_and_the_noise_remains(evaluate):
    given = {"p": 0.8, "c": 2, "place": "after"}
    found = evaluate("shift", "figure.variances(given)", given)
    assert found["ratio"] == 1
    assert found["stages"][-1] == ["dropout", pytest.approx(1 / 0.2), 1]


@pytest.mark.parametrize("place", ["direct", "between"])
def test_a_batch_norm_of_pytorch_stores_and_sends_these(evaluate, place):
    """Of 40,000 examples; the variances' standard errors are below 1 %, the bound is 5 %."""
    p, c, d = 0.5, 1.0, 16
    given = {"p": p, "c": c, "d": d, "together": "all", "place": place}
    ways = [given | {"statistics": way} for way in ("training", "on", "off")]
    found = evaluate("shift", "given.map(figure.variances)", ways)
    torch.manual_seed(0)
    x = 0.9**0.5 * torch.randn(40_000, d) + 0.1**0.5 * torch.randn(40_000, 1) + c
    linear = nn.Linear(d, 1, bias=False)
    linear.weight.data = torch.from_numpy(weights(d, 1.0)[None]).float()
    layers = [linear] if place == "between" else []
    model = nn.Sequential(Dropout(p), *layers, nn.BatchNorm1d(1 if layers else d, momentum=None))
    batches = x.split(10_000)
    for batch in batches:
        model(batch)
    renewed = deepcopy(model), deepcopy(model)
    update_bn(batches, renewed[0])
    reestimate(renewed[1], batches)
    for each, wanted in zip((model, *renewed), found, strict=True):
        assert each[-1].running_var.mean().item() == pytest.approx(wanted["stored"], rel=0.05)
        leaves = each.eval()(x).var(0).mean().item()
        assert leaves == pytest.approx(wanted["stages"][-1][2], rel=0.05)
    assert found[2]["stored"] < 0.9 * found[0]["stored"]  # which the bound would notice


def test_the_fewest_inputs_are_the_fewest(evaluate):
    given = {"p": 0.5, "c": 1, "together": "some"}
    fewest = evaluate("shift", "figure.fewest(given, 0.8)", given)
    assert between(0.5, 1, fewest - 1, "some") < 0.8 - 1e-4
    assert between(0.5, 1, fewest, "some") > 0.8 - 1e-9


def test_at_first_the_shift_is_a_third(page):
    said(page, 1 / direct(0.5, 1), 1, direct(0.5, 1), direct(0.5, 1) ** 0.5)
    assert "a shift of 0.33" in page.locator(".live-said").inner_text()


def test_renewing_mends_it_and_update_bn_does_not(page):
    dot = page.locator("svg").nth(1).locator("circle")
    before = float(dot.get_attribute("cy"))
    page.get_by_role("button", name="update_bn").click()
    page.locator(".live-said", has_text="update_bn leaves dropout on").wait_for()
    said(page, 3, 1, direct(0.5, 1))
    assert float(dot.get_attribute("cy")) == before
    page.get_by_role("button", name="renewed, dropout off").click()
    page.locator(".live-said", has_text="renewed with dropout off").wait_for()
    top, bottom = 24, 222
    assert float(dot.get_attribute("cy")) == top
    assert before == pytest.approx(bottom - direct(0.5, 1) * (bottom - top))
    assert "stored 1.00" in page.locator("svg").first.text_content()


def test_a_drag_over_the_curves_sets_the_rate(page):
    panel = page.locator("svg").nth(1)
    box = panel.bounding_box()
    for p in (0.3, 0.2):
        x = box["x"] + (36 + p / 0.8 * (214 - 36)) / 320 * box["width"]
        page.mouse.move(x, box["y"] + box["height"] / 2)
        page.mouse.down()
    page.mouse.up()
    page.locator(".live-value", has_text="0.20").wait_for()
    said(page, 1 / direct(0.2, 1), direct(0.2, 1))


def test_after_it_units_drop_only_where_the_rate_is_not_zero(page):
    page.get_by_role("button", name="after it").click()
    page.locator(".live-said", has_text="Units drop above it all the same").wait_for()
    page.get_by_role("slider", name="rate p").press("Home")
    page.locator(".live-said", has_not_text="drop").wait_for()
    assert "stores 1.00 and meets 1.00." in page.locator(".live-said").inner_text()


def test_a_mean_makes_it_worse_by_the_keys(page):
    page.get_by_role("slider", name="mean c").focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    said(page, 1 / direct(0.5, 1.4), direct(0.5, 1.4))
    page.keyboard.press("Home")
    said(page, direct(0.5, 0))
    assert direct(0.5, 0) == 0.5


def test_width_helps_where_the_weights_agree_and_alone_it_does_nothing(page):
    page.get_by_role("button", name="weights between").click()
    said(page, between(0.5, 1, 32, "some"))
    page.get_by_role("button", name="equal weights").click()
    said(page, between(0.5, 1, 32, "all"))
    page.get_by_role("slider", name="inputs d").focus()
    page.keyboard.press("End")
    said(page, between(0.5, 1, 1024, "all"))
    page.get_by_role("button", name="uncorrelated").click()
    said(page, between(0.5, 1, 1024, "alone"))
    assert between(0.5, 1, 1024, "alone") == pytest.approx(direct(0.5, 1))


def test_a_guess_is_told_the_shift_there_and_how_many_inputs_it_takes(page):
    page.get_by_role("slider", name="rate p").focus()
    page.keyboard.press("Home")
    page.get_by_role("spinbutton").fill("64")
    page.keyboard.press("Enter")
    at_64 = between(0.5, 1, 64, "some")
    told = page.locator(".live-told", has_text=f"You said 64, where it is {at_64:.2f}. It takes")
    takes = int(re.search(r"takes (\d+)", told.inner_text())[1])
    assert between(0.5, 1, takes - 1, "some") < 0.7999 < between(0.5, 1, takes, "some")
    said(page, between(0.5, 1, 724, "some"))
    assert page.get_by_role("button", name="weights between").get_attribute("aria-pressed")
    page.get_by_role("button", name="Reset").click()
    page.locator(".live-told", has_text=re.compile("^$")).wait_for()
