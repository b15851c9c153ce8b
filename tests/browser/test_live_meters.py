"""Which explanation: the figure's numbers are the study's, and it says no more than the chapter."""

import json
from pathlib import Path

import numpy as np
import pytest

from dropout import experiments

CHAPTER = Path(__file__).parents[2] / "chapters/09_why_it_helps.ipynb"
WAYS = {
    "none": "no dropout", "dropout": "dropout", "normal": "Gaussian noise",
    "masks": "8 masks a step", "formula": "formula", "groups": "formula for groups of 8",
    "decay": "weight decay",
}  # fmt: skip
QUANTITIES = ("loss", "averaged loss", "worst", "others", "correlation")
pytestmark = pytest.mark.unchecked


@pytest.fixture(scope="module")
def study():
    return experiments.read("why_it_helps")["arms"]


def sets(arm, quantity):
    """The means over the networks of each training set."""
    return np.reshape(arm[quantity], (-1, 5)).mean(0)


def left_over(study, name):
    """As the chapter's: for each training set, the test loss as a share of that without dropout."""
    return sets(study[name], "loss") / sets(study["no dropout"], "loss")


def shares(study, name):
    """The four meters, as shares of what they show without dropout, from the chapter's tables."""
    arm, plain = study[name], study["no dropout"]
    of = [np.mean(arm[key]) / np.mean(plain[key]) for key in ("worst", "others", "correlation")]
    cost = [np.mean(each["averaged loss"]) - np.mean(each["loss"]) for each in (arm, plain)]
    return [*of, cost[0] / cost[1]]


def said(study, name):
    """The numbers that a sentence on an arm must have."""
    share = left_over(study, name)
    return f"{share.mean():.2f} ± {share.std(ddof=1) / 5**0.5:.2f} of that without dropout is left"


def test_its_numbers_are_those_of_the_stored_study(evaluate, study):
    found = evaluate("meters", "figure.STUDY")
    assert list(found) == list(study)
    for name, arm in study.items():
        wanted = [[round(1e4 * x) for x in sets(arm, quantity)] for quantity in QUANTITIES]
        assert found[name] == wanted, name


def test_its_ways_are_all_arms_of_the_study(evaluate, study):
    ways = "Object.keys(figure.controls[0].options)"
    ask = f"{ways}.map((way) => [2, 4, 8, 16].map((size) => [way, figure.arm(way, size)])).flat()"
    found = evaluate("meters", ask)
    assert {arm for _, arm in found} == set(study)
    assert {way: arm for way, arm in found if "partners" not in arm} == WAYS


def test_its_shares_and_errors_are_the_chapters(evaluate, study):
    """Up to the rounding of the numbers, to the fourth decimal."""
    found = evaluate("meters", "given.map((name) => figure.gain(name))", list(study))
    ask = "given.map((name) => [0, 1, 2, 3].map((k) => figure.meter(k, name)))"
    meters = evaluate("meters", ask, list(study))
    for name, gain, four in zip(study, found, meters, strict=True):
        share = left_over(study, name)
        assert gain["sets"] == pytest.approx(share, abs=4e-4)
        assert gain["mean"] == pytest.approx(share.mean(), abs=2e-4)
        assert gain["error"] == pytest.approx(share.std(ddof=1) / 5**0.5, abs=2e-4)
        assert [each["mean"] for each in four] == pytest.approx(shares(study, name), abs=4e-4)
        for each in four:
            assert np.mean(each["sets"]) == pytest.approx(each["mean"])


def test_the_gain_stays_shrinks_and_goes_where_the_chapter_says_so(evaluate, study):
    """The chapter's lists, from its cell, and its sentence on partners: gone from eight.

    With two and four fixed partners it is smaller: by less than the error of dropout's, and so
    that none is seen.
    """
    cells = json.loads(CHAPTER.read_text("utf-8"))["cells"]
    (cell,) = [c for c in cells if "".join(c["source"]).startswith("stays = [")]
    lists: dict[str, list[str]] = {}
    exec("".join(cell["source"]).split("share =")[0], lists)
    wanted = dict.fromkeys(lists["stays"], "the gain stays")
    wanted |= dict.fromkeys(lists["goes"], "the gain is gone")
    wanted["fixed partners 2"] = "the gain is smaller, within the error of dropout's"
    wanted["fixed partners 4"] = "no gain that shows"
    all_sets = {name: left_over(study, name) for name in wanted}
    found = {name: (sets.mean(), sets.std(ddof=1) / 5**0.5) for name, sets in all_sets.items()}
    assert found["dropout"][0] < found["fixed partners 2"][0] < sum(found["dropout"])
    assert abs(found["fixed partners 4"][0] - 1) < found["fixed partners 4"][1]
    ask = "given.map((name) => [name, figure.gain(name)])"
    ask += ".map(([name, {mean, error}]) => [name, figure.verdict(mean, error)])"
    assert dict(evaluate("meters", ask, list(wanted))) == wanted
    assert evaluate("meters", "figure.verdict(0.97, 0.01)") == "the gain shrinks"


def test_what_an_explanation_predicts_is_the_chapters_table(page):
    cells = json.loads(CHAPTER.read_text("utf-8"))["cells"]
    (text,) = [
        "".join(c["source"]) for c in cells if "| what it lives on |" in "".join(c["source"])
    ]
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| **")]
    should = {row[0].split("**")[1]: row[3].strip() for row in rows}
    predicted = {
        "formula R": "Noise as a penalty predicts that the gain {Noise as a penalty}s, averaging "
        "that it {Averaging}es, jitter that it {Noise as jitter}s.",
        "8 masks a step": "predicts that the gain {Noise as jitter}s.",
        "fixed partners": "Co-adaptation as the reason predicts that the gain {Co-adaptation}es.",
    }
    for way, words in predicted.items():
        page.get_by_role("button", name=way, exact=True).click()
        page.locator(".live-said", has_text=words.format_map(should)).wait_for()


def test_each_way_is_told_with_its_numbers(page, study):
    for button, way in zip(page.locator(".live-choice button").all(), (
        "no dropout", "dropout", "Gaussian noise", "8 masks a step", "formula",
        "formula for groups of 8", "fixed partners 8", "changing partners 8", "weight decay",
    ), strict=True):  # fmt: skip
        button.click()
        four = [f"{each:.2f}" for each in shares(study, way)]
        words = f"as shares of those without dropout: {', '.join(four[:3])} and {four[3]}."
        page.locator(".live-said", has_text=words).wait_for()
        if way != "no dropout":
            assert said(study, way) in page.locator(".live-said").inner_text()
        values = page.locator("svg .value").all_text_contents()
        arm = study[way]
        cost = np.mean(arm["averaged loss"]) - np.mean(arm["loss"])
        wanted = [np.mean(arm["worst"]), np.mean(arm["others"]), np.mean(arm["correlation"]), cost]
        shown = [float(each.split()[0]) for each in values]
        assert shown == pytest.approx(wanted, abs=0.00065)  # three decimals, of four


def test_more_fixed_partners_leave_less_of_the_gain(page, study):
    page.get_by_role("button", name="fixed partners", exact=True).click()
    slider = page.get_by_role("slider", name="units on a coin")
    slider.focus()
    page.keyboard.press("End")
    for size in (16, 8, 4, 2):
        page.locator(".live-said b", has_text=f"fixed partners, {size} on a coin.").wait_for()
        assert slider.get_attribute("aria-valuetext") == str(size)
        assert said(study, f"fixed partners {size}") in page.locator(".live-said").inner_text()
        page.keyboard.press("ArrowLeft")
    means = [left_over(study, f"fixed partners {size}").mean() for size in (2, 4, 8, 16)]
    assert means == sorted(means)


def test_a_way_is_hidden_until_it_is_chosen(page, study):
    unknown = page.locator("svg text", has_text="?")
    assert unknown.count() == len(WAYS) + 2 - 2
    box = page.locator("svg").first.bounding_box()
    assert box
    y = box["y"] + (36 + 24 * 5) * box["width"] / 320  # the row of R for groups of 8
    page.mouse.click(box["x"] + 60, y)
    page.locator(".live-said", has_text=said(study, "formula for groups of 8")).wait_for()
    page.get_by_role("button", name="dropout", exact=True).click()
    page.locator(".live-said", has_text="this is the gain").wait_for()
    assert unknown.count() == 6
    assert page.locator("svg .other").count() == 4
    page.get_by_role("button", name="Reset").click()
    page.wait_for_timeout(60)
    assert unknown.count() == 7
    page.get_by_label("show all ways").check()
    page.wait_for_timeout(60)
    assert unknown.count() == 0


def test_the_formula_has_the_gain_with_nearly_the_old_interaction(page, study):
    """What a guess is told, and that it holds."""
    formula, dropout = (shares(study, name)[1] for name in ("formula", "dropout"))
    assert dropout < 0.6 < 0.8 < formula < 1
    assert left_over(study, "formula").mean() < 0.92
    assert f"{formula:.2f}" not in page.locator(".live").inner_text()
    page.get_by_role("spinbutton").fill("0.4")
    page.get_by_role("button", name="That is my guess").click()
    words = f"You said 0.4, it is {formula:.2f}, where dropout has {dropout:.2f}"
    page.locator(".live-told", has_text=words).wait_for()
    page.locator(".live-said", has_text=said(study, "formula")).wait_for()


def test_the_title_holds_no_meter_falls_wherever_the_loss_does(study):
    """With weight decay, which gains as well, each that falls with dropout keeps over a half."""
    falls = [k for k, each in enumerate(shares(study, "dropout")) if each < 0.5]
    assert falls == [0, 1, 3]
    for k in falls:
        assert shares(study, "weight decay")[k] > 0.5
    assert left_over(study, "weight decay").mean() < 0.92
