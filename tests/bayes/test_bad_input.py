"""`bayes.predict`: what cannot be sampled is refused by name."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dropout import nn as ours
from dropout.bayes import predict
from tests.bayes.models import Calls, inputs


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.LSTM(2, 2, 2, dropout=0.1)), "'0', a LSTM, .*VariationalRNN"),
        (nn.Sequential(ours.StochasticDepth(nn.Identity())), "'0', a StochasticDepth, .*DropPath"),
        (nn.Linear(2, 2), "model must drop somewhere in evaluation too, and nothing in it did"),
    ],
)
def test_what_cannot_be_sampled_is_refused_by_name(model, message):
    with pytest.raises(ValueError, match=message):
        predict(model, torch.ones(3, 2), 2)


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((nn.Dropout(), torch.ones(2, 2), 0), ValueError, "samples must be a positive integer"),
        ((nn.Dropout(), torch.ones(2, 2), 2.5), ValueError, "samples must be a positive integer"),
        ((nn.Dropout(), torch.tensor(1.0)), TypeError, "x must be a tensor whose first axis"),
        ((nn.Dropout(), [[torch.ones(2), 1]]), TypeError, "got list: of a loader that yields"),
        ((nn.Dropout(), []), ValueError, "x must hold at least one input, got none"),
        ((F.dropout, torch.ones(2, 2)), TypeError, "model must be a torch.nn.Module"),
        (
            (nn.Sequential(nn.Dropout(), Calls(lambda self, x: "")), torch.ones(2, 2)),
            TypeError,
            "str",
        ),
        (
            (nn.Sequential(nn.Dropout(), Calls(lambda self, x: ())), torch.ones(2, 2)),
            TypeError,
            "none",
        ),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, error, message):
    with pytest.raises(error, match=message):
        predict(*arguments)


@pytest.mark.parametrize(
    "draw",
    [torch.randn_like, lambda x: torch.rand(x.shape, generator=torch.Generator())],
    ids=["PyTorch's generator", "its own"],
)
def test_other_randomness_is_refused(draw):
    model = nn.Sequential(nn.Dropout(), Calls(lambda self, x: x + draw(x)))
    with pytest.raises(ValueError, match="must draw no random numbers but those of dropout"):
        predict(model, inputs(2, 6), 2)
