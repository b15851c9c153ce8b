"""The code on the page "Fix a model today" runs, one block after the other, on a small network."""

import re
from pathlib import Path

import torch
from torch import nn

PAGE = Path(__file__).parents[2] / "book" / "fix.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def small_model() -> nn.Module:
    layers = nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.5), nn.BatchNorm1d(8), nn.Linear(8, 3)
    return nn.Sequential(*layers)


def test_every_block_runs_and_does_what_it_says():
    space = {"model": small_model()}
    space |= {f"x_{name}": torch.randn(32, 4) for name in ("train", "validation")}
    space |= {f"y_{name}": torch.randint(3, (32,)) for name in ("train", "validation")}
    space |= {"x": torch.randn(6, 4), "h": torch.randn(6, 8).relu()}
    space["batches"] = space["x_train"].split(8)
    for block in BLOCKS:
        exec(block, space)
        if "same = " in block:
            assert not space["same"]
            assert "2" in space["still_on"]
        if "norms = " in block:
            norm = space["model"][3]
            clean = space["model"][1](space["model"][0](space["x_train"]))
            torch.testing.assert_close(norm.running_mean, clean.mean(0))
            assert norm.momentum == 0.1
            assert not space["model"].training
        if "passes = " in block:
            assert space["spread"].max() > 0
            assert not any(m.training for m in space["model"].modules())
        if "drops = " in block:
            assert space["drops"]
    assert len(BLOCKS) == 11


def test_every_remedy_is_listed_at_the_top():
    text = PAGE.read_text("utf-8")
    listed = re.findall(r"<(fix-[\w-]+)>", text.partition("\n(fix-")[0])
    assert listed == re.findall(r"^\((fix-[\w-]+)\)=$", text, re.MULTILINE)
