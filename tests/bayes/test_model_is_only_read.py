"""`bayes.predict`: whatever a forward does to a model, the model is as it was, with threads too."""

import copy
import io
from collections import deque
from dataclasses import dataclass
from threading import Event, Thread, current_thread
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, prune

from dropout import nn as ours
from dropout.bayes import predict
from tests.bayes.models import KEY, Calls, inputs, mlp


@dataclass
class Record:
    x: torch.Tensor | None = None


class Keeps(nn.Module):
    """Keeps whatever passes, in every way that a forward can."""

    def __init__(self):
        super().__init__()
        self.layer, self.dropout = nn.Linear(6, 6).double(), nn.Dropout()
        self.register_buffer("mean", torch.zeros(6, dtype=torch.double))
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))
        self.weights, self.count = None, 0
        self.many, self.named, self.last = [], {"x": None}, deque(maxlen=2)
        self.nested = {"all": [SimpleNamespace(x=None)]}
        self.record = Record()

    def forward(self, x):
        h = self.dropout(self.layer(x))
        self.mean = 0.9 * self.mean + 0.1 * h.mean(0)
        self.calls += 1
        self.weights, self.count, self.dropout.seen = h, self.count + 1, h
        self.many.append(h)
        self.named["x"] = h
        self.last.append(h)
        self.nested["all"][0].x = self.record.x = h
        self.train()
        return h


def test_what_a_forward_keeps_does_not_reach_the_model():
    model, x = Keeps().eval(), inputs(4, 6)
    drawn = predict(model, x, 3, key=KEY, memory=2_000)
    plain = nn.Sequential(model.layer, nn.Dropout())
    assert torch.equal(drawn, predict(plain, x, 3, key=KEY, memory=2_000))
    assert not any(layer.training for layer in model.modules())
    assert not model.mean.any()
    assert (model.weights, model.count, model.calls.item()) == (None, 0, 0)
    assert (model.many, model.named, list(model.last)) == ([], {"x": None}, [])
    assert model.nested == {"all": [SimpleNamespace(x=None)]}
    assert model.record == Record()
    assert not hasattr(model.dropout, "seen")


def test_afterwards_the_model_runs_and_can_be_copied_and_stored():
    model, x = Keeps().eval(), inputs(4, 6)
    predict(model, x, 3, key=KEY)
    copy.deepcopy(model)
    torch.save(model.state_dict(), io.BytesIO())
    assert torch.equal(model.float()(x.float()), model.layer(x.float()))


def test_an_error_half_way_leaves_the_model_as_it_was():
    class Fails(Keeps):
        def forward(self, x):
            super().forward(x)
            raise RuntimeError("stop")

    model = Fails().eval()
    with pytest.raises(RuntimeError, match="stop"):
        predict(model, inputs(4, 6), 3)
    assert (model.weights, model.count, model.calls.item(), model.many) == (None, 0, 0, [])
    assert not any(layer.training for layer in model.modules())


class Assigned(nn.Linear):
    def forward(self, x):
        self.weight.data = self.weight.data.renorm(2, 0, 0.1)
        return super().forward(x)


class Clamped(nn.Linear):
    def forward(self, x):
        torch._foreach_mul_([self.weight.data], 0.5)
        with torch.no_grad():
            self.bias[:2].clamp_(-0.1, 0.1)
        return super().forward(x)


@pytest.mark.filterwarnings("ignore:torch.vmap cannot take this model")
@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (Assigned(6, 3).double(), inputs(4, 6)),
        (Clamped(6, 3).double(), inputs(4, 6)),
        (nn.Embedding(9, 6, max_norm=0.5).double(), torch.arange(8).reshape(2, 4)),
        (nn.EmbeddingBag(9, 6, max_norm=0.5).double(), torch.arange(8).reshape(2, 4)),
    ],
)
def test_parameters_that_a_forward_writes_into_stay(layer, x):
    model = nn.Sequential(layer, nn.Dropout())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    drawn = predict(model, x, 2, key=KEY)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    plain = layer(x)  # writes
    assert not all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    kept = drawn != 0
    assert torch.allclose(drawn[kept], 2 * plain.expand_as(drawn)[kept], rtol=0, atol=1e-12)


def test_the_inputs_are_not_written_into():
    model = nn.Sequential(Calls(lambda self, x: x.mul_(2)), nn.Dropout())
    x = inputs(4, 6)
    before = x.clone()
    expected = predict(nn.Sequential(Calls(lambda self, x: x * 2), nn.Dropout()), x, 3, key=KEY)
    assert torch.equal(predict(model, x, 3, key=KEY, memory=1), expected)
    assert torch.equal(x, before)


class Meets(nn.Module):
    """A second thread's forward begins within a first's, and ends when the first has gone."""

    def __init__(self):
        super().__init__()
        self.rnn, self.norm = nn.LSTM(6, 5, batch_first=True), nn.BatchNorm1d(7)
        self.dropout = nn.Dropout()
        self.first_runs, self.second_runs, self.first_is_done = Event(), Event(), Event()

    def forward(self, x):
        if current_thread().name == "first":
            self.first_runs.set()
            assert self.second_runs.wait(20)
        elif current_thread().name == "second":
            self.second_runs.set()
            assert self.first_is_done.wait(20)
        return self.dropout(self.norm(self.rnn(x)[0]))


@pytest.mark.parametrize("training", [False, True])
def test_threads_may_share_a_model(training):
    model = Meets().double().train(training)
    xs, found = inputs(2, 3, 7, 6).unbind(), {}

    def first():
        found[0] = predict(model, xs[0], 3, key=KEY)
        model.first_is_done.set()

    def second():
        assert model.first_runs.wait(20)
        found[1] = predict(model, xs[1], 3, key=KEY)

    threads = [Thread(target=f, name=f.__name__) for f in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(layer.training == training for layer in model.modules())
    assert "forward" not in vars(model.rnn)
    for i, x in enumerate(xs):
        assert torch.equal(found[i], predict(model, x, 3, key=KEY))


def test_patched_forwards_hooks_and_closures_run_on_the_twin():
    """And shared layers stay shared: what is bound to the model would write into it."""
    model = nn.Sequential(nn.Linear(6, 6), nn.Dropout(), nn.Linear(6, 6)).double()
    first = model[0]
    model[2].weight = first.weight

    def patched(x):
        first.seen = x
        return F.linear(x, first.weight, first.bias)

    def hook(layer, args, out):
        layer.out = out

    first.forward = patched
    model[2].register_forward_hook(hook)
    predict(model, inputs(3, 6), 2, key=KEY)
    assert not hasattr(first, "seen")
    assert not hasattr(model[2], "out")
    assert model[2].weight is first.weight


@pytest.mark.parametrize(
    "wrap",
    [
        lambda layer: layer,
        parametrizations.weight_norm,
        parametrizations.orthogonal,
        lambda layer: prune.random_unstructured(layer, "weight", 0.5),
    ],
)
def test_computed_weights_are_those_of_the_model(wrap):
    layer = wrap(nn.Linear(6, 6).double()).eval()
    x = inputs(3, 6)
    drawn = predict(nn.Sequential(layer, nn.Dropout(0.0)), x, 2, key=KEY)
    assert torch.allclose(drawn[1], layer(x), rtol=0, atol=1e-12)


def test_a_compiled_model_is_sampled_as_it_was_written():
    model, x = mlp(), inputs(3, 6)
    expected = predict(model, x, 3, key=KEY)
    assert torch.equal(predict(torch.compile(model, backend="eager"), x, 3, key=KEY), expected)
    model.compile(backend="eager")
    assert torch.equal(predict(model, x, 3, key=KEY), expected)


def test_models_run_in_inference_mode():
    model, x = nn.Sequential(Keeps(), ours.Dropout()), inputs(3, 6)
    expected = predict(model, x, 3, key=KEY)
    with torch.inference_mode():
        assert torch.equal(predict(model, x, 3, key=KEY), expected)
        assert torch.equal(predict(copy.deepcopy(model), x, 3, key=KEY), expected)


@pytest.mark.unchecked
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_and_lazy_models_are_refused_by_name():
    with pytest.raises(ValueError, match=r"'0', a LazyLinear, .*run the model once"):
        predict(nn.Sequential(nn.LazyLinear(3), nn.Dropout()), inputs(2, 6), 2)
    with pytest.raises(ValueError, match="compiled code"):
        predict(torch.jit.trace(mlp().eval(), inputs(2, 6)), inputs(2, 6), 2)
