"""The sub-networks: every mask's answer and all means are those of the library's enumeration."""

import math
import re

import numpy as np
import pytest
import torch
from torch import nn

from dropout.mask import realised_rate
from dropout.theory.ensembles import (
    all_masks,
    arithmetic_mean,
    geometric_mean,
    mask_probabilities,
    sub_networks,
)
from tests.browser.live import evaluator, opened, written
from tests.browser.looks import settle

KINDS = ("softmax", "linear", "tanh")
A, B, C = np.array([[160, 20], [5, 288], [315, 288]])
AREA, SPECK = 2600, 0.7
pytestmark = pytest.mark.unchecked


def made(evaluate, net="softmax", strength=2, draw=0):
    """The figure's network, for `evaluate`."""
    given = {"net": net, "strength": strength, "draw": draw}
    return evaluate("subnetworks", "figure.network(base, given)", given)


def counted(network, p):
    """The library's enumeration of a network: answers, chances and the three that sum them up."""
    layers = []
    for layer in network["layers"]:
        linear = nn.Linear(len(layer["weights"][0]), len(layer["weights"]), bias=False).double()
        linear.weight.data = torch.tensor(layer["weights"], dtype=torch.float64)
        layers += [nn.Dropout(p)] * layer["drop"] + [linear] + [nn.Tanh()] * layer["tanh"]
    model, x = nn.Sequential(*layers), torch.tensor([network["x"]], dtype=torch.float64)
    scores, chances = sub_networks(model, x)
    return {
        "answers": scores.softmax(-1)[:, 0].numpy(),
        "chances": chances.numpy(),
        "arithmetic": arithmetic_mean(scores, chances)[0].numpy(),
        "geometric": geometric_mean(scores, chances)[0].numpy(),
        "scaling": model.eval()(x).softmax(-1)[0].detach().numpy(),
    }


def apart(p, q):
    return 0.5 * np.abs(np.subtract(p, q)).sum()


@pytest.mark.parametrize("net", KINDS)
def test_its_sub_networks_and_means_are_those_of_the_library(evaluate, net):
    """All 256 in the library's order. The rate asked for, in place of the realised, would show."""
    network, rates = made(evaluate, net), [0.1, 0.5, 0.85]
    summaries = "given[1].map((p) => figure.summary(base, given[0], p))"
    for p, found in zip(rates, evaluate("subnetworks", summaries, [network, rates]), strict=True):
        found["answers"] = np.reshape(found["answers"], (256, 3))
        for name, value in counted(network, p).items():
            assert np.allclose(found[name], value, rtol=1e-9, atol=1e-13), name


def test_each_kind_of_network_is_what_its_button_says(evaluate):
    networks = "given.map((net) => figure.network(base, {net, strength: 2, draw: 0}))"
    for net, network in zip(KINDS, evaluate("subnetworks", networks, KINDS), strict=True):
        shapes = [np.shape(layer["weights"]) for layer in network["layers"]]
        drops = [layer["drop"] for layer in network["layers"]]
        bent = [layer["tanh"] for layer in network["layers"]]
        if net == "softmax":
            assert (shapes, drops, bent) == ([(3, 8)], [True], [False])
        else:
            assert (shapes, drops) == ([(4, 4), (4, 4), (3, 4)], [False, True, True])
            assert bent == [net == "tanh"] * 2 + [False]


def test_strength_is_the_size_of_the_weights(evaluate):
    """The mean square of 8 strength² over 60 draws is within five standard errors of strength²."""
    pooled = "Array.from({length: 60}, (_, draw) => figure.network(base, {...given, draw}))"
    networks = evaluate("subnetworks", pooled, {"net": "softmax", "strength": 3})
    weights = np.array([network["layers"][0]["weights"] for network in networks])
    assert abs((8 * weights**2).mean() / 9 - 1) < 5 * (2 / weights.size) ** 0.5
    assert len({weight.tobytes() for weight in weights}) == 60


def test_without_a_nonlinearity_weight_scaling_is_the_geometric_mean_and_with_one_it_is_not(
    evaluate,
):
    """Ten networks at each strength and rate that the sliders reach at their ends and between."""
    expression = """given.flatMap(([strength, p]) => Array.from({length: 10}, (_, draw) => {
      const net = figure.network(base, {net: "NET", strength, draw});
      const {arithmetic, geometric, scaling} = figure.summary(base, net, p);
      return [figure.distance(geometric, scaling), figure.distance(arithmetic, scaling)];
    }))"""
    given = [[s, p] for s in (0.5, 2, 4) for p in (0.05, 0.5, 0.9)]
    for net in KINDS:
        gaps = np.array(evaluate("subnetworks", expression.replace("NET", net), given))
        if net == "tanh":
            assert gaps[:, 0].min() > 1e-7
            assert np.median(gaps[:, 0]) > 0.01
        else:
            assert gaps[:, 0].max() < 1e-9
        assert np.median(gaps[:, 1]) > 0.01


def test_the_curve_has_the_distances_at_every_rate_of_the_slider(evaluate):
    network = made(evaluate, "tanh", draw=1)
    curve = evaluate("subnetworks", "figure.distances(base, given)", network)
    assert [each["p"] for each in curve] == pytest.approx(np.arange(19) / 20)
    for each in curve[::6]:
        wanted = counted(network, each["p"])
        for name in ("arithmetic", "geometric"):
            gap = apart(wanted[name], wanted["scaling"])
            assert each[name] == pytest.approx(gap, abs=1e-12)


def said(page):
    """The two distances that the sentence tells."""
    settle(page)
    return [float(each) for each in page.locator(".live-said b").all_inner_texts()]


@pytest.mark.parametrize("net", KINDS)
def test_it_tells_the_librarys_distances_and_puts_the_marks_there(page, browser, net):
    page.locator(f'button[data-value="{net}"]').click()
    page.get_by_role("slider", name="rate p").fill("0.3")
    page.locator(".live-said", has_text="At p = 0.30").wait_for()
    wanted = counted(made(evaluator(browser), net), 0.3)
    gaps = [apart(wanted[name], wanted["scaling"]) for name in ("geometric", "arithmetic")]
    assert said(page) == pytest.approx(gaps, abs=0.00051)
    assert ("does not cover it" in page.locator(".live-said").inner_text()) == (net == "tanh")
    for name in ("arithmetic", "geometric", "scaling"):
        mark = page.locator(f"svg.live-panel >> nth=0 >> :scope > g > .{name}")
        box = mark.evaluate(
            "(m) => { const b = m.getBBox(); return [b.x, b.y, b.width, b.height] }"
        )
        middle = [box[0] + box[2] / 2, box[1] + box[3] / 2]
        assert middle == pytest.approx(wanted[name] @ np.array([A, B, C]), abs=0.11)


def drawn(page):
    """The triangle's dots: [x, y, radius]."""
    found = page.locator("path.dots").evaluate_all(
        "(all) => all.map((d) => [d.getAttribute('stroke-width'), d.getAttribute('d')])"
    )
    return np.array(
        [
            [*map(float, point), float(wide) / 2]
            for wide, path in found
            for point in re.findall(r"M([\d.]+) ([\d.]+)h0", path)
        ]
    )


@pytest.mark.parametrize("p", [0.5, 0.1])
def test_a_dots_area_is_the_probability_of_its_masks(browser, tmp_path, p):
    page = opened(browser, written(tmp_path, "subnetworks", net="tanh", p=p))
    wanted = counted(made(evaluator(browser), "tanh"), p)
    dots = drawn(page)
    places = wanted["answers"] @ np.array([A, B, C])
    nearest = np.linalg.norm(places[:, None] - dots[:, :2], axis=-1)
    assert nearest.min(1).max() < 0.1  # each mask has a dot
    chance = np.bincount(nearest.argmin(1), wanted["chances"], len(dots))
    radii = np.maximum(np.sqrt(AREA * chance / math.pi), SPECK)
    # a mask may stand between two dots, so a few are left out of the comparison
    assert np.mean(np.abs(dots[:, 2] - radii) < 0.06) > 0.95
    if p == 0.5:
        assert math.pi * (dots[:, 2] ** 2).sum() == pytest.approx(AREA, rel=0.06)
    page.close()


def test_without_dropout_one_dot_is_all_there_is(page):
    page.get_by_role("slider", name="rate p").fill("0")
    page.locator(".live-said", has_text="At p = 0.00").wait_for()
    assert said(page) == [0, 0]
    assert (drawn(page)[:, 2] > SPECK).sum() == 1


def test_the_rate_is_dragged_in_the_panel(page, browser):
    box = page.locator("svg.live-panel").nth(1).bounding_box()
    unit = box["width"] / 320
    places = [box["x"] + unit * (40 + p / 0.9 * 204) for p in (0.5, 0.6, 0.8)]
    page.mouse.move(places[0], box["y"] + 100)
    page.mouse.down()
    for x in places[1:]:
        page.mouse.move(x, box["y"] + 100)
    page.mouse.up()
    page.locator(".live-said", has_text="At p = 0.80").wait_for()
    wanted = counted(made(evaluator(browser)), 0.8)
    assert said(page)[1] == pytest.approx(
        apart(wanted["arithmetic"], wanted["scaling"]), abs=5.1e-4
    )
    assert page.get_by_role("slider", name="rate p").input_value() == "0.8"


def test_new_weights_and_their_strength_by_the_keys(page, browser):
    page.get_by_role("button", name="New weights").press("Enter")
    slider = page.get_by_role("slider", name="weight size")
    slider.focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    page.locator(".live-value", has_text="1.00").wait_for()
    settle(page)
    wanted = counted(made(evaluator(browser), strength=1, draw=1), 0.5)
    assert said(page)[1] == pytest.approx(
        apart(wanted["arithmetic"], wanted["scaling"]), abs=5.1e-4
    )


def test_the_chances_are_those_of_the_masks(evaluate):
    p = realised_rate(0.3)
    found = evaluate("subnetworks", "figure.summary(base, given, 0.3)", made(evaluate))
    masks = mask_probabilities(all_masks(8), 1 - p)
    assert found["chances"] == pytest.approx(masks, rel=1e-12)


@pytest.mark.parametrize("width", [390, 760])
def test_nothing_below_moves_while_the_rate_is_dragged(browser, tmp_path, width):
    page = opened(browser, written(tmp_path, "subnetworks"), width=width)
    tops = set()
    for net in KINDS:
        page.locator(f'button[data-value="{net}"]').click()
        for p in (0, 0.25, 0.5, 0.9):
            page.get_by_role("slider", name="rate p").fill(f"{p}")
            page.locator(".live-said", has_text=f"At p = {p:.2f}").wait_for()
            tops.add(page.locator(".live-controls").evaluate("(form) => form.offsetTop"))
    assert len(tops) == 1
    page.close()
