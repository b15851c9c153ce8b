"""`bayes.predict`: layers and functions of both libraries are sampled, whatever drops."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dropout import functional, reference
from dropout import nn as ours
from dropout.bayes import predict, samplers
from dropout.mask import keep_mask
from dropout.shard import Shard
from tests.bayes.models import KEY, Calls, inputs

FUNCTIONS = {
    "F.dropout": lambda self, x: F.dropout(x, 0.5, self.training),
    "F.dropout in place": lambda self, x: F.dropout(x, 0.5, self.training, True),
    "torch.dropout": lambda self, x: torch.dropout(x, 0.5, self.training),
    "F.alpha_dropout": lambda self, x: F.alpha_dropout(x, 0.5),
    "ours": lambda self, x: functional.dropout(x, 0.5, self.training),
    "alpha": lambda self, x: functional.alpha_dropout(x, 0.5, self.training),
    "gaussian": lambda self, x: functional.gaussian_dropout(x, 0.5, self.training),
    "uout": lambda self, x: functional.uout(x, 0.5, self.training),
    "path": lambda self, x: functional.drop_path(x, 0.5, self.training),
    "connect": lambda self, x: functional.drop_connect(
        x, torch.eye(6).double(), 0.5, self.training
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_drop_though_the_model_is_in_evaluation(name):
    function = Calls(FUNCTIONS[name])
    drawn = predict(function, inputs(4, 6), 50, key=KEY)
    assert (drawn.std(0) > 0).all()
    assert not function.modes[-1]  # the last pass is that of the samples


@pytest.mark.parametrize("theirs", [F.dropout, F.alpha_dropout])
def test_functions_and_modules_of_either_library_draw_the_same_masks(theirs):
    mine = {F.dropout: ours.Dropout, F.alpha_dropout: ours.AlphaDropout}[theirs](0.3)
    x = inputs(4, 6)
    function = Calls(lambda self, x: theirs(x, 0.3, self.training))
    assert torch.equal(predict(function, x, 9, key=KEY), predict(mine, x, 9, key=KEY))


IMAGE_LAYERS = [
    nn.Dropout1d(0.5),
    nn.Dropout2d(0.5),
    nn.Dropout3d(0.5),
    nn.FeatureAlphaDropout(0.5),
    ours.Dropout2d(0.5),
    ours.DropBlock2d(0.3, block_size=2),
    ours.DropPath(0.5),
    ours.DropConnect(nn.Conv2d(4, 4, 3), 0.5),
    ours.DropConnect(nn.Conv2d(4, 4, 3), 0.5, per_example=True),
]


@pytest.mark.parametrize("layer", IMAGE_LAYERS, ids=lambda layer: str(layer)[:30])
def test_layers_for_maps_have_one_mask_a_sample_for_all_inputs(layer):
    x = inputs(1, 4, 5, 5).expand(3, 4, 5, 5)
    if isinstance(layer, (nn.Dropout1d, nn.Dropout3d)):
        x = x.flatten(2) if isinstance(layer, nn.Dropout1d) else x[:, :, None]
    drawn = predict(layer.double(), x, 40, key=KEY)
    assert (drawn - drawn[:, :1]).abs().max() < 1e-12
    assert len(drawn[:, 0].flatten(1).unique(dim=0)) > 1


def test_a_channel_drops_whole():
    drawn = predict(nn.Dropout2d(0.5), inputs(2, 4, 3, 3), 30, key=KEY)
    dropped = (drawn == 0).flatten(3)
    assert (dropped.all(-1) == dropped.any(-1)).all()
    expected = keep_mask(KEY, (30, 4), 0.5)
    assert (dropped[:, 0, :, 0].numpy() == ~expected).all()


class Recurrent(nn.Module):
    def __init__(self, rnn):
        super().__init__()
        self.rnn, self.dropout = rnn, ours.LockedDropout(0.5, batch_first=True)

    def forward(self, x):
        return self.dropout(self.rnn(x)[0])


@pytest.mark.parametrize(
    "wrap",
    [lambda rnn: rnn, lambda rnn: ours.WeightDrop(rnn, 0.5), lambda rnn: ours.VariationalRNN(rnn)],
)
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_networks_can_be_sampled(kind, wrap):
    rnn = kind(6, 5, num_layers=2, bidirectional=True, batch_first=True)
    model = Recurrent(wrap(rnn)).double().eval()
    x = inputs(1, 7, 6).expand(2, 7, 6)
    drawn = predict(model, x, 10, key=KEY)
    assert (drawn[:, 0] - drawn[:, 1]).abs().max() < 1e-12
    locked = drawn == 0
    assert (locked == locked[:, :, :1]).all()
    assert "forward" not in vars(rnn)


def test_weights_drop_though_the_model_is_in_evaluation():
    rnn = ours.WeightDrop(nn.LSTM(6, 5, batch_first=True), 0.5).double().eval()
    drawn = predict(nn.Sequential(rnn, Calls(lambda self, out: out[0])), inputs(2, 7, 6), 10)
    assert (drawn.std(0)[:, 1:] > 0).all()


class Own(nn.Module):
    """A user's layer with a key and a generator, which asks for its mode."""

    def __init__(self):
        super().__init__()
        self.key, self.generator = None, None

    def forward(self, x):
        return functional.dropout(x, 0.5, key=self.key) if self.training else x


class Became(ours.VariationalRNN):
    """One whose key and generator are its class's."""

    def __init__(self, rnn):
        super().__init__(rnn)
        del self.key, self.generator


@pytest.mark.parametrize(
    "layer",
    [
        Own(),
        ours.EmbeddingDropout(nn.Embedding(9, 4), 0.5),
        ours.VariationalRNN(nn.GRU(6, 5, batch_first=True)),
        Became(nn.GRU(6, 5, batch_first=True)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_that_ask_for_their_mode_drop_in_a_model_in_evaluation(layer):
    tokens = torch.arange(9).expand(2, 9)
    x = tokens if isinstance(layer, ours.EmbeddingDropout) else inputs(2, 7, 6)
    first = Calls(lambda self, out: out[0] if isinstance(out, tuple) else out)
    drawn = predict(nn.Sequential(layer.double(), first).eval(), x, 30, key=KEY)
    assert (drawn.std(0) > 0).all()


class OnlyInTraining(nn.Module):
    """Passes its rate on in training alone, as transformers' attention does."""

    def __init__(self, change=lambda x: x):
        super().__init__()
        self.change = change

    def forward(self, x):
        x = F.dropout(x, 0.5 if self.training else 0.0)
        return self.change(x) if self.training else x


def test_a_layer_that_drops_only_in_training_drops():
    model = nn.Sequential(nn.Dropout(), OnlyInTraining()).eval()
    expected = predict(nn.Sequential(nn.Dropout(), nn.Dropout()), inputs(4, 6), 9, key=KEY)
    assert torch.equal(predict(model, inputs(4, 6), 9, key=KEY), expected)
    assert torch.equal(
        predict(model[1:], inputs(4, 6), 9, key=KEY),
        predict(nn.Dropout(), inputs(4, 6), 9, key=KEY),
    )
    assert not model[1].training


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x + 1e-9,
        lambda x: (x, x),
        lambda x: x + torch.randn_like(x),
        lambda x: x - x.mean(1, keepdim=True),
        lambda x: x[:, :2],
        lambda x: 1 / 0,
    ],
)
def test_a_layer_that_does_something_else_in_training_stays_in_evaluation(change):
    model, x = nn.Sequential(nn.Dropout(), OnlyInTraining(change)), inputs(4, 6)
    assert torch.equal(predict(model, x, 9, key=KEY), predict(nn.Dropout(), x, 9, key=KEY))


@pytest.mark.parametrize("scale", [None, 0.7])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_of_shared_heads_is_the_formula_with_the_keys_mask(scale, causal):
    q, k, v = inputs(2, 4, 5, 3), inputs(1, 2, 5, 3), inputs(1, 2, 5, 3) + 1
    options = {"scale": scale, "is_causal": causal, "enable_gqa": True}
    attend = Calls(
        lambda self, x: F.scaled_dot_product_attention(x, k, v, dropout_p=0.25, **options)
    )
    drawn = predict(attend, q, 6, key=KEY)
    scores = q @ k.repeat_interleave(2, 1).mT * (3**-0.5 if scale is None else scale)
    if causal:
        scores = scores.masked_fill(torch.ones(5, 5, dtype=torch.bool).triu(1), -torch.inf)
    kept = torch.from_numpy(keep_mask(KEY, (6, 4, 5, 5), 0.25))[:, None]
    expected = scores.softmax(-1) * kept / 0.75 @ v.repeat_interleave(2, 1)
    assert torch.allclose(drawn, expected, rtol=0, atol=1e-12)


def test_attention_runs_alike_where_pytorch_cannot_ask_a_mode_again(monkeypatch):
    attention = nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True).double()
    model = Calls(lambda self, x: attention(x, x, x)[0])
    expected = predict(model, inputs(3, 5, 8), 6, key=KEY)
    monkeypatch.setattr(samplers, "redispatch", samplers._run_again)
    assert torch.equal(predict(model, inputs(3, 5, 8), 6, key=KEY), expected)


def test_heads_of_keys_may_be_shared():
    q, k, v = inputs(2, 4, 5, 3), inputs(1, 2, 6, 3), inputs(1, 2, 6, 3) + 1
    attend = Calls(
        lambda self, x: F.scaled_dot_product_attention(x, k, v, dropout_p=0.0, enable_gqa=True)
    )
    plain = F.scaled_dot_product_attention(q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1))
    drawn = predict(nn.Sequential(attend, nn.Dropout(0.0)), q, 2, key=KEY)
    assert torch.allclose(drawn, plain.expand_as(drawn), rtol=0, atol=1e-12)


def test_a_recurrent_network_without_its_fused_kernel_computes_the_same():
    rnn = nn.LSTM(6, 5, batch_first=True).double()
    model = nn.Sequential(rnn, Calls(lambda self, out: out[0]), nn.Dropout(0.0))
    x = inputs(3, 7, 6)
    assert torch.allclose(predict(model, x, 2, key=KEY)[1], rnn(x)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "layer",
    [
        nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, batch_first=True),
        nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2, enable_nested_tensor=False
        ),
        ours.TransformerBlock(8, 2, p=0.3),
    ],
)
def test_transformers_can_be_sampled(layer):
    x = inputs(1, 5, 8).expand(3, 5, 8)
    drawn = predict(layer.double(), x, 10, key=KEY)
    assert (drawn - drawn[:, :1]).abs().max() < 1e-12
    assert (drawn.std(0) > 0).all()


class Padded(nn.Module):
    """An encoder for sequences that end where the first feature is 0."""

    def __init__(self, nested):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=nested)

    def forward(self, x):
        return self.encoder(x, src_key_padding_mask=x[..., 0] == 0)


def test_padded_sequences_take_the_slow_path_of_pytorchs_encoder():
    """PyTorch's defaults make nested tensors of them in evaluation; a layer alone is fused."""
    model, slow = Padded(True).double(), Padded(False).double()
    slow.load_state_dict(model.state_dict())
    x = inputs(3, 5, 8)
    x[0, 3:], x[1, 4:] = 0, 0
    drawn = predict(model, x, 10, key=KEY)
    assert model.encoder.use_nested_tensor
    assert torch.equal(drawn, predict(slow, x, 10, key=KEY))
    assert (drawn.std(0)[x[..., 0] != 0] > 0).all()
    longer = torch.cat([x, torch.zeros(3, 2, 8)], 1)  # padding does not count, but draws coins
    for layer in [*model.modules()]:
        if isinstance(layer, (nn.Dropout, nn.MultiheadAttention)):
            layer.p = layer.dropout = 0.0
    none = [predict(model, a.double(), 1, key=KEY)[0, :, :5] for a in (x, longer)]
    plain = model.eval()(x)
    for found in none:
        kept = x[..., 0] != 0
        assert torch.allclose(found[kept], plain[:, :5][kept], rtol=0, atol=1e-12)


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("p", [0.0, 0.5])
def test_pytorchs_attention_drops_its_weights(p, need_weights):
    attention = nn.MultiheadAttention(8, 2, dropout=p, batch_first=True).double()
    model = nn.Sequential(
        Calls(lambda self, x: attention(x, x, x, need_weights=need_weights)[0]), nn.Dropout(0.0)
    )
    x = inputs(3, 5, 8)
    drawn, plain = predict(model, x, 20, key=KEY), attention.eval()(x, x, x)[0]
    assert (drawn - plain).abs().max() < 1e-12 if p == 0 else (drawn.std(0) > 0).all()


@pytest.mark.parametrize("mask", [None, "causal", "bool", "float"])
def test_attention_with_masks_keeps_its_mean(mask):
    """20,000 samples; each of 60 means within 6 standard errors: false alarms under 2e-7."""
    q, k, v = inputs(3, 1, 5, 4)
    blocked = torch.ones(5, 5, dtype=torch.bool).triu(1)
    options = {
        None: {},
        "causal": {"is_causal": True},
        "bool": {"attn_mask": ~blocked},
        "float": {"attn_mask": torch.zeros(5, 5).double().masked_fill(blocked, -torch.inf)},
    }[mask]
    attend = Calls(
        lambda self, x: F.scaled_dot_product_attention(x, k, v, dropout_p=0.5, **options)
    )
    drawn = predict(attend, q, 20_000, key=KEY)
    expected = F.scaled_dot_product_attention(q, k, v, **options)
    assert ((drawn.mean(0) - expected).abs() < 6 * drawn.std(0) / 20_000**0.5 + 1e-12).all()


@pytest.mark.parametrize("scale", [None, -0.125])
def test_products_that_float16_does_not_hold_do_not_overflow(scale):
    """Queries and keys whose products reach 140,000 and their scores 17,500."""
    q, k, v = (a.half() for a in inputs(3, 1, 2, 6, 64))
    q, k = 40 * q, 40 * k
    k[..., 0, :] = q[..., 0, :]
    attend = Calls(lambda self, x: F.scaled_dot_product_attention(x, k.to(x), v.to(x), scale=scale))
    model = nn.Sequential(attend, nn.Dropout(0.0))
    found, expected = (predict(model, a, 1, key=KEY)[0].double() for a in (q, q.double()))
    assert torch.allclose(found, expected, rtol=0, atol=2e-2)
    plain = F.scaled_dot_product_attention(*(a.double() for a in (q, k, v)), scale=scale)
    assert torch.allclose(expected, plain, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [None, -0.125])
def test_scores_beyond_float16_are_finite(scale):
    x = torch.full((3, 1, 4, 64), 250.0).half()
    attend = Calls(lambda self, x: F.scaled_dot_product_attention(x, x, x, scale=scale))
    drawn = predict(nn.Sequential(attend, nn.Dropout(0.0)), x, 1, key=KEY)
    assert (drawn[0] - 250).abs().max() < 0.5


def test_words_can_be_dropped():
    model = nn.Sequential(
        ours.WordDropout(replacement=0, p=0.5), ours.EmbeddingDropout(nn.Embedding(9, 4), p=0.5)
    )
    tokens = torch.randint(9, (3, 6), generator=torch.Generator().manual_seed(1))
    drawn = predict(model, tokens, 20, key=KEY)
    assert drawn.shape == (20, 3, 6, 4)
    assert (drawn.std(0) > 0).all()


def test_the_mask_is_that_of_a_shard_of_the_functional_form():
    x = inputs(3, 6)
    drawn = predict(nn.Dropout(0.4), x, 5, key=KEY)
    row = functional.dropout(x[1:2], 0.4, key=KEY, shard=Shard((5, 6), (4, 0)))
    assert torch.equal(drawn[4, 1], row[0])
    whole = reference.dropout(np.ones((5, 6)), 0.4, key=KEY)
    assert np.allclose(drawn[:, 1], whole * x[1].numpy(), rtol=1e-15)


def test_what_is_dropped_is_zero_even_where_the_input_is_not_finite():
    x = torch.tensor([[torch.inf, torch.nan, -torch.inf, 1.0]])
    drawn = predict(nn.Dropout(0.5), x, 50, key=KEY)
    assert (drawn[torch.from_numpy(~keep_mask(KEY, (50, 4), 0.5))[:, None]] == 0).all()


def test_residual_connections_around_dropout_are_right():
    model = Calls(lambda self, x: x + F.dropout(x, 0.5, self.training))
    x = inputs(3, 6)
    assert torch.equal(predict(model, x, 9, key=KEY), x + predict(nn.Dropout(), x, 9, key=KEY))
