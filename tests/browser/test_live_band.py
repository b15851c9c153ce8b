"""The band of MC dropout: the functions are bayes.predict's, and what is said of them holds."""

import re
from base64 import b64decode

import numpy as np
import pytest
import torch
from torch import nn

from dropout.bayes import predict
from dropout.experiments import spread
from dropout.figures.widgets import HERE
from dropout.mask import MaskKey, inverted_scale, keep_mask
from dropout.nn import Dropout
from tests.browser import regressor

SEED, WIDTH = 2016, 32
GRID = torch.linspace(-1.8, 1.7, 100, dtype=torch.float64)[:, None]
pytestmark = pytest.mark.unchecked


def model(p):
    """The figure's network of a rate, from the parameters that stand in its source."""
    source = (HERE / "band.js").read_text("utf-8")
    stored = re.search(f'"{p}": `([^`]*)`', source)[1]
    values = torch.tensor(np.frombuffer(b64decode(stored), "<i2") / 1000)
    hidden = [nn.Linear(1, WIDTH), nn.ReLU(), Dropout(p), nn.Linear(WIDTH, WIDTH), nn.ReLU()]
    net = nn.Sequential(*hidden, Dropout(p), nn.Linear(WIDTH, 1)).double()
    nn.utils.vector_to_parameters(values, net.parameters())
    return net


def sampled(p, samples, step=0):
    """What the library draws from it: outputs of (samples, 100)."""
    return predict(model(p), GRID, samples, key=MaskKey(SEED, 0, step))[..., 0]


def own_masks(p, samples, step=0):
    """The same with a mask for each input."""
    x, layers = GRID.expand(samples, -1, -1), model(p)
    for stream, (first, last) in enumerate([(0, 2), (3, 5)]):
        mask = keep_mask(MaskKey(SEED, stream, step), (samples, len(GRID), WIDTH), p)
        x = layers[first:last](x) * torch.from_numpy(mask) * inverted_scale(p)
    return layers[-1](x)[..., 0].detach()


def by_region(values):
    return {name: values[at].mean().item() for name, at in spread.regions(GRID[:, 0]).items()}


def within(outputs):
    """Per cent of the inputs of each region where sin 4x lies in the band."""
    error = (outputs.mean(0) - torch.sin(4 * GRID[:, 0])).abs()
    return by_region(100 * (error <= 2 * outputs.std(0)).double())


def spreads_said(outputs):
    data, hole, beyond = by_region(outputs.std(0)).values()
    return f"{data:.2f} on the data, {hole:.2f} in the hole, {beyond:.2f} beyond."


DRAW = """given.map((each) => {
  const net = figure.network(each.p);
  return figure.functions(base, net, figure.below(net), each, each.from, each.to);
})"""


@pytest.mark.parametrize(("own", "library"), [(False, sampled), (True, own_masks)])
def test_its_functions_are_those_of_the_library(evaluate, own, library):
    """Numbers 2 to 5 of a draw; those of one mask for a pass are bayes.predict's."""
    given = [{"p": p, "step": 3, "own": own, "from": 2, "to": 6} for p in regressor.RATES]
    for p, found in zip(regressor.RATES, evaluate("band", DRAW, given), strict=True):
        wanted = library(p, 6, step=3)[2:]
        assert np.allclose(np.reshape(found, (4, 100)), wanted, rtol=0, atol=1e-10)


def test_its_summary_is_that_of_torch(evaluate):
    outputs = sampled(0.5, 12)
    given = {"outputs": outputs.flatten().tolist()}
    found = evaluate("band", "figure.summary(given.outputs, 12)", given)
    assert np.allclose(found["mean"], outputs.mean(0))
    assert np.allclose(found["sd"], outputs.std(0))
    error = (outputs.mean(0) - torch.sin(4 * GRID[:, 0])).abs()
    wanted = [by_region(each).values() for each in (outputs.std(0), error)]
    wanted.append([percent / 100 for percent in within(outputs).values()])
    for name, *values in zip(("data", "hole", "beyond"), *wanted, strict=True):
        assert list(found["by"][name].values()) == pytest.approx(values, rel=1e-9)
    cov = torch.cov(outputs.T)
    neighbours = cov.diagonal(1).sum() / (outputs.std(0)[1:] * outputs.std(0)[:-1]).sum()
    assert found["correlation"] == pytest.approx(neighbours.item(), rel=1e-9)


def test_its_data_are_the_chapters(evaluate):
    x, y = regressor.data()
    assert np.allclose(evaluate("band", "figure.DATA"), torch.cat([x, y], 1), atol=1e-12)
    assert np.allclose(y, spread.holed(0)[1], atol=0.0051)


@pytest.mark.parametrize(("p", "most"), [(0.1, 0.12), (0.2, 0.13), (0.5, 0.27)])
def test_its_networks_have_learned_the_data(p, most):
    """Root mean square of what the mean of the functions misses; the data's own sd is 0.72."""
    x, y = regressor.data()
    drawn = predict(model(p), x, 500, key=MaskKey(1))
    assert (drawn.mean(0) - y).square().mean().sqrt() < most


def test_the_recipe_trains_a_network_as_good():
    x, y = regressor.data()
    trained = regressor.trained(0.1)
    assert (trained.eval()(x) - y).square().mean().sqrt() < 0.15
    assert len(b64decode(regressor.literal(trained))) == 2 * len(
        nn.utils.parameters_to_vector(model(0.1).parameters())
    )


@pytest.mark.parametrize("p", regressor.RATES)
def test_the_functions_part_beyond_the_data_and_hardly_in_the_hole(p):
    """The title, of 2,000 functions at each rate that can be chosen."""
    data, hole, beyond = by_region(sampled(p, 2000).std(0)).values()
    assert beyond > 1.5 * data
    assert 0.9 * data < hole < 1.25 * data


def test_it_says_the_spread_of_what_it_shows(page):
    said = page.locator(".live-said")
    assert spreads_said(sampled(0.1, 50)) in said.inner_text()
    page.get_by_role("button", name="New draw").click()
    page.get_by_role("button", name="0.5", exact=True).click()
    said.filter(has_text=spreads_said(sampled(0.5, 50, step=1))).wait_for()
    assert spreads_said(sampled(0.5, 50)) != spreads_said(sampled(0.5, 50, step=1))


def test_a_mask_for_each_input_keeps_the_spread_and_breaks_the_functions(page):
    said = page.locator(".live-said")
    assert "each line is one network" in said.inner_text()
    assert float(re.search(r"correlate by (\S+):", said.inner_text())[1]) > 0.98
    page.get_by_role("button", name="input", exact=True).click()
    said.filter(has_text=spreads_said(own_masks(0.1, 50))).wait_for()
    assert "no function of one network" in said.inner_text()
    found = re.search(r"correlate by (\S+):", said.inner_text())[1].replace("−", "-")
    assert abs(float(found)) < 0.1


def test_one_pass_has_no_band(page):
    page.get_by_role("slider", name="passes T").focus()
    page.keyboard.press("Home")
    page.locator(".live-said", has_text="One alone has no spread").wait_for()
    assert "1 function" in page.locator("svg").first.text_content()
    assert page.locator("svg path[fill-opacity]").count() == 0
    page.keyboard.press("ArrowRight")
    page.locator(".live-said", has_text=spreads_said(sampled(0.1, 2))).wait_for()
    assert page.locator("svg path[fill-opacity]").count() == 1


def test_a_guess_is_told_how_much_of_the_truth_the_band_holds(page):
    assert "truth lies" not in page.locator(".live-said").inner_text()
    page.get_by_role("spinbutton").fill("95")
    page.keyboard.press("Enter")
    holds = within(sampled(0.1, 50))
    page.locator(".live-told", has_text=f"It is {holds['beyond']:.0f} % with these 50").wait_for()
    wanted = "{:.0f} %, {:.0f} % and {:.0f} % of these".format(*holds.values())
    page.locator(".live-said", has_text=wanted).wait_for()
    assert page.get_by_role("checkbox").is_checked()
    page.get_by_role("button", name="Reset").click()
    page.locator(".live-told", has_text=re.compile("^$")).wait_for()


def test_a_guess_at_once_is_told_of_what_is_asked_for_and_not_of_what_was(page):
    """With a mask for each input the functions are drawn over several frames."""
    page.evaluate("""() => {
      document.querySelector("button[data-value=input]").click();
      document.querySelector("input[type=number]").value = 50;
      document.querySelector("button[type=submit]").click();
    }""")
    told = f"It is {within(own_masks(0.1, 50))['beyond']:.0f} % with these 50 passes at p = 0.1."
    assert told in page.locator(".live-told").inner_text()
    assert within(own_masks(0.1, 50))["beyond"] != within(sampled(0.1, 50))["beyond"]


def test_of_one_pass_nothing_is_told_and_the_truth_stays_hidden(page):
    page.get_by_role("slider", name="passes T").press("Home")
    page.get_by_role("spinbutton").fill("50")
    page.keyboard.press("Enter")
    page.locator(".live-told", has_text="One pass has no band: take more.").wait_for()
    assert not page.get_by_role("checkbox").is_checked()


def test_while_functions_are_still_drawn_a_change_starts_no_second_chain(page):
    """One frame is asked for by the figure at a time, and one by its controls."""
    most = page.evaluate("""async () => {
      const [ask, cancel] = [requestAnimationFrame.bind(window), cancelAnimationFrame.bind(window)];
      const waiting = new Set();
      window.requestAnimationFrame = (f) => {
        const id = ask((now) => (waiting.delete(id), f(now)));
        waiting.add(id);
        return id;
      };
      window.cancelAnimationFrame = (id) => (waiting.delete(id), cancel(id));
      const slider = document.querySelector("input[type=range]");
      document.querySelector("button[data-value=input]").click();
      let most = 0;
      for (let k = 0; k < 8; k++) {
        slider.value = 99 - k;
        slider.dispatchEvent(new Event("input"));
        await new Promise(ask);
        most = Math.max(most, waiting.size);
      }
      return most;
    }""")
    assert most <= 2
