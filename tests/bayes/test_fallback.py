"""`bayes.predict`: what torch.vmap cannot take runs sample by sample, with the same masks."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from dropout import nn as ours
from dropout.bayes import predict
from tests.bayes.models import KEY, Calls, inputs, mlp


def by_itself(x):
    """What torch.vmap refuses."""
    return torch.from_numpy(np.asarray(x.tolist())).to(x)


MODELS = [
    mlp(),
    mlp(ours.GaussianDropout),
    nn.Sequential(
        ours.DropConnect(nn.Linear(6, 4), 0.5, per_example=True), ours.Dropout()
    ).double(),
    nn.Sequential(ours.AlphaDropout(0.3), nn.Linear(6, 4), ours.DropPath(0.5)).double(),
]


@pytest.mark.parametrize("memory", [1, 1 << 20])
@pytest.mark.parametrize("model", MODELS, ids=range(len(MODELS)))
def test_samples_are_those_of_the_model_that_vmap_takes(model, memory):
    x = inputs(3, 6)
    stubborn = nn.Sequential(model, Calls(lambda self, h: by_itself(h)), nn.Dropout(0.1))
    expected = predict(nn.Sequential(model, nn.Dropout(0.1)), x, 4, key=KEY)
    with pytest.warns(UserWarning, match="vmap cannot take this model") as said:
        drawn = predict(stubborn, x, 4, key=KEY, memory=memory)
    assert len(said) == 1
    assert torch.allclose(drawn, expected, rtol=0, atol=1e-12)


class Reverse(torch.autograd.Function):
    """Reversal of gradients as it is mostly written, without `setup_context`, which vmap needs."""

    @staticmethod
    def forward(ctx, h):
        return h.view_as(h)

    @staticmethod
    def backward(ctx, gradient):
        return -gradient


def slope(h):
    """An inner gradient, which `torch.vmap` refuses: of h², by autograd."""
    with torch.enable_grad():
        h = h.detach().requires_grad_()
        return torch.autograd.grad(h.square().sum(), h)[0] / 2


@pytest.mark.parametrize("last", [Reverse.apply, slope])
def test_what_no_transform_takes_runs_as_it_is(last):
    """Both give back what they get."""
    x, model = inputs(3, 6), mlp()
    with pytest.warns(UserWarning, match="vmap cannot take this model"):
        drawn = predict(nn.Sequential(model, Calls(lambda self, h: last(h))), x, 4, key=KEY)
    assert torch.allclose(drawn, predict(model, x, 4, key=KEY), rtol=0, atol=1e-12)


def test_complex_outputs_are_sampled():
    x, model = inputs(3, 6), mlp()
    waves = nn.Sequential(model, Calls(lambda self, h: torch.fft.rfft(h)))
    expected = torch.fft.rfft(predict(model, x, 4, key=KEY))
    assert torch.allclose(predict(waves, x, 4, key=KEY), expected)


def test_a_way_that_depends_on_the_sample_is_taken_for_each():
    """Exact: units kept decide, by the sign of what is left of one input."""
    fork = Calls(lambda self, h: h if h.sum() > 0 else -h)
    x = inputs(4, 6)
    with pytest.warns(UserWarning, match="data-dependent control flow"):
        drawn = predict(nn.Sequential(nn.Dropout(), fork), x, 9, key=KEY)
    h = predict(nn.Dropout(), x, 9, key=KEY)
    sign = torch.where(h.sum(-1, keepdim=True) > 0, 1.0, -1.0)
    assert torch.equal(drawn, h * sign)
    assert len(sign.unique()) == 2


def test_a_way_that_depends_on_the_input_alone_is_taken_once_for_all_samples():
    """A step left out where nothing needs it, as transformers do with masks of no padding.

    Three passes are before: for one input, for three, and for one with `Calls` in training.
    """
    after, passes = Calls(lambda self, h: h.exp()), []
    fork = Calls(lambda self, x: x.clamp(min=0) if (x < 0).any() else x)
    x = inputs(4, 6)
    x[0] = x[0].abs()
    after.note = passes.append
    with pytest.warns(UserWarning, match=r"each input runs by itself.*data-dependent") as said:
        drawn = predict(nn.Sequential(fork, nn.Dropout(), after), x, 9, key=KEY)
    assert len(said) == 1
    assert len(passes) == 3 + len(x)
    assert torch.equal(drawn, predict(nn.Dropout(), x.clamp(min=0), 9, key=KEY).exp())


def test_buffers_written_in_place_start_anew_for_each_sample():
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))
            self.register_buffer("sum", torch.zeros((), dtype=torch.double))

        def forward(self, h):
            self.calls.add_(1)
            self.sum.add_(h.sum())
            return h * self.calls

    model = nn.Sequential(nn.Dropout(), Counts())
    with pytest.warns(UserWarning, match="vmap cannot take this model"):
        drawn = predict(model, inputs(4, 6), 5, key=KEY)
    assert torch.equal(drawn, predict(nn.Dropout(), inputs(4, 6), 5, key=KEY))
    assert not model[1].calls
    assert not model[1].sum


def test_packed_sequences_run_by_pytorchs_kernels():
    class Packed(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.dropout = nn.GRU(4, 6, batch_first=True).double(), nn.Dropout()

        def forward(self, x, lengths):
            options = {"batch_first": True, "enforce_sorted": False}
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths.tolist(), **options)
            return self.dropout(self.rnn(packed)[1][-1])

    model, x = Packed(), inputs(3, 5, 4)
    with pytest.warns(UserWarning, match="vmap cannot take this model"):
        drawn = predict(model, {"x": x, "lengths": torch.tensor([5, 3, 2])}, 7, key=KEY)
    last = torch.cat([model.rnn(x[i : i + 1, :n])[1][-1] for i, n in enumerate((5, 3, 2))])
    expected = predict(nn.Dropout(), last, 7, key=KEY)
    assert torch.allclose(drawn, expected, rtol=0, atol=1e-12)


def test_an_error_of_the_model_is_its_own():
    def fails(self, h):
        if (h == 0).any():
            raise ArithmeticError("a zero")
        return h

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ArithmeticError, match="a zero"):
            predict(nn.Sequential(nn.Dropout(), Calls(fails)), inputs(4, 6), 9, key=KEY)
