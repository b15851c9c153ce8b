"""`bayes.predict`: what it assumes of a model's axes is checked, and told where it can be."""

import pytest
import torch
from torch import nn

from dropout.bayes import predict
from tests.bayes.models import KEY, Calls, inputs


def head(outputs, last):
    torch.manual_seed(3)
    layers = nn.Linear(4, 8), nn.Tanh(), nn.Dropout(), nn.Linear(8, outputs)
    return nn.Sequential(*layers, Calls(lambda self, x: last(x))).double()


@pytest.mark.parametrize("outputs", [1, 2, 3, 4])
@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("memory", [1, 1 << 20])
def test_squeeze_may_take_the_axis_of_one_input(outputs, n, memory):
    x = inputs(n, 4)
    expected = predict(head(outputs, lambda x: x), x, 7, key=KEY, memory=memory)
    expected = expected[..., 0] if outputs == 1 else expected
    for last in (lambda x: x.squeeze(), lambda x: x.squeeze(0)):
        if outputs == 1 and last(torch.ones(3, 1)).dim() == 2:
            continue  # squeeze(0) keeps the axis of the one output
        drawn = predict(head(outputs, last), x, 7, key=KEY, memory=memory)
        assert torch.equal(drawn, expected)


@pytest.mark.parametrize("time", [1, 3, 6])
def test_outputs_with_time_first_come_back_with_the_inputs_first(time):
    x = inputs(5, time, 4)
    model = nn.Sequential(nn.Linear(4, 3), nn.Dropout()).double()
    turned = nn.Sequential(model, Calls(lambda self, x: x.transpose(0, 1)))
    drawn = predict(turned, x, 7, key=KEY)
    assert drawn.shape == (7, 5, time, 3)
    assert torch.equal(drawn, predict(model, x, 7, key=KEY))


ACROSS = {
    "mean": Calls(lambda self, x: x - x.mean(0)),
    "softmax": Calls(lambda self, x: x.softmax(0)),
    "next": Calls(lambda self, x: x + x.roll(1, 0)),
    "place": Calls(lambda self, x: x + torch.arange(len(x))[:, None]),
    "later": Calls(lambda self, x: x + x.flip(0).cumsum(0).flip(0)),
    "batch norm": nn.BatchNorm1d(4, track_running_stats=False).double(),
    "group": Calls(lambda self, x: nn.functional.batch_norm(x + 0, None, None, training=True)),
}


@pytest.mark.parametrize("name", ACROSS)
def test_models_that_look_across_the_batch_are_refused(name):
    model = nn.Sequential(ACROSS[name], nn.Dropout())
    with pytest.raises(ValueError, match="model must take"):
        predict(model, inputs(5, 4), 3)


def test_a_recurrent_network_that_takes_the_inputs_for_time_is_refused():
    model = nn.Sequential(nn.LSTM(4, 2), Calls(lambda self, out: out[0]), nn.Dropout()).double()
    with pytest.raises(ValueError, match="is the first axis of x that of the inputs"):
        predict(model, inputs(5, 3, 4), 3)


@pytest.mark.parametrize("last", [lambda x: x.sum(), lambda x: x.mean(0), lambda x: x.sum(0, True)])
def test_outputs_without_an_axis_of_the_inputs_are_refused(last):
    with pytest.raises(ValueError, match="model must return tensors with an axis of the inputs"):
        predict(head(5, last), inputs(5, 4), 3)


def test_a_model_that_fails_with_one_input_alone_is_refused_with_the_reason():
    with pytest.raises(ValueError, match=r"must take a batch of one .*too many indices"):
        predict(head(3, lambda x: x.squeeze()[:, 0]), inputs(5, 4), 3)


def test_a_model_for_one_input_alone_is_run():
    model = head(3, lambda x: x.reshape(1, 3))
    assert torch.equal(
        predict(model, inputs(5, 4), 3, key=KEY),
        predict(head(3, lambda x: x), inputs(5, 4), 3, key=KEY),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.half])
def test_rounding_is_not_taken_for_a_look_across_the_batch(dtype):
    torch.manual_seed(1)
    layers = [part for _ in range(6) for part in (nn.Linear(64, 64), nn.LayerNorm(64), nn.GELU())]
    model = nn.Sequential(*layers, nn.Dropout()).to(dtype)
    assert predict(model, inputs(5, 64).to(dtype), 3, key=KEY).isfinite().all()


def test_other_lengths_in_later_batches_are_told_by_the_first():
    model = nn.Sequential(
        nn.Linear(4, 3), nn.Dropout(), Calls(lambda self, x: x.mT.mean(-1).squeeze())
    )
    model, batches = model.double(), [inputs(2, 5, 4), inputs(3, 8, 4)]
    assert predict(model, batches, 6, key=KEY).shape == (6, 5, 3)
