"""`bayes.predict`: several inputs, keyword arguments, and outputs of many tensors."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass, fields

import pytest
import torch
from torch import nn

from dropout.bayes import predict
from tests.bayes.models import KEY, Calls, inputs

Pair = namedtuple("Pair", "first second")


@dataclass
class Plain:
    logits: torch.Tensor
    states: tuple | None = None


@dataclass
class Ordered(OrderedDict):
    """What transformers' ModelOutput is: a dataclass and a dictionary of what is not None."""

    logits: torch.Tensor | None = None
    states: tuple | None = None
    loss: torch.Tensor | None = None

    def __post_init__(self):
        for field in fields(self):
            if (value := getattr(self, field.name)) is not None:
                self[field.name] = value


OUTPUTS = {
    "tuple": (lambda a, b: (a, b), lambda out: out),
    "None beside": (lambda a, b: (a, None, b), lambda out: (out[0], out[2])),
    "list": (lambda a, b: [a, [b]], lambda out: (out[0], out[1][0])),
    "namedtuple": (Pair, lambda out: (out.first, out.second)),
    "dictionary": (lambda a, b: {"a": a, "b": {"c": b}}, lambda out: (out["a"], out["b"]["c"])),
    "dataclass": (lambda a, b: Plain(a, (b,)), lambda out: (out.logits, out.states[0])),
    "ordered": (lambda a, b: Ordered(a, (b,)), lambda out: (out["logits"], out.states[0])),
}


@pytest.mark.parametrize("memory", [1, 1 << 20])
@pytest.mark.parametrize("name", OUTPUTS)
def test_each_tensor_of_an_output_has_the_samples_first(name, memory):
    make, take = OUTPUTS[name]
    layer, x = nn.Sequential(nn.Linear(6, 4), nn.Dropout()).double(), inputs(5, 3, 6)
    model = nn.Sequential(layer, Calls(lambda self, h: make(h.exp(), h.sum(1).T)))
    out = predict(model, x, 7, key=KEY, memory=memory)
    assert type(out) is type(make(x, x[:, 0]))
    first, second = take(out)
    h = predict(layer, x, 7, key=KEY, memory=memory)
    assert torch.equal(first, h.exp())
    assert torch.allclose(second, h.sum(2), rtol=0, atol=1e-12)
    assert second.shape == (7, 5, 4)


def test_pytorchs_recurrent_and_attention_layers_come_back_whole():
    lstm = nn.Sequential(nn.Dropout(), nn.LSTM(6, 4, 2, batch_first=True)).double()
    output, (h, c) = predict(lstm, inputs(5, 3, 6), 7, key=KEY)
    assert (output.shape, h.shape, c.shape) == ((7, 5, 3, 4), (7, 5, 2, 4), (7, 5, 2, 4))
    assert torch.equal(output[:, :, -1], h[:, :, -1])


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(6, 4).double(), nn.Linear(3, 4).double()
        self.dropout = nn.Dropout()

    def forward(self, left, *, right, bias=None, negate=False):
        h = self.dropout(self.left(left) + self.right(right))
        h = h if bias is None else h + bias
        return -h if negate else h


@pytest.mark.parametrize("memory", [1, 1 << 20])
def test_a_dictionary_holds_keyword_arguments(memory):
    model, left, right = Two(), inputs(5, 6), inputs(5, 3)
    bias = inputs(4)
    batch = {"left": left, "right": right, "negate": True}
    out = predict(model, batch, 7, shared={"bias": bias}, key=KEY, memory=memory)
    joined = nn.Sequential(Calls(lambda self, x: model.left(x[:, :6]) + model.right(x[:, 6:])))
    expected = predict(nn.Sequential(joined, nn.Dropout()), torch.cat([left, right], 1), 7, key=KEY)
    assert torch.allclose(out, -(expected + bias), rtol=0, atol=1e-12)
    halves = [{"left": left[a], "right": right[a], "negate": True} for a in (slice(2), slice(2, 5))]
    parts = predict(model, halves, 7, shared={"bias": bias}, key=KEY, memory=memory)
    assert torch.allclose(parts, out, rtol=0, atol=1e-12)


def test_a_causal_mask_is_shared_and_one_for_padding_is_not():
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2).double()
    x, padding = inputs(3, 5, 8), torch.arange(5) >= torch.tensor([[3], [4], [5]])
    causal = torch.ones(5, 5, dtype=torch.bool).triu(1)
    batch = {"src": x, "src_key_padding_mask": padding}
    drawn = predict(encoder, batch, 6, shared={"mask": causal}, key=KEY)
    changed = {"src": x.clone(), "src_key_padding_mask": padding}
    changed["src"][:, 2:] += 1
    later = predict(encoder, changed, 6, shared={"mask": causal}, key=KEY)
    assert torch.allclose(drawn[:, :, :2], later[:, :, :2], rtol=0, atol=1e-12)
    assert not torch.allclose(drawn[:, :, 2], later[:, :, 2])


@pytest.mark.unchecked
def test_tensors_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match=r"as many inputs each, got \[5, 4\]"):
        predict(Two(), {"left": inputs(5, 6), "right": inputs(4, 3)}, 2)
    with pytest.raises(TypeError, match="first axis is that of the inputs"):
        predict(Two(), {"left": torch.tensor(1.0)}, 2)
