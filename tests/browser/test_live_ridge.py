"""The ridge path: the stored sums are the data's, and the fits those of the library."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge

from dropout.theory.ensembles import all_masks, mask_probabilities
from dropout.theory.penalties import fit_least_squares, squared_loss_penalty
from tests.browser.looks import settle

DIABETES = load_diabetes(scaled=False)
SPREAD = DIABETES.data.std(axis=0)
CENTRES = DIABETES.data.mean(axis=0) / SPREAD
CENTRED = DIABETES.data / SPREAD - CENTRES
Y, N = DIABETES.target, len(DIABETES.target)
pytestmark = pytest.mark.unchecked


def features(shift):
    """The measurements, of standard deviation 1, so far from their centre."""
    return CENTRED + shift * CENTRES


def ridge(p):
    """The weights of ridge regression with λ = p/q on the mean square."""
    return Ridge(alpha=N * p / (1 - p)).fit(CENTRED, Y).coef_


def explained(shift, p):
    """The share of the variance that the library's fit under dropout explains, in per cent."""
    x = features(shift)
    w, b = fit_least_squares(x, Y, p)
    return 100 * (1 - np.mean((Y - b - x @ w) ** 2) / Y.var())


def said(page):
    settle(page)
    return page.locator(".live-said").inner_text()


def test_its_numbers_are_computed_from_the_data(evaluate):
    found = evaluate("ridge", "figure.DATA")
    assert found["names"] == DIABETES.feature_names
    assert found["centres"] == pytest.approx(CENTRES, rel=1e-9)
    lower = np.corrcoef(CENTRED.T)
    for j, row in enumerate(found["correlations"]):
        assert row == pytest.approx(lower[j, :j], rel=1e-9)
    assert found["withTarget"] == pytest.approx(CENTRED.T @ Y / N, rel=1e-9)
    assert [found["targetMean"], found["targetVariance"]] == pytest.approx([Y.mean(), Y.var()])


def test_its_fit_under_dropout_is_the_librarys(evaluate):
    cases = [(p, shift) for p in (0, 0.03, 0.5, 0.95) for shift in (0, 0.05, 1)]
    found = evaluate("ridge", "given.map((each) => figure.dropout(...each))", cases)
    for (p, shift), (*weights, bias) in zip(cases, found, strict=True):
        w, b = fit_least_squares(features(shift), Y, p)
        assert weights == pytest.approx(w, abs=1e-5)
        assert bias == pytest.approx(b, abs=1e-4)


def test_its_fit_is_that_of_every_mask(evaluate):
    """All 2^10 masks on every patient, counted: no formula for the penalty."""
    p, x = 0.3, features(1)
    masks = np.c_[all_masks(10) / (1 - p), np.ones(2**10)]  # the bias is not dropped
    coins = (masks.T * mask_probabilities(all_masks(10), 1 - p)) @ masks
    design = np.c_[x, np.ones(N)]
    wanted = np.linalg.solve(coins * (design.T @ design), design.T @ Y)
    found = evaluate("ridge", "figure.dropout(0.3, 1)")
    assert found == pytest.approx(wanted, abs=1e-5)


def test_centred_it_is_ridge_at_every_rate_and_with_p_for_q_it_is_not(evaluate):
    rates = (np.arange(96) / 100).tolist()
    both = evaluate("ridge", "given.map((p) => [figure.ridge(p), figure.dropout(p, 0)])", rates)
    for p, (found, dropped) in zip(rates, both, strict=True):
        assert found == pytest.approx(ridge(p), abs=1e-5)
        assert dropped[:10] == pytest.approx(found, abs=1e-9)
    assert np.abs(np.subtract(both[20][0], ridge(0.8))).max() > 5


def test_the_least_shift_of_the_slider_breaks_it(evaluate):
    apart = "given.map((p) => figure.farthest(figure.ridge(p), figure.dropout(p, 0.05)))"
    rates = [0.01, 0.5, 0.95]
    for p, (far, name) in zip(rates, evaluate("ridge", apart, rates), strict=True):
        off = np.abs(fit_least_squares(features(0.05), Y, p)[0] - ridge(p))
        assert far == pytest.approx(off.max(), abs=1e-4)
        assert name == DIABETES.feature_names[off.argmax()]
        assert far > 0.09


def test_what_it_charges_is_the_penalty_of_the_theorem(evaluate):
    w = np.random.default_rng(1).normal(size=10)
    for p, shift in ((0.5, 0), (0.2, 1)):
        found = evaluate("ridge", f"figure.charges({p}, {shift})")
        wanted = squared_loss_penalty(features(shift), w, p)
        assert N * np.dot(found, w**2) == pytest.approx(wanted)


def test_the_share_that_it_states_is_that_of_the_patients(evaluate):
    cases = [(0.5, 0), (0.5, 1), (0.05, 0.1)]
    share = "figure.explained(figure.dropout(...each).slice(0, 10))"
    found = evaluate("ridge", f"given.map((each) => 100 * {share})", cases)
    assert found == pytest.approx([explained(shift, p) for p, shift in cases], abs=1e-4)


def test_at_first_the_two_agree(page):
    text = said(page)
    assert text.startswith("At p = 0.50 both add λ = p/q = 1.00 for each")
    assert "0.000000 apart" in text
    assert f"both explain {explained(0, 0.5):.0f} %" in text


def test_the_rate_is_dragged_in_the_picture(page):
    """From the right to the tick of 0.2: the marker is there, and so are the numbers."""
    paths = page.locator("svg").first
    box, tick = paths.bounding_box(), paths.get_by_text("0.2", exact=True).bounding_box()
    assert box
    assert tick
    middle = tick["x"] + tick["width"] / 2
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 60)
    page.mouse.down()
    page.mouse.move(middle, box["y"] + 90, steps=5)
    page.mouse.up()
    assert f"At p = 0.20 both add λ = p/q = {0.2 / 0.8:.2f}" in said(page)
    assert f"both explain {explained(0, 0.2):.0f} %" in said(page)
    here = page.locator("line.here").bounding_box()
    assert here
    assert here["x"] + here["width"] / 2 == pytest.approx(middle, abs=2)
    bars = page.locator("svg").nth(1).locator("circle")
    places = [float(each.get_attribute("cx")) for each in bars.all()]
    scale = np.polyfit(ridge(0.2), places, 1)
    assert np.abs(np.polyval(scale, ridge(0.2)) - places).max() < 0.06  # they lie by the weights


def test_off_centre_dropout_is_far_from_ridge(page):
    page.get_by_role("slider", name="off centre").press("End")
    off = np.abs(fit_least_squares(features(1), Y, 0.5)[0] - ridge(0.5))
    text = said(page)
    assert f"up to {off.max():.2f} apart ({DIABETES.feature_names[off.argmax()]})" in text
    assert f"Ridge explains {explained(0, 0.5):.0f} %" in text
    assert f"dropout {explained(1, 0.5):.0f} %" in text
    charged = (features(1) ** 2).mean(axis=0)
    assert f"dropout {charged.min():.2f} to {charged.max():.1f}." in text
    for value in charged:
        assert page.locator("svg").nth(1).get_by_text(f"{value:.2f}", exact=True).count() == 1
    page.get_by_role("slider", name="rate p").press("Home")
    assert said(page).startswith("At p = 0 nothing is dropped. Both are least squares")


def test_a_guess_is_told_how_far_it_is_off_and_no_sooner(page):
    truth = f"{explained(1, 0.5):.0f} %"
    assert truth not in page.locator(".live").inner_text()
    page.get_by_role("spinbutton").fill("30")
    page.get_by_role("button", name="That is my guess").click()
    page.locator(".live-told", has_text=f"You said 30 %. It is {truth}").wait_for()
    assert f"dropout {truth}" in said(page)  # and the features have moved
    page.get_by_role("button", name="Reset").click()
    assert page.locator(".live-told").inner_text() == ""
    assert "0.000000 apart" in said(page)
