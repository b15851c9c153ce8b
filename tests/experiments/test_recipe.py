"""The networks of the recipe's study are PyTorch's, side by side."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from dropout.experiments.recipe import (
    BATCH,
    Rates,
    Recipe,
    Task,
    arms,
    compare,
    gradients,
    grid,
    moved,
    project,
    rate_at,
    scores,
    small_arms,
    start,
    train,
)
from dropout.layers.max_norm import max_norm_
from dropout.training.data import Images


def images(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Images(torch.rand(n, 196, generator=generator), torch.arange(n) % 10)


def test_gradients_are_autograds_with_the_same_coins():
    recipes = [Recipe(width=8, p=(0.5, 0.2), p_input=0.1, p_scores=0.3), Recipe(width=8)]
    weights = [torch.stack(each) for each in zip(*(start(r, 3, 196) for r in recipes), strict=True)]
    data = images(2 * 20)
    x, wanted = data.x.view(2, 20, 196), torch.rand(2, 20, 10).softmax(2)
    drop = Rates(recipes, 196).at(0.0, np.random.default_rng(0))
    found = gradients(weights, x, wanted, drop)
    coins = [drop(k, torch.ones(2, 20, width)) for k, width in enumerate((196, 8, 8, 10))]
    free = [w.clone().requires_grad_() for w in weights]
    h = x * coins[0]
    for layer in (0, 1):
        h = (h @ free[2 * layer].mT + free[2 * layer + 1]).relu() * coins[layer + 1]
    out = (h @ free[4].mT + free[5]) * coins[3]
    loss = -(wanted * out.log_softmax(2)).sum(2).mean(1).sum()
    for ours, theirs in zip(found, torch.autograd.grad(loss, free), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_network_without_dropout_is_pytorchs():
    data = images(200)
    recipe = Recipe(width=8, lr=0.2, decay=1e-2, c=0.6, steps=12)
    (run,) = train([recipe], torch.arange(200)[None], [5], data, data, every=4)
    torch.manual_seed(5)
    linears = nn.Linear(196, 8), nn.Linear(8, 8), nn.Linear(8, 10)
    model = nn.Sequential(linears[0], nn.ReLU(), linears[1], nn.ReLU(), linears[2])
    groups = [
        {"params": [a.weight for a in linears], "weight_decay": 1e-2},
        {"params": [a.bias for a in linears]},
    ]
    optimiser = torch.optim.SGD(groups, lr=0.2 * 0.1, momentum=0.9)
    generator = torch.Generator().manual_seed(6)
    batches = [b for _ in range(3) for b in torch.randperm(200, generator=generator).split(BATCH)]
    for batch in batches:
        optimiser.zero_grad()
        cross_entropy(model(data.x[batch]), data.y[batch]).backward()
        optimiser.step()
        for layer in linears[:2]:
            max_norm_(layer, 0.6)
    assert run.validation_loss[-1] == min(run.validation_loss)  # so that the last is kept
    torch.testing.assert_close(scores(run.weights, data.x), model(data.x))
    assert len(run.validation_loss) == 3
    assert run.length[-1] <= 0.6 + 1e-6


def test_projection_is_max_norms():
    layers = [nn.Linear(5, 7) for _ in range(2)]
    stacked = torch.stack([layer.weight.detach() for layer in layers])
    project(stacked, torch.tensor([0.3, float("inf")])[:, None, None])
    max_norm_(layers[0], 0.3)
    torch.testing.assert_close(stacked, torch.stack([layer.weight.detach() for layer in layers]))


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [
        ("constant", [0.4, 0.4, 0.4]),
        ("early", [0.4, 0.0, 0.0]),
        ("late", [0.0, 0.4, 0.4]),
        ("falling", [0.4, 0.2, 0.0]),
        ("rising", [0.0, 0.4 * (1 - np.exp(-5)), 0.4 * (1 - np.exp(-10))]),
    ],
)
def test_schedules(schedule, wanted):
    assert [rate_at(schedule, 0.4, done) for done in (0.0, 0.5, 1.0)] == pytest.approx(wanted)
    recipe = Recipe(width=64, p=(0.4, 0.4), schedule=schedule)
    for done, rate in zip((0.0, 0.5), wanted, strict=False):
        drop = Rates([recipe], 196).at(done, np.random.default_rng(1))
        gone = (drop(1, torch.ones(1, 500, 64)) == 0).float().mean()
        assert abs(gone - rate) < 0.02


def test_moved_images_keep_their_ink():
    x = torch.zeros(1, 196)
    x[0, 14 * 5 + 5] = 1
    ways = moved(x)
    assert torch.equal(ways[0], x)
    assert sorted(ways.argmax(2).flatten().tolist()) == sorted(
        14 * a + b for a in (4, 5, 6) for b in (4, 5, 6)
    )


def test_grids_and_arms():
    assert {len(grid(recipe)) for recipe in arms().values()} == {6, 12}
    assert not any(r.p[0] for name, r in arms().items() if name.startswith("no dropout"))
    assert len(small_arms()) == 3


def test_compare_tunes_on_other_seeds(monkeypatch):
    data = images(300)
    monkeypatch.setattr("dropout.experiments.recipe.LRS", (0.05, 0.4))
    monkeypatch.setattr("dropout.experiments.recipe.TUNING", [1])
    monkeypatch.setattr("dropout.experiments.recipe.FRESH", [2, 3])
    sets = {k: torch.arange(100) + 100 * (k - 1) for k in (1, 2, 3)}
    task = Task(data, data, data, sets)
    found = dict(compare(task, {"a": Recipe(width=8, steps=400, c=1.0)}, {}))["a"]
    assert (len(found["grid"]), len(found["test_loss"])) == (4, 2)
    assert found["chosen"]["c"] in (1.0, 2.0)
    assert all(stop % 50 == 0 for stop in found["stop"])
    known = {"a": found | {"grid": []}}
    assert dict(compare(task, {"a": Recipe(width=8)}, known)) == known
    assert found["edge"]
