"""Averages of masks, one pass, and a temperature: what they are on cases that are known."""

import pytest
import torch
from torch import nn

from dropout.experiments import averaging
from dropout.nn import Dropout
from dropout.training.data import Images


def model(p):
    torch.manual_seed(0)
    return nn.Sequential(Dropout(p), nn.Linear(4, 3)).double()


def test_without_dropout_all_answers_are_those_of_one_pass():
    drawn, one_pass = averaging.answers([model(0.0)] * 2, torch.rand(5, 4).double(), 6, seed=1)
    assert drawn.shape == (2, 6, 5, 3)
    torch.testing.assert_close(drawn, one_pass[:, None].expand_as(drawn))


def test_averages_are_of_k_samples_each_and_members_have_masks_of_their_own():
    drawn, _ = averaging.answers([model(0.5)] * 2, torch.rand(5, 4).double(), 6, seed=1)
    parts = averaging.averages(drawn, 3)
    torch.testing.assert_close(
        torch.stack(parts), torch.stack([drawn[:, :3], drawn[:, 3:]]).mean(2)
    )
    assert not torch.equal(drawn[0], drawn[1])


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_the_temperature_takes_out_a_factor_of_the_scores(factor):
    """Labels drawn from the model's own probabilities suit it as it is, so T is the factor."""
    honest = model(0.0)
    x = torch.randn(4000, 4).double()
    with torch.no_grad():
        honest[1].weight *= 4
        right = honest(x).softmax(-1)
        labels = torch.multinomial(right, 1)[:, 0]
        honest[1].weight *= factor
        honest[1].bias *= factor
    found = averaging.tempered(honest, x, Images(x, labels))
    assert (found - right).abs().max() < 0.05


def test_chance_is_judged_as_such():
    found = averaging.judged(torch.full((2, 8, 4), 0.25).double(), torch.arange(8) % 4)
    assert found["error"] == 75.0
    assert found["confidence"] == 0.25
    assert found["loss"] == pytest.approx(1.3863, abs=1e-4)


def test_what_is_compared_is_judged_set_by_set():
    drawn, scaled = averaging.answers([model(0.5)] * 2, torch.rand(9, 4).double(), 6, seed=1)
    labels = torch.arange(9) % 3
    found = averaging.compared(drawn, scaled, labels, (1, 3))
    assert list(found) == ["1 mask", "3 masks", "geometric mean of 6", "weight scaling"]
    halves = [averaging.judged(drawn[:, part].mean(1), labels) for part in ([0, 1, 2], [3, 4, 5])]
    assert found["3 masks"]["loss"] == pytest.approx(sum(h["loss"] for h in halves) / 2)
    members = averaging.judged(drawn.transpose(0, 1), labels)
    assert found["1 mask"]["error"] == pytest.approx(members["error"])


def test_disagreement_counts_inputs():
    """Two sets of one mask: the first chooses as weight scaling does, the second nowhere."""
    yes, no = torch.tensor([0.9, 0.1]).double(), torch.tensor([0.1, 0.9]).double()
    drawn = torch.stack([yes, no])[None, :, None].expand(1, 2, 5, 2)
    assert averaging.disagreement(drawn, yes.expand(1, 5, 2), 1) == (50.0, 100.0)
