"""The study of dropout of elements, channels and blocks between convolutions."""

import json

import pytest
import torch

from dropout.experiments import shared_coins
from dropout.nn import DropBlock2d, Dropout, Dropout2d
from dropout.training.data import Images

KIND = {"element": Dropout, "channel": Dropout2d, "block": DropBlock2d}
GENERATOR = torch.Generator().manual_seed(0)


def photographs(n: int) -> Images:
    return Images(torch.randn(n, 3, 32, 32, generator=GENERATOR), torch.arange(n) % 10)


@pytest.mark.parametrize("arm", shared_coins.ARMS)
def test_an_arm_drops_what_its_name_says_behind_each_relu(arm):
    model = shared_coins.network(arm)
    drops = [(k, layer) for k, layer in enumerate(model) if isinstance(layer, tuple(KIND.values()))]
    if arm == "none":
        assert not drops
        return
    kind, rate = arm.split()
    assert len(drops) == 3
    for k, layer in drops:
        assert type(layer) is KIND[kind]
        assert layer.p == float(rate)
        assert isinstance(model[k - 1], torch.nn.ReLU)


def test_a_study_that_was_stopped_goes_on_with_the_same_result(monkeypatch, tmp_path):
    parts = photographs(60), photographs(20), photographs(20)
    settings = {
        "TRAIN": 60,
        "ARMS": ["none", "block 0.3"],
        "BUDGET": 2,
        "SEEDS": [0],
        "CONTROL": [1],
    }
    settings |= {"splits": lambda: parts, "FOLDERS": [tmp_path]}
    for name, value in settings.items():
        monkeypatch.setattr(shared_coins, name, value)
    stored = []
    monkeypatch.setattr(shared_coins, "write", lambda *_, arms, **__: stored.append(arms))
    shared_coins.main()
    one = stored[0]["none"]
    assert len(one["test"]) == 2  # the seed of the arms, and the control
    (tmp_path / "shared_coins.part.jsonl").write_text(json.dumps(["none", one]) + "\n", "utf-8")
    shared_coins.main()
    assert json.dumps(stored[1]) == json.dumps(stored[0])
    assert not list(tmp_path.iterdir())
