"""The two scalings: both are the library's, mask by mask, and the numbers shown are theirs."""

import re

import numpy as np
import pytest

from dropout import MaskKey, reference
from dropout.mask import inverted_scale, keep_mask, realised_rate, threshold
from tests.browser.live import opened, written

H, SEED = np.array([0.5, 1, 1.5, 2]), 2015
WAYS = {"vanilla": reference.vanilla_dropout, "inverted": reference.dropout}
pytestmark = pytest.mark.unchecked


def sent(way, p, draws):
    """What the library sends on for the four units, a row for each draw."""
    return np.array([WAYS[way](H, p, key=MaskKey(SEED, step=d)) for d in range(draws)])


def row(page, way, name):
    """The numbers of one row of a panel."""
    cells = page.locator(f"svg.{way} text.{name}").all_text_contents()
    return [float(each.replace("−", "-")) for each in cells]


def shows(page, p, draws):
    """Whether a page shows what the library sends at this rate in so many draws, and on average."""
    page.locator(".live-said", has_text=f"Mean of {draws} draw").wait_for()
    for way, dropout in WAYS.items():
        all_draws = sent(way, p, draws)
        assert row(page, way, "last") == pytest.approx(all_draws[-1], abs=0.0051)
        assert row(page, way, "so-far") == pytest.approx(all_draws.mean(0), abs=0.00051)
        evaluation = dropout(H, p, False, key=MaskKey(SEED))
        assert row(page, way, "sent") == pytest.approx(evaluation, abs=0.00051)


@pytest.mark.parametrize("p", [0, 0.1, 0.5, 0.9])
def test_its_masks_are_the_librarys(evaluate, p):
    wanted = [keep_mask(MaskKey(SEED, step=d), (4,), p).astype(int).tolist() for d in range(20)]
    expression = """(() => {
      const tossed = figure.coins(base, 20, figure.coins(base, 7));
      return Array.from({length: 20}, (_, d) => figure.kept(base, tossed, given, d + 1));
    })()"""
    assert evaluate("scalings", expression, p) == wanted


def test_a_coin_at_the_threshold_keeps(evaluate):
    t = threshold(0.3)
    both = "[figure.kept(base, given, 0.3, 1), figure.tally(base, given, 0.3, [1])[0]]"
    assert evaluate("scalings", both, [0, t - 1, t, 65535]) == [[0, 0, 1, 1]] * 2


@pytest.mark.parametrize("p", [0, 0.15, 0.5, 0.9])
def test_its_factors_and_counts_give_the_librarys_means(evaluate, p):
    """The rival, which scales by the rate asked for, is off in the sixth decimal at p = 0.15."""
    looks = [1, 2, 10, 137]
    expression = """({ways: figure.ways(base, given[0]),
      counts: figure.tally(base, figure.coins(base, 137), given[0], given[1])})"""
    found = evaluate("scalings", expression, [p, looks])
    for way, dropout in WAYS.items():
        factor = found["ways"][way]
        for n, counts in zip(looks, found["counts"], strict=True):
            means = H * np.array(counts) * factor["training"] / n
            assert means == pytest.approx(sent(way, p, n).mean(0), rel=1e-12)
        evaluation = dropout(H, p, False, key=MaskKey(SEED))
        assert H * factor["evaluation"] == pytest.approx(evaluation, rel=1e-15)
    assert found["ways"]["inverted"]["training"] == inverted_scale(p)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8, 0.9])
def test_after_ten_thousand_draws_each_mean_is_near_its_own_evaluation(evaluate, p):
    """Within 4.5 standard errors, over draws; the other way's evaluation is many more away."""
    tally = "figure.tally(base, figure.coins(base, 10000), given, [10000])[0]"
    share = np.array(evaluate("scalings", tally, p)) / 10_000
    q = 1 - realised_rate(p)
    assert (abs(share - q) < 4.5 * (q * (1 - q) / 10_000) ** 0.5).all()
    assert (abs(share / q - q) > 20 * ((1 - q) / q / 10_000) ** 0.5).all()


def test_the_looks_of_a_line_go_from_the_first_draw_to_the_last(evaluate):
    for looks, n in zip(
        evaluate("scalings", "given.map(figure.looks)", [1, 2, 137, 20000]), [1, 2, 137, 20000],
        strict=True,
    ):  # fmt: skip
        assert looks[0] == 1
        assert looks[-1] == n
        assert looks == sorted(set(looks))


def test_by_default_the_glossarys_two_is_shown_and_all_is_the_librarys(page):
    shows(page, 0.5, 100)
    said = page.locator(".live-said").inner_text()
    assert "A unit of value 1 is sent as 2.0 or 0 by inverted dropout, as 1.0 or 0 by" in said
    assert set(sent("inverted", 0.5, 100)[:, 1]) == {0, 2.0}
    assert row(page, "inverted", "last")[1] == 2.0


def test_draws_are_added_one_by_one_or_chosen(page):
    page.get_by_role("button", name="1", exact=True).click()
    shows(page, 0.5, 1)
    for draws in (2, 3):
        page.get_by_role("button", name="One more").click()
        shows(page, 0.5, draws)
    page.get_by_role("button", name="10", exact=True).click()  # ten, not twelve
    shows(page, 0.5, 10)


def test_a_link_has_the_draws_that_were_added_one_by_one(browser, tmp_path):
    path = written(tmp_path, "scalings")
    page = opened(browser, path, link="#scalings:draws=10&more=3")
    shows(page, 0.5, 13)
    page.goto(f"{path.as_uri()}#scalings:draws=1&more=3")  # in the page: hashchange
    shows(page, 0.5, 4)
    page.get_by_role("button", name="10", exact=True).click()
    shows(page, 0.5, 10)
    page.close()


def test_only_vanillas_evaluation_moves_with_the_rate(page):
    slider = page.get_by_role("slider", name="rate p")
    slider.focus()
    for _ in range(7):
        page.keyboard.press("ArrowRight")
    page.locator(".live-value", has_text="0.85").wait_for()
    page.locator(".live-said", has_text="q = 0.15").wait_for()
    shows(page, 0.85, 100)
    assert row(page, "inverted", "sent") == H.tolist()
    assert row(page, "vanilla", "sent") == pytest.approx(H * 0.15, abs=0.00051)


@pytest.mark.parametrize(("p", "draws"), [(0.5, 100), (0.9, 10), (0.3, 1)])
def test_lines_end_where_the_means_are_and_dashes_where_evaluation_is(browser, tmp_path, p, draws):
    page = opened(browser, written(tmp_path, "scalings", p=p, draws=str(draws)))
    scales = page.evaluate("""() => [...document.querySelectorAll("svg.live-panel")].map((svg) => {
      const y = (word) => Number([...svg.querySelectorAll('text[text-anchor="end"]')]
        .find((t) => t.textContent === word).getAttribute("y"));
      return [y("0") - 4, y("4") - 4];
    })""")
    for way, (zero, four) in zip(WAYS, scales, strict=True):
        ends = page.locator(f"svg.{way} path.mean").evaluate_all(
            "(all) => all.map((path) => path.getAttribute('d'))"
        )
        levels = page.locator(f"svg.{way} path.evaluation").evaluate_all(
            "(all) => all.map((path) => path.getAttribute('d'))"
        )
        ys = [4 * (float(end.split()[-1]) - zero) / (four - zero) for end in ends]
        means = sent(way, p, draws).mean(0)
        assert ys == pytest.approx(np.minimum(means, 4.2), abs=0.005)
        beyond = page.locator(f"svg.{way} path.beyond").count()
        assert beyond == (means > 4.2).sum()
        evaluation = WAYS[way](H, p, False, key=MaskKey(SEED))
        pixels = [float(re.search(r" ([\d.]+)h", level)[1]) for level in levels]
        ys = [4 * (pixel - zero) / (four - zero) for pixel in pixels]
        assert ys == pytest.approx(evaluation, abs=0.005)
    assert page.errors == []
    page.close()


def test_a_guess_is_made_before_the_number_is_seen(page):
    scale = f"{inverted_scale(0.8):.1f}"
    assert scale == "5.0"
    assert not re.search(r"(?<![\d.])5(\.0+)?(?![\d.])", page.locator(".live").inner_text())
    page.get_by_label("Guess first").fill("1.2")
    page.get_by_role("button", name="That is my guess").click()
    told = page.locator(".live-told", has_text=f"You said 1.2; it is {scale}.")
    told.wait_for()
    page.locator(".live-said", has_text=f"sent as {scale} or 0 by inverted").wait_for()
    shows(page, 0.8, 100)
    assert "rate" not in told.inner_text()  # which may move again
    page.get_by_label("Guess first").fill("5")
    page.keyboard.press("Enter")
    page.locator(".live-told", has_text=f"Yes, {scale}.").wait_for()
    page.get_by_role("button", name="Reset").click()
    assert page.locator(".live-told").inner_text() == ""


@pytest.mark.parametrize("width", [390, 760])
def test_nothing_below_moves_while_the_rate_is_dragged(browser, tmp_path, width):
    page = opened(browser, written(tmp_path, "scalings"), width=width)
    tops = set()
    slider = page.get_by_role("slider", name="rate p")
    for p in np.arange(0, 0.91, 0.05):
        slider.fill(f"{p:.2f}")
        page.locator(".live-said", has_text=f"q = {1 - p:.2f}").wait_for()
        tops.add(page.locator(".live-controls").evaluate("(form) => form.offsetTop"))
    assert len(tops) == 1
    page.close()
