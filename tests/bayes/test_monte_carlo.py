"""`bayes.predict`: the samples are networks, whatever drops, however they are computed."""

import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from dropout import MaskKey, functional, reference
from dropout import nn as ours
from dropout.bayes import precision, predict
from dropout.mask import keep_mask
from dropout.shard import Shard

KEY = MaskKey(seed=5, stream=3, step=2)


def inputs(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(7))


def mlp(dropout=nn.Dropout):
    layers = [
        nn.Linear(6, 20),
        nn.ReLU(),
        dropout(0.5),
        nn.Linear(20, 16),
        nn.Tanh(),
        dropout(0.25),
    ]
    return nn.Sequential(*layers, nn.Linear(16, 3)).double()


class Calls(nn.Module):
    """A function as a module, which notes whether it ran in training."""

    def __init__(self, function):
        super().__init__()
        self.function, self.modes = function, set()

    def forward(self, x):
        self.modes.add(self.training)
        return self.function(self, x)


# --- Which masks --------------------------------------------------------------------------------


@pytest.mark.parametrize("dropout", [nn.Dropout, ours.Dropout])
def test_samples_equal_a_loop_over_the_same_masks(dropout):
    """One pass a sample, in NumPy, to 1e-12: products of other shapes are summed in other order."""
    model, x = mlp(dropout), inputs(9, 6)
    w1, b1, w2, b2, w3, b3 = (p.detach().numpy() for p in model.parameters())
    drawn = predict(model, x, 8, key=KEY)
    for t in range(8):
        kept = [
            keep_mask(MaskKey(5, 3 + i, 2), (8, n), p)[t]
            for i, (n, p) in enumerate([(20, 0.5), (16, 0.25)])
        ]
        h = np.maximum(x.numpy() @ w1.T + b1, 0) * kept[0] / 0.5
        h = np.tanh(h @ w2.T + b2) * kept[1] / 0.75
        assert np.allclose(drawn[t], h @ w3.T + b3, rtol=0, atol=1e-12)


def test_more_samples_begin_with_the_same_ones():
    model, x = mlp(), inputs(4, 6)
    few, many = (predict(model, x, n, key=KEY) for n in (5, 50))
    assert torch.allclose(few, many[:5], rtol=0, atol=1e-12)


def test_another_step_or_seed_draws_other_samples():
    model, x = mlp(), inputs(4, 6)
    outputs = [predict(model, x, 5, key=key) for key in (KEY, MaskKey(5, 3, 3), MaskKey(6, 3, 2))]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert (outputs[a] != outputs[b]).any(dim=-1).all()


def test_without_a_key_torch_manual_seed_settles_the_samples():
    model, x = mlp(), inputs(2, 6)
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        runs.append(predict(model, x, 3))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_equal_inputs_get_equal_outputs_in_every_sample():
    x = inputs(1, 6).expand(5, 6)
    drawn = predict(mlp(), x, 10, key=KEY)
    assert (drawn - drawn[:, :1]).abs().max() < 1e-12
    assert drawn.std(0).min() > 1e-3


# --- However the work is cut --------------------------------------------------------------------


@pytest.mark.parametrize("memory", [1, 5_000, 50_000])
def test_parts_do_not_show(memory):
    model, x = mlp(), inputs(11, 6)
    whole = predict(model, x, 7, key=KEY)
    assert torch.allclose(predict(model, x, 7, key=KEY, memory=memory), whole, rtol=0, atol=1e-12)


def test_a_loader_gives_what_one_batch_gives_and_keeps_the_last_part():
    model, x = mlp(), inputs(11, 6)
    loader = torch.utils.data.DataLoader(x, batch_size=4)
    drawn = predict(model, loader, 7, key=KEY)
    assert drawn.shape == (7, 11, 3)
    assert torch.allclose(drawn, predict(model, x, 7, key=KEY), rtol=0, atol=1e-12)


def test_what_precedes_the_first_dropout_runs_once_for_all_samples():
    """And once for one input, to see how large the intermediate results are."""
    before, after = (Calls(lambda self, x: 2 * x) for _ in range(2))
    rows = []

    class Count(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if function is torch.ops.aten.mul.Tensor and args[1] == 2:
                rows.append(args[0].numel() // 6)
            return function(*args, **(kwargs or {}))

    model = nn.Sequential(before, nn.Dropout(0.5), after)
    with Count():
        predict(model, inputs(8, 6), 100, key=KEY)
    assert sorted(rows) == [1, 1, 8, 800]


class Peak(TorchDispatchMode):
    """Counts the bytes of the tensors alive that operators made."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self.alive = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(tensor, torch.Tensor):
                self.add(tensor.untyped_storage())
        return out

    def add(self, storage):
        address, size = storage.data_ptr(), storage.nbytes()
        if address not in self.alive:
            self.alive.add(address)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self.free, address, size)

    def free(self, address, size):
        self.alive.discard(address)
        self.now -= size


@pytest.mark.parametrize("build", [mlp, lambda: nn.Sequential(nn.Dropout(0.1), *mlp())])
def test_memory_is_bounded_whatever_the_samples_and_inputs(build):
    model, memory, peaks = build(), 1 << 17, []
    for samples, n in ((10, 50), (1000, 50), (10, 5000), (5000, 10)):
        x = inputs(n, 6)
        with Peak() as count:
            count.alive.add(x.untyped_storage().data_ptr())  # not made by an operator
            out = predict(model, x, samples, key=KEY, memory=memory)
        results = 2 * out.numel() * out.element_size()  # the parts, and what they are joined to
        peaks.append(count.peak - results)
    assert max(peaks) < 1.5 * memory


# --- Whatever drops -----------------------------------------------------------------------------

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
    assert function.modes == {False}


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
    model = Recurrent(wrap(rnn)).double()
    x = inputs(1, 7, 6).expand(2, 7, 6)
    drawn = predict(model, x, 10, key=KEY)
    assert (drawn[:, 0] - drawn[:, 1]).abs().max() < 1e-12
    locked = drawn == 0
    assert (locked == locked[:, :, :1]).all()
    assert "forward" not in vars(rnn)


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


# --- Everything else stays ----------------------------------------------------------------------


def test_batch_normalisation_stays_as_in_evaluation():
    norm = nn.BatchNorm1d(20)
    model = nn.Sequential(nn.Linear(6, 20), norm, nn.Dropout(0.5)).double().train()
    model(inputs(32, 6))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    drawn = predict(model, inputs(8, 6), 10, key=KEY)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    kept = torch.from_numpy(keep_mask(KEY, (10, 20), 0.5))[:, None]
    expected = 2 * model[:2].eval()(inputs(8, 6)) * kept
    assert torch.allclose(drawn, expected, rtol=0, atol=1e-12)


def test_training_flags_come_back_even_from_an_error():
    def fail(self, x):
        raise RuntimeError("stop")

    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout(), nn.Tanh()), Calls(fail))
    model[0].eval()
    flags = [layer.training for layer in model.modules()]
    with pytest.raises(RuntimeError, match="stop"):
        predict(model, torch.ones(2, 2), 3)
    assert [layer.training for layer in model.modules()] == flags


def test_keys_and_generators_of_layers_are_left_alone():
    generator = torch.Generator().manual_seed(3)
    state = generator.get_state()
    model = nn.Sequential(ours.Dropout(key=MaskKey(1)), ours.Dropout(generator=generator))
    before = torch.random.get_rng_state()
    first = predict(model, inputs(2, 6), 9, key=KEY)
    assert len(first[:, 0].unique(dim=0)) > 1
    assert model[0].key == MaskKey(1)
    assert torch.equal(generator.get_state(), state)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_no_gradient_is_kept():
    assert not predict(mlp(), inputs(2, 6).requires_grad_(), 2, key=KEY).requires_grad


def test_the_mean_tends_to_that_over_all_masks():
    """A logit of 6 inputs, over all 64 masks and over 100,000 samples: 5 standard errors."""
    x, w = inputs(2, 6)
    model = nn.Sequential(nn.Dropout(0.5), Calls(lambda self, x: (x @ w).sigmoid()))
    masks = (np.arange(64)[:, None] >> np.arange(6)) & 1
    exact = 1 / (1 + np.exp(-2 * masks @ (x * w).numpy()))
    drawn = predict(model, x[None], 100_000, key=KEY)[:, 0]
    assert abs(drawn.mean() - exact.mean()) < 5 * exact.std() / 100_000**0.5


# --- Bad input ----------------------------------------------------------------------------------


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
            (nn.Sequential(nn.Dropout(), nn.LSTM(2, 2)), torch.ones(2, 3, 2)),
            TypeError,
            "one tensor",
        ),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, error, message):
    with pytest.raises(error, match=message):
        predict(*arguments)


def test_other_randomness_is_refused_by_vmap():
    model = nn.Sequential(nn.Dropout(), Calls(lambda self, x: x + torch.randn_like(x)))
    with pytest.raises(RuntimeError, match="random"):
        predict(model, inputs(2, 6), 2)


def test_progress_counts_inputs_on_stderr(capsys):
    predict(mlp(), inputs(4, 6), 3, progress=True)
    assert capsys.readouterr().err.endswith("\r4 inputs, 3 samples each\n")


def test_precision_is_the_papers_formula():
    assert precision(weight_decay=1e-4, length_scale=0.1, q=0.95, n=500) == pytest.approx(0.095)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q": 0.0}, r"q must be in \(0, 1\], got 0.0"),
        ({"weight_decay": 0.0}, "weight_decay must be positive"),
        ({"length_scale": -1.0}, "length_scale must be positive"),
    ],
)
def test_a_precision_without_meaning_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        precision(**{"weight_decay": 1.0, "length_scale": 1.0, "q": 0.5, "n": 3} | change)
