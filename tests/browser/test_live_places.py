"""Where dropout sits in a transformer: its masks, rows of attention and sums are the library's."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from dropout.functional import attention, drop_path, dropout
from dropout.mask import MaskKey, inverted_scale, realised_rate
from dropout.theory.ensembles import all_masks, mask_probabilities
from tests.browser.looks import settle

SEED, T, D, INNER = 2544, 6, 8, 16
SHAPES = {1: (T, D), 3: (T, D), 4: (T, INNER), 5: (T, D)}
pytestmark = pytest.mark.unchecked


def rows(evaluate, *given: tuple[float, int]) -> list[dict]:
    """For rates and steps the figure's queries, keys, weights before and after, and their sums."""
    call = """given.map(([p, step]) => {
      const before = figure.weights(base), state = {p, step, on: true};
      const found = figure.dropped(base, before, figure.mask(base, 2, state), state);
      return {q: figure.queries(base), k: figure.keys(base), before, ...found};
    })"""
    return evaluate("places", call, given)


def heads(found: dict) -> list[torch.Tensor]:
    q, k = (torch.tensor(found[name], dtype=torch.float64).reshape(T, 4) for name in "qk")
    return [q, k, torch.eye(T, dtype=torch.float64)]  # values of the identity: the weights


def said(page) -> str:
    settle(page)
    return page.locator(".live-said").inner_text()


def test_attention_is_that_of_pytorch_and_its_dropout_the_librarys(evaluate):
    given = (0.1, 0), (0.35, 3), (0.9, 7)
    for (p, step), found in zip(given, rows(evaluate, *given), strict=True):
        plain = nn.functional.scaled_dot_product_attention(*heads(found))
        assert np.allclose(np.reshape(found["before"], (T, T)), plain, rtol=1e-12)
        used = attention(*heads(found), p, key=MaskKey(SEED, 2, step))
        assert np.allclose(np.reshape(found["after"], (T, T)), used, rtol=1e-12)
        assert np.allclose(found["sums"], used.sum(1), rtol=1e-12)


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_the_masks_of_the_other_places_are_the_librarys(evaluate, p):
    """That of paths: a branch falls as an example does."""
    call = "[1, 3, 4, 5, 6].map((place) => figure.mask(base, place, {p: given, step: 4, on: true}))"
    wanted = [dropout(torch.ones(shape), p, key=MaskKey(SEED, k, 4)) for k, shape in SHAPES.items()]
    wanted.append(drop_path(torch.ones(2, T, D), p, key=MaskKey(SEED, 6, 4))[:, 0, 0])
    assert evaluate("places", call, p) == [(m > 0).flatten().int().tolist() for m in wanted]


def test_the_deviation_of_a_row_is_that_of_all_its_masks(evaluate):
    """And its mean is 1: all 64 masks of six weights."""
    p = 0.3
    (found,), q = rows(evaluate, (p, 0)), 1 - realised_rate(p)
    chance = mask_probabilities(all_masks(T), q)
    for a, std in zip(np.reshape(found["before"], (T, T)), found["stds"], strict=True):
        sums = all_masks(T) @ a / q
        assert chance @ sums == pytest.approx(1, rel=1e-12)
        assert std == pytest.approx((chance @ (sums - 1) ** 2) ** 0.5, rel=1e-9)


def test_it_begins_as_pytorchs_layer_does(page):
    """Which layers of nn.TransformerEncoderLayer stand at which place, on what, and their rate."""
    layer = nn.TransformerEncoderLayer(D, 1, INNER, batch_first=True)
    places = {3: layer.dropout1, 4: layer.dropout, 5: layer.dropout2}
    assert {each for each in layer.children() if type(each) is nn.Dropout} == set(places.values())
    shapes = {}
    for place, each in places.items():
        each.register_forward_pre_hook(
            lambda _, args, place=place: shapes.update({place: tuple(args[0].shape[1:])})
        )
    layer(torch.ones(1, T, D))
    assert shapes == {place: SHAPES[place] for place in places}
    rates = {2: layer.self_attn.dropout} | {place: each.p for place, each in places.items()}
    boxes = page.get_by_role("checkbox").all()
    assert [k for k, box in enumerate(boxes, start=1) if box.is_checked()] == sorted(rates)
    assert {float(page.get_by_role("slider", name="rate p").input_value())} == set(rates.values())


def test_what_it_says_falls_is_what_the_library_drops(page):
    page.get_by_role("checkbox", name="1 embeddings").check()
    page.get_by_role("checkbox", name="6 drop path").check()
    page.get_by_role("button", name="New draw").click()
    page.get_by_role("slider", name="rate p").fill("0.4")
    page.locator(".live-value", has_text="0.40").wait_for()
    settle(page)
    found = {
        int(place): int(n) for n, place in re.findall(r"(\d+) of \d+[^;]*\((\d)\)", said(page))
    }
    for place, shape in ({2: (T, T)} | SHAPES).items():
        sent = dropout(torch.ones(shape), 0.4, key=MaskKey(SEED, place, 1))
        assert found[place] == int((sent == 0).sum())
        crosses = page.locator(f".grid.g{place} path").nth(1).get_attribute("d")
        assert crosses.count("M") == found[place]
    kept = (drop_path(torch.ones(2, 1), 0.4, key=MaskKey(SEED, 6, 1)) > 0).flatten().tolist()
    for name, stays in zip(("attention", "feed-forward"), kept, strict=True):
        fate = f"kept, × {inverted_scale(0.4):.2f}" if stays else "falls whole"
        assert page.locator(".live-panel text", has_text=f"{name}: {fate}").count() == 1


def test_rows_sum_to_one_without_the_second_place_and_not_with_it(page, evaluate):
    def sums():
        return [float(x) for x in re.findall(r"\d\.\d\d", said(page).split(". ")[0])]

    key = MaskKey(SEED, 2, 0)
    used = attention(*heads(rows(evaluate, (0.1, 0))[0]), 0.1, key=key).sum(1)
    assert sums() == pytest.approx(used.tolist(), abs=0.0051)
    assert all(abs(each - 1) > 0.05 for each in sums())
    fell = int(
        (attention(torch.zeros(T, 4), torch.zeros(T, 4), torch.eye(T), 0.1, key=key) == 0).sum()
    )
    assert f"{fell} of 36 weights, where a word does not hear one of the six (2)" in said(page)
    page.locator("g.p2").click()  # the circle is a switch
    page.locator(".live-said", has_text="With place 2 off").wait_for()
    assert not page.get_by_role("checkbox", name="2 attention weights").is_checked()
    assert sums() == [1] * T


def test_with_all_places_off_nothing_falls(page):
    for box in page.get_by_role("checkbox").all():
        box.uncheck()
    page.locator(".live-said", has_text="Nothing is dropped").wait_for()
    for place in range(1, 6):
        assert page.locator(f".grid.g{place} path").nth(1).get_attribute("d") == ""


def test_a_place_is_switched_by_the_keys(page):
    box = page.get_by_role("checkbox", name="6 drop path")
    box.focus()
    page.keyboard.press("Space")
    page.locator(".live-said", has_text="(6)").wait_for()
    assert page.locator("g.p6.on").count() == 2  # one for each branch


def test_a_guess_is_told_the_average_over_draws(page, evaluate):
    """The averages are those of the library's masks."""
    told = page.locator(".live-told")
    assert told.inner_text() == ""
    assert "exactly" not in page.locator(".live").inner_text()
    page.get_by_role("spinbutton").fill("0.9")
    page.get_by_role("button", name="That is my guess").click()
    parts = heads(rows(evaluate, (0.1, 0))[0])
    draws = [attention(*parts, 0.1, key=MaskKey(SEED, 2, k)).sum(1) for k in range(1000)]
    means = torch.stack(draws).mean(0)
    low, high = f"{means.min():.2f}", f"{means.max():.2f}"
    assert (
        f"You said 0.9. At p = 0.10 the six averages lie from {low} to {high}" in told.inner_text()
    )
