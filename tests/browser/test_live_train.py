"""Train it here: the browser trains as PyTorch does with the library's dropout, and says so."""

import re

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from dropout.layers.max_norm import max_norm_
from dropout.mask import MaskKey, keep_mask
from dropout.nn import Dropout
from tests.browser.live import evaluator, opened, written
from tests.browser.looks import settle
from tests.browser.trained import trained

BATCH, STEPS, STREAMS = 50, 2000, (1, 2)
DEFAULT = {"p": 0.5, "noise": 0.15, "width": 32, "lr": 0.1, "decay": 0, "c": 0, "seed": 0}
RUN = """(() => {
  const run = figure.begun(base, given);
  const first = Array.from(run.nets[0].weights);
  const steps = Array.from({ length: given.steps }, (_, k) => k + 1);
  const rows = steps.map((step) => figure.batch(base, given.seed, step));
  for (const _ of steps) figure.advance(base, run);
  const weights = run.nets.map((net) => net.weights);
  return { ...run, first, rows, weights, entry: figure.entry(run) };
})()"""
pytestmark = pytest.mark.unchecked


def network(first, width, p):
    """The figure's first weights as a network of PyTorch with the library's dropout."""
    model = torch.nn.Sequential(
        torch.nn.Linear(2, width), torch.nn.ReLU(), Dropout(p),
        torch.nn.Linear(width, width), torch.nn.ReLU(), Dropout(p),
        torch.nn.Linear(width, 1),
    ).double()  # fmt: skip
    first = torch.tensor(first, dtype=torch.float64)
    with torch.no_grad():
        for layer, (inputs, outputs) in zip(
            model[::3], [(2, width), (width, width), (width, 1)], strict=True
        ):
            taken, first = first[: inputs * outputs], first[inputs * outputs :]
            turned = inputs == width  # the browser has a row for each input there
            weight = taken.reshape(inputs, outputs).T if turned else taken.reshape(outputs, inputs)
            layer.weight.copy_(weight)
            layer.bias.copy_(first[:outputs])
            first = first[outputs:]
    return model


def flat(model):
    turned = [model[0].weight, model[0].bias, model[3].weight.T, model[3].bias, model[6].weight]
    return torch.cat([each.reshape(-1) for each in [*turned, model[6].bias]]).detach().numpy()


def points(data):
    x = torch.tensor(data["x"], dtype=torch.float64).reshape(-1, 2)
    return x, torch.tensor(data["y"], dtype=torch.float64)


def train_with_torch(run, given, p):
    """The same steps by torch.optim.SGD and, where c is not 0, the library's max-norm."""
    model = network(run["first"], given["width"], p).train()
    optimiser = torch.optim.SGD(
        model.parameters(), lr=given["lr"], momentum=0.9, weight_decay=given["decay"]
    )
    x, y = points(run["train"])
    for step, rows in enumerate(run["rows"], 1):
        for layer, stream in zip(model[2::3], STREAMS, strict=True):
            layer.key = MaskKey(given["seed"], stream, step)
        optimiser.zero_grad()
        cross_entropy(model(x[rows]).squeeze(1), y[rows]).backward()
        optimiser.step()
        if given["c"]:
            max_norm_(model, given["c"])
    return model.eval()


@torch.no_grad()
def judged(model, run):
    """Training loss, test loss, test accuracy, and how many wrong labels the network repeats."""
    (x, y), (new, labels) = points(run["train"]), points(run["test"])
    seen, unseen = model(x).squeeze(1), model(new).squeeze(1)
    wrong = run["train"]["wrong"]
    return {
        "train": cross_entropy(seen, y).item(),
        "test": cross_entropy(unseen, labels).item(),
        "accuracy": ((unseen > 0) == (labels > 0)).double().mean().item(),
        "learned": int(((seen > 0) == (y > 0))[wrong].sum()),
    }


def test_its_masks_are_the_librarys(evaluate):
    for p, width, step in [(0.1, 8, 1), (0.5, 32, 7), (0.9, 64, 2000)]:
        given = {"p": p, "width": width, "seed": 5, "step": step}
        drawn = evaluate("train", "figure.masks(base, given, given.step)", given)
        for mask, stream in zip(drawn, STREAMS, strict=True):
            wanted = keep_mask(MaskKey(5, stream, step), (BATCH, width), p)
            assert np.array_equal(np.reshape(mask, (BATCH, width)), wanted)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"p": 0.9, "lr": 0.3},
        {"width": 8, "decay": 0.01, "seed": 3},
        {"width": 64, "c": 1, "lr": 0.3, "noise": 0.3, "steps": 40},
    ],
)
def test_its_steps_are_pytorchs_with_the_librarys_dropout(evaluate, change):
    given = {"steps": 12} | DEFAULT | change
    run = evaluate("train", RUN, given)
    for k, p in enumerate((0, given["p"])):
        model = train_with_torch(run, given, p)
        assert np.abs(flat(model) - run["weights"][k]).max() < 1e-11
        assert run["entry"]["each"][k] == pytest.approx(judged(model, run), rel=1e-9)
        norms = torch.cat([m.weight.detach().norm(dim=1) for m in model[::3]])
        assert not given["c"] or norms.max().item() == pytest.approx(given["c"], rel=1e-12)
    rival = train_with_torch(run, given | {"c": 0, "decay": 0}, p - 0.01)
    assert np.abs(flat(rival) - run["weights"][1]).max() > 1e-3


def test_at_rate_zero_the_two_networks_stay_the_same(evaluate):
    run = evaluate("train", RUN, DEFAULT | {"p": 0, "steps": 40})
    assert run["weights"][0] == run["weights"][1]
    assert run["weights"][0] != run["first"]


def test_each_epoch_goes_through_all_points_in_an_order_of_its_own(evaluate):
    rows = evaluate("train", RUN, DEFAULT | {"width": 8, "steps": 6})["rows"]
    epochs = [rows[k] + rows[k + 1] for k in (0, 2, 4)]
    assert all(sorted(epoch) == list(range(100)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


@pytest.mark.parametrize("noise", [0, 0.05, 0.3])
def test_the_truth_is_the_loss_of_the_true_probabilities(evaluate, noise):
    """The moons do not touch, so that a place tells the class; the wrong labels are counted."""
    run = evaluate("train", RUN, DEFAULT | {"noise": noise, "steps": 0})
    truth = evaluate("train", "figure.best(given)", noise)
    for data in (run["train"], run["test"]):
        x, y = points(data)
        upper, lower = x + torch.tensor([0.5, 0.25]), x - torch.tensor([0.5, 0.25])
        # Whose ring a point is in, and on which side of its ends.
        ring = [(each.norm(dim=1) - 1).abs() < 0.2 + 1e-5 for each in (upper, lower)]
        first, second = ring[0] & (upper[:, 1] > -1e-5), ring[1] & (lower[:, 1] < 1e-5)
        assert torch.all(first ^ second)
        assert torch.cdist(x[first], x[second]).min() > 0.1 - 1e-5
        assert len(data["wrong"]) == round(noise * len(y)) == (second != y).sum()
        given = noise + (1 - 2 * noise) * second.double()
        loss = torch.nn.functional.binary_cross_entropy(given, y).item()
        assert truth == pytest.approx(loss, abs=1e-12)


def test_its_exponential_is_the_exponential(evaluate):
    values = [*np.linspace(-40, 40, 1001), 0.0, -1e-9, 300.0, -300.0]
    assert evaluate("train", "given.map(figure.exp)", values) == pytest.approx(
        np.exp(values), rel=2e-14, abs=0
    )
    assert evaluate("train", "1 / (1 + figure.exp(given))", 1e9) < 1e-300


def test_an_outline_encloses_what_exceeds_its_level(evaluate):
    """At each inner node of random grids, and for a disc its area."""
    random = np.random.default_rng(0)
    for rows, columns in ((7, 9), (12, 5)):
        grid = random.normal(size=(rows, columns))
        given = {"values": grid.ravel().tolist(), "columns": columns}
        loops = evaluate("train", "figure.outline(given.values, given.columns, 0.1)", given)
        for j in range(1, rows - 1):
            for i in range(1, columns - 1):
                assert (sum(crossings(loop, i, j) for loop in loops) % 2) == (grid[j, i] > 0.1)
    j, i = np.mgrid[:41, :41]
    disc = (14.3 - np.hypot(i - 20, j - 20)).ravel().tolist()
    (loop,) = evaluate("train", "figure.outline(given, 41, 0)", disc)
    x, y = np.array(loop).T
    area = abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2
    assert area == pytest.approx(np.pi * 14.3**2, rel=0.005)


def crossings(loop, i, j):
    """How often a ray to the right of a place crosses a loop."""
    count = 0
    for (x1, y1), (x2, y2) in zip(loop, [*loop[1:], loop[0]], strict=True):
        if (y1 > j) != (y2 > j):
            count += x1 + (j - y1) / (y2 - y1) * (x2 - x1) > i
    return count


def test_the_stored_run_is_what_training_gives(evaluate):
    """`python -m tests.browser.trained` stores it."""
    found, wanted = evaluate("train", "figure.stored()"), trained(evaluate)
    assert len(found["log"]) == len(wanted["log"]) == STEPS / 25 + 1
    for one, other in zip(found["log"], wanted["log"], strict=True):
        assert one["step"] == other["step"]
        for stored, net in zip(one["each"], other["each"], strict=True):
            assert stored == pytest.approx({name: net[name] for name in stored}, abs=0.00051)
    for stored, values in zip(found["surfaces"], wanted["surfaces"], strict=True):
        chance, other = (1 / (1 + np.exp(-np.array(each) / 2)) for each in (stored, values))
        assert np.abs(chance - other).max() < 0.0056


def numbers(page):
    """What the sentence says: the step, loss and per cent right without dropout and with it."""
    said = page.locator(".live-said").inner_text()
    found = re.search(
        r"After (\d+) steps.* loss ([\d.]+) and ([\d.]+) % right without dropout; "
        r"([\d.]+) and ([\d.]+) % right with it",
        said,
    )
    assert found, said
    return [float(each) for each in found.groups()]


def shows(page, step, nets):
    """Whether it says this step and these networks' losses and accuracies, to its decimals."""
    wanted = [each for net in nets for each in (net["test"], 100 * net["accuracy"])]
    off = np.abs(np.array(numbers(page)) - [step, *wanted])
    return np.all(off <= [0, 0.00501, 0.0501, 0.00501, 0.0501])


def repeated(page):
    captions = page.locator(".live-caption").all_inner_texts()
    return [int(re.search(r"repeats (\d+) of", each)[1]) for each in captions]


def test_steps_by_hand_show_what_pytorch_gives(browser, tmp_path):
    given = DEFAULT | {"width": 16, "lr": 0.3, "p": 0.8, "steps": 30}
    page = opened(browser, written(tmp_path, "train"), link="#train:width=16&lr=0.3&p=0.8")
    assert numbers(page)[0] == 0
    for _ in range(given["steps"]):
        page.get_by_role("button", name="One step").click()
    run = evaluator(browser)("train", RUN, given)
    wanted = [judged(train_with_torch(run, given, p), run) for p in (0, 0.8)]
    assert shows(page, 30, wanted)
    assert not shows(page, 30, wanted[::-1])
    assert repeated(page) == [net["learned"] for net in wanted]
    assert page.errors == []
    page.close()


def test_a_run_can_be_paused_and_ends_as_one_that_was_not(browser, tmp_path):
    given = DEFAULT | {"width": 8, "lr": 0.03, "p": 0.2}
    page = opened(browser, written(tmp_path, "train"), link="#train:width=8&lr=0.03&p=0.2")
    page.get_by_role("button", name="Run").click()
    page.locator(".live-said", has_text=re.compile(r"After [1-9]\d+ steps")).wait_for()
    page.get_by_role("button", name="Pause").click()
    page.wait_for_timeout(100)
    paused = numbers(page)
    page.wait_for_timeout(200)
    assert numbers(page) == paused
    assert 0 < paused[0] < STEPS
    page.get_by_role("button", name="Run").click()
    page.get_by_role("button", name="Run again").wait_for()
    run = evaluator(browser)("train", RUN, given | {"steps": STEPS})
    assert shows(page, STEPS, run["log"][-1]["each"])
    assert page.errors == []
    page.close()


def test_a_change_starts_anew_and_a_known_result_comes_back(page):
    assert numbers(page)[0] == STEPS
    before = numbers(page)
    slider = page.get_by_role("slider", name="rate p")
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.locator(".live-caption", has_text="p = 0.6").wait_for()
    step, *shown = numbers(page)
    assert step == 0
    assert shown[:2] == shown[2:]
    page.keyboard.press("ArrowLeft")
    page.locator(".live-caption", has_text="p = 0.5").wait_for()
    assert numbers(page) == before


def test_a_run_leaves_the_page_its_frames(page):
    """The slices of a run: many, and a button that is pressed between them answers."""
    page.get_by_role("button", name="64").click()
    page.evaluate("""() => { window.asked = 0; const ask = requestAnimationFrame.bind(window);
      window.requestAnimationFrame = (draw) => (window.asked++, ask(draw)); }""")
    page.get_by_role("button", name="Run").click()
    page.wait_for_function("window.asked > 30")
    assert numbers(page)[0] < STEPS
    page.get_by_role("button", name="Reset").click()
    page.locator(".live-said", has_text=f"After {STEPS} steps").wait_for()
    page.get_by_role("button", name="Run again").wait_for()


def test_a_network_that_blows_up_is_told_and_breaks_nothing(browser, tmp_path):
    """Large steps and much dropout: seed 4 has a loss of 175,634 at step 50, seed 1 one of 1e46."""
    path = written(tmp_path, "train")
    page = opened(browser, path, link="#train:width=64&lr=0.3&p=0.9&seed=4")
    for _ in range(50):
        page.get_by_role("button", name="One step").click()
    settle(page)
    assert "over 999 and" in page.locator(".live-said").inner_text()
    page.close()
    page = opened(browser, path, link="#train:width=64&lr=0.3&p=0.9&seed=1")
    page.get_by_role("button", name="Run").click()
    page.locator(".live-said", has_text=re.compile(r"After ([2-9]\d\d|\d{4}) steps")).wait_for()
    assert "NaN" not in page.locator(".live-stage").inner_html()
    assert page.errors == []
    page.close()


def test_seeds_that_were_run_are_counted(browser, tmp_path):
    page = opened(browser, written(tmp_path, "train"), link="#train:width=8&lr=0.03")
    lower = 0
    for seed in range(3):
        page.locator(".live-said", has_text=f"seed {seed}").wait_for()
        page.get_by_role("button", name="Run").click()
        page.get_by_role("button", name="Run again").wait_for()
        _, without, _, with_it, _ = numbers(page)
        assert without != with_it
        lower += with_it < without
        said = page.locator(".live-said").inner_text()
        count = f"Of {seed + 1} seeds run so far, dropout had the lower loss in {lower}."
        assert (count in said) == (seed > 0)
        page.get_by_role("button", name="New seed").click()
    page.get_by_role("button", name="Reset").click()
    page.locator(".live-said", has_text="After 2000 steps, seed 0").wait_for()
    for button in ("8", "0.03"):  # the settings of the three runs, which are forgotten
        page.get_by_role("button", name=button, exact=True).click()
        page.wait_for_timeout(100)
    assert numbers(page)[0] == 0
    assert "so far" not in page.locator(".live-said").inner_text()
    page.close()


def test_with_reduced_motion_the_pictures_change_at_the_end(browser, tmp_path):
    path = written(tmp_path, "train")
    page = opened(browser, path, link="#train:width=8&lr=0.03", reduced_motion="reduce")
    page.evaluate("""() => { window.changes = 0;
      const told = (record) => record.target.matches(".live-heard");
      new MutationObserver((records) => records.every(told) || window.changes++).observe(
        document.querySelector(".live-stage"), {subtree: true, childList: true}); }""")
    page.get_by_role("button", name="Run").click()
    page.get_by_role("button", name="Run again").wait_for()
    assert numbers(page)[0] == STEPS
    assert page.evaluate("window.changes") == 2  # at the press and at the end
    page.close()
