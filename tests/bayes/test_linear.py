"""`bayes.predict`: linear layers behind dropout are smaller ones, with the same outputs."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from dropout import MaskKey
from dropout.bayes import linear, predict
from dropout.mask import keep_mask
from tests.bayes.models import KEY, inputs, mlp


@pytest.fixture
def always(monkeypatch):
    """Layers of any size are made smaller; what comes back makes none smaller again."""
    monkeypatch.setattr(linear, "INPUTS", 1)
    monkeypatch.setattr(linear, "PRODUCTS", 0)
    return lambda: monkeypatch.setattr(linear, "INPUTS", float("inf"))


class Products(TorchDispatchMode):
    """Counts the units that each matrix product sums over."""

    def __init__(self):
        super().__init__()
        self.units = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.name().startswith(("aten::addmm", "aten::mm")):
            self.units.append(args[-1].shape[0])
        return function(*args, **(kwargs or {}))


MODELS = {
    "MLP": (mlp(), (9, 6)),
    "no bias": (nn.Sequential(nn.Dropout(), nn.Linear(6, 5, bias=False)).double(), (9, 6)),
    "tokens": (nn.Sequential(nn.Dropout1d(), nn.Linear(6, 5)).double(), (4, 7, 6)),
    "channels": (
        nn.Sequential(nn.Dropout2d(), nn.Flatten(), nn.Linear(54, 5)).double(),
        (4, 6, 3, 3),
    ),
    "all dropped": (nn.Sequential(nn.Dropout(1.0), nn.Linear(6, 5)).double(), (9, 6)),
}


@pytest.mark.parametrize("name", MODELS)
def test_smaller_layers_have_the_same_outputs(name, always):
    model, shape = MODELS[name]
    found = predict(model, inputs(*shape), 8, key=KEY)
    always()
    assert torch.allclose(found, predict(model, inputs(*shape), 8, key=KEY), rtol=0, atol=1e-12)


def test_a_network_multiplies_only_what_it_keeps(always):
    """Of 16 units and 9 inputs; a probe with one input, and one with three, drop nothing."""
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(16, 4)).double()
    with Products() as count:
        predict(model, inputs(9, 16), 8, key=KEY)
    kept = keep_mask(KEY, (8, 16), 0.5).sum(1)
    assert len(set(kept)) > 2
    assert count.units == [16, 16, *kept]


def test_layers_that_drop_little_stay_whole(always):
    model = nn.Sequential(nn.Dropout(0.1), nn.Linear(16, 4)).double()
    with Products() as count:
        predict(model, inputs(9, 16), 8, key=KEY)
    assert set(count.units) == {16}


def test_what_is_kept_and_no_number_stays_none(always):
    x = inputs(9, 6)
    x[4, 2] = torch.nan
    drawn = predict(nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 5)).double(), x, 8, key=KEY)
    kept = torch.from_numpy(keep_mask(KEY, (8, 6), 0.5))[:, 2]
    assert 0 < kept.sum() < 8
    assert torch.equal(drawn[:, 4].isnan().all(1), kept)
    assert torch.equal(drawn.isnan().any(2).sum(1), kept.long())


def test_layers_too_small_to_gain_stay_whole():
    with Products() as count:
        predict(nn.Sequential(nn.Dropout(0.5), nn.Linear(16, 4)).double(), inputs(64, 16), 8)
    assert set(count.units) == {16}


def test_large_layers_are_made_smaller(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(1024, 2048)).eval()
    with Products() as count:
        drawn = predict(model, inputs(64, 1024).float(), 2, key=MaskKey(1))
    assert 400 < min(count.units) < 600
    assert drawn.isfinite().all()


def test_autocast_is_left_to_pytorch(always):
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 5))
    with torch.autocast("cpu", torch.bfloat16):
        assert predict(model, inputs(9, 6).float(), 3, key=KEY).dtype == torch.bfloat16
