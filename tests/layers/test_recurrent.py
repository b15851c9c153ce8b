"""Dropout in time: one mask for a whole sequence, around PyTorch's own recurrent layers."""

from functools import partial

import pytest
import torch
from torch.func import functional_call
from torch.nn.utils import parametrizations, parametrize, prune
from torch.nn.utils.rnn import pack_sequence

from dropout import MaskKey, functional, nn
from dropout.mask import keep_mask

KEY = MaskKey(seed=2**63 + 5, stream=1, step=2)


def normal(*shape):
    return torch.randn(shape, dtype=torch.double)


# ---- locked dropout -----------------------------------------------------------------------------


@pytest.mark.parametrize(("batch_first", "time"), [(False, 0), (True, 1)])
def test_a_feature_is_dropped_at_all_times_or_at_none(batch_first, time):
    out = nn.LockedDropout(0.5, batch_first=batch_first)(torch.ones(40, 40, 3))
    assert torch.equal(out, out.select(time, 0).unsqueeze(time).expand_as(out))
    other = out.select(1 - time, 0).unsqueeze(1 - time)
    assert not torch.equal(out, other.expand_as(out))  # sequences have masks of their own


def test_locked_inplace_writes_the_same_values():
    x = normal(3, 2, 4)
    apart = functional.locked_dropout(x, 0.5, key=KEY)
    assert nn.LockedDropout(0.5, inplace=True, key=KEY)(x) is x
    assert torch.equal(x, apart)


# ---- the two wrappers ---------------------------------------------------------------------------

RNNS = {
    "LSTM": lambda: torch.nn.LSTM(3, 4),
    "LSTM, deep, both ways": lambda: torch.nn.LSTM(3, 4, num_layers=2, bidirectional=True),
    "LSTM, projected": lambda: torch.nn.LSTM(3, 4, num_layers=2, proj_size=2),
    "GRU": lambda: torch.nn.GRU(3, 4),
    "GRU, deep, both ways": lambda: torch.nn.GRU(
        3, 4, num_layers=2, bidirectional=True, batch_first=True
    ),
    "RNN, no bias": lambda: torch.nn.RNN(3, 4, bias=False),
    "RNN, ReLU": lambda: torch.nn.RNN(3, 4, nonlinearity="relu", batch_first=True),
}
rnns = pytest.mark.parametrize("make", RNNS.values(), ids=RNNS)
wrappers = pytest.mark.parametrize("wrap", [nn.WeightDrop, nn.VariationalRNN])


def tensors(outputs):
    """The output and the states of a recurrent layer as one list."""
    output, state = outputs
    return [output, *(state if isinstance(state, tuple) else [state])]


def assert_close(found, expected):
    for a, b in zip(tensors(found), tensors(expected), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-14)


def assert_equal(found, expected):
    assert all(torch.equal(a, b) for a, b in zip(tensors(found), tensors(expected), strict=True))


@wrappers
@rnns
def test_evaluation_and_rate_zero_are_the_plain_layer(wrap, make):
    rnn, x = make().double(), normal(5, 2, 3)
    before = torch.get_rng_state()
    assert_equal(wrap(rnn, 0.5).eval()(x), rnn(x))
    assert_equal(wrap(rnn, 0.0)(x), rnn(x))
    assert torch.equal(torch.get_rng_state(), before)


@wrappers
@rnns
def test_the_weights_stay_the_layers_own_and_unchanged(wrap, make):
    rnn = make().double()
    before = {name: value.clone() for name, value in rnn.state_dict().items()}
    parameters = dict(rnn.named_parameters())
    wrapped = wrap(rnn)
    tensors(wrapped(normal(5, 2, 3)))[0].sum().backward()
    assert wrapped.rnn is rnn
    assert list(rnn.state_dict()) == list(before)
    assert all(torch.equal(before[name], value) for name, value in rnn.state_dict().items())
    assert all(value is parameters[name] for name, value in rnn.named_parameters())
    assert all(value.grad is not None for value in parameters.values())


@wrappers
def test_a_forward_that_fails_leaves_the_weights_in_place(wrap):
    rnn = torch.nn.LSTM(3, 4)
    weights = list(rnn.parameters())
    with pytest.raises(RuntimeError, match=r"input\.size"):
        wrap(rnn)(torch.ones(5, 2, 9))
    assert all(a is b for a, b in zip(rnn.parameters(), weights, strict=True))
    assert_equal(wrap(rnn).eval()(torch.ones(5, 2, 3)), rnn(torch.ones(5, 2, 3)))


@wrappers
@rnns
def test_one_sequence_is_a_batch_of_one(wrap, make):
    wrapped, x = wrap(make().double(), 0.5, key=KEY), normal(5, 3)
    axis = 0 if wrapped.rnn.batch_first else 1
    output, *state = tensors(wrapped(x.unsqueeze(axis)))
    expected = output.squeeze(axis), tuple(s.squeeze(1) for s in state)
    assert_close(wrapped(x), expected)


@wrappers
@pytest.mark.parametrize("make", [make for name, make in RNNS.items() if "both ways" not in name])
def test_a_sequence_may_be_run_in_two_pieces(wrap, make):
    """The state goes on from where it was, and with the same key so do the masks."""
    wrapped, x = wrap(make().double(), 0.5, key=KEY), normal(6, 6, 3)
    time = 1 if wrapped.rnn.batch_first else 0
    first, second = x.split(3, time)
    output, state = wrapped(first)
    rest, end = wrapped(second, state)
    assert_close((torch.cat([output, rest], time), end), wrapped(x))


@wrappers
@rnns
def test_gradients_pass_gradcheck(wrap, make):
    wrapped = wrap(make().double(), 0.5, key=KEY)

    def f(x, *_):
        return tuple(tensors(wrapped(x)))

    inputs = (normal(3, 2, 3).requires_grad_(), *wrapped.parameters())
    assert torch.autograd.gradcheck(f, inputs, fast_mode=True)


# ---- weight drop --------------------------------------------------------------------------------


@rnns
def test_weight_drop_is_the_plain_layer_with_dropped_weights(make):
    rnn, x = make().double(), normal(5, 2, 3)
    found = nn.WeightDrop(rnn, 0.5, key=KEY)(x)
    raw = [weight for name, weight in rnn.named_parameters() if "weight_hh" in name]
    kept = torch.from_numpy(keep_mask(KEY, (len(raw), *raw[0].shape), 0.5))
    with torch.no_grad():
        for weight, mask in zip(raw, kept, strict=True):
            weight.copy_(torch.where(mask, 2 * weight, 0.0))
    assert_equal(found, rnn(x))


# Pruning, norms and parametrisations: what computes a weight anew for each call.
computed = pytest.mark.parametrize(
    "compute",
    [
        partial(prune.random_unstructured, amount=0.3),
        torch.nn.utils.weight_norm,
        torch.nn.utils.spectral_norm,
        parametrizations.weight_norm,
        parametrizations.spectral_norm,
        parametrizations.orthogonal,
    ],
)


@pytest.mark.unchecked
@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
@computed
@pytest.mark.parametrize("name", ["weight_hh_l0", "weight_ih_l0"])
@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN])
def test_weight_drop_drops_a_computed_weight_as_the_layer_would_use_it(kind, name, compute):
    layers = []
    for _ in range(2):
        torch.manual_seed(3)
        layers.append(kind(3, 4).double())
        compute(layers[-1], name)
    layer, twin = layers
    x, wrapped = normal(5, 2, 3), nn.WeightDrop(layer, 0.5, key=KEY)
    found = wrapped(x)[0]
    if not parametrize.is_parametrized(twin):
        twin(x)  # its hooks compute the weight
    weights = {n: getattr(twin, n) for n in ("weight_ih_l0", "weight_hh_l0")}
    kept = torch.from_numpy(keep_mask(KEY, (1, *weights["weight_hh_l0"].shape), 0.5)[0])
    weights["weight_hh_l0"] = weights["weight_hh_l0"] * kept * 2
    weights |= {n: getattr(twin, n) for n in ("bias_ih_l0", "bias_hh_l0")}
    expected = functional_call(kind(3, 4).double(), weights, x)[0]
    # An rnn looks at its weights more than once, and spectral_norm gets better with each look.
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    for out in (found, expected):
        out.square().sum().backward()
    for found, right in zip(layer.parameters(), twin.parameters(), strict=True):
        assert found.grad.any()
        torch.testing.assert_close(found.grad, right.grad, rtol=1e-5, atol=1e-5)
    assert torch.equal(wrapped.eval()(x)[0], layer.eval()(x)[0])


def test_the_gradient_reaches_the_raw_weight_where_it_was_kept():
    rnn = torch.nn.LSTM(3, 4)
    nn.WeightDrop(rnn, 0.5, key=KEY)(torch.randn(5, 2, 3))[0].sum().backward()
    kept = torch.from_numpy(keep_mask(KEY, (1, 16, 4), 0.5)[0])
    assert torch.equal(rnn.weight_hh_l0.grad != 0, kept)
    assert rnn.weight_ih_l0.grad.all()


def test_weight_drop_takes_packed_sequences():
    wrapped = nn.WeightDrop(torch.nn.GRU(3, 4), 0.5, key=KEY)
    long, short = torch.randn(5, 3), torch.randn(2, 3)
    _, h = wrapped(pack_sequence([long, short]))
    for i, sequence in enumerate((long, short)):
        torch.testing.assert_close(h[:, i], wrapped(sequence)[1], rtol=0, atol=1e-6)


# ---- variational dropout ------------------------------------------------------------------------


def masks(rnn, batch):
    """The masks of a key at p = .5, by place, scaled: the inputs, the states, the output."""
    sides = 1 + rnn.bidirectional
    width = max(rnn.input_size, sides * (rnn.proj_size or rnn.hidden_size))
    places = rnn.num_layers * (1 + sides) + 1
    return 2 * torch.from_numpy(keep_mask(KEY, (places, batch, width), 0.5)).double()


@rnns
def test_output_dropout_is_one_mask_on_the_plain_layers_output(make):
    rnn, x = make().double(), normal(5, 2, 3)
    axis = 0 if rnn.batch_first else 1
    output, state = rnn(x)
    mask = masks(rnn, x.shape[axis])[-1, :, : output.shape[-1]].unsqueeze(1 - axis)
    assert_close(nn.VariationalRNN(rnn, 0.0, 0.0, 0.5, key=KEY)(x), (output * mask, state))


@rnns
def test_the_states_a_sequence_starts_from_are_used(make):
    rnn, x = make().double(), normal(2, 2, 3)
    start = [normal(*s.shape) for s in tensors(rnn(x))[1:]]
    start = tuple(start) if len(start) > 1 else start[0]
    _, found = nn.VariationalRNN(rnn, 0.0, 0.0, 0.5, key=KEY)(x, start)
    output, expected = rnn(x, start)
    assert_close((output, found), (output, expected))


@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.GRU])
def test_input_dropout_is_one_mask_on_the_input_of_each_layer(kind):
    rnn, x = kind(3, 4, num_layers=2).double(), normal(5, 2, 3)
    first, second = kind(3, 4).double(), kind(4, 4).double()
    for layer, one in enumerate((first, second)):
        one.load_state_dict(
            {name: getattr(rnn, name.replace("l0", f"l{layer}")) for name in one.state_dict()}
        )
    place = masks(rnn, 2)
    expected = second(first(x * place[0, :, :3])[0] * place[1])[0]
    found = nn.VariationalRNN(rnn, 0.5, 0.0, 0.0, key=KEY)(x)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)


def recurrent_steps(rnn, run, x, mask):
    """One layer's outputs, step by step by PyTorch's own cell, its state dropped on the way in."""
    kind = {"LSTM": torch.nn.LSTMCell, "GRU": torch.nn.GRUCell}.get(rnn.mode, torch.nn.RNNCell)
    cell = kind(x.shape[-1], 4).double()
    cell.load_state_dict({name: getattr(rnn, f"{name}_{run}") for name in cell.state_dict()})
    h = c = torch.zeros(x.shape[1], 4).double()
    outputs = []
    for inputs in x:
        dropped = h * mask
        if rnn.mode == "LSTM":
            h, c = cell(inputs, (dropped, c))
        elif rnn.mode == "GRU":
            # The cell carries on what it is given; what must be carried on is the state undropped.
            gates = inputs @ cell.weight_ih.T + cell.bias_ih + dropped @ cell.weight_hh.T
            update = (gates + cell.bias_hh)[:, 4:8].sigmoid()
            h = cell(inputs, dropped) + update * (h - dropped)
        else:
            h = cell(inputs, dropped)
        outputs.append(h)
    return torch.stack(outputs)


@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN])
def test_recurrent_dropout_is_one_mask_on_the_state_that_feeds_each_step(kind):
    """A mask for each layer and direction: two of each."""
    rnn, x = kind(3, 4, num_layers=2, bidirectional=True).double(), normal(5, 2, 3)
    found = nn.VariationalRNN(rnn, 0.0, 0.5, 0.0, key=KEY)(x)[0]
    place = masks(rnn, 2)[:, :, :4]
    for layer in range(2):
        first = 2 + 2 * layer
        there = recurrent_steps(rnn, f"l{layer}", x, place[first])
        back = recurrent_steps(rnn, f"l{layer}_reverse", x.flip(0), place[first + 1]).flip(0)
        x = torch.cat([there, back], -1)
    torch.testing.assert_close(found, x, rtol=0, atol=1e-14)


def test_one_seed_is_drawn_for_a_forward():
    wrapped = nn.VariationalRNN(torch.nn.LSTM(3, 4, num_layers=2, bidirectional=True), 0.5)
    x = torch.randn(5, 2, 3)
    torch.manual_seed(3)
    found = wrapped(x)
    torch.manual_seed(3)
    wrapped.key = MaskKey(int(torch.empty((), dtype=torch.int64).random_(-(2**63), None)) % 2**64)
    assert_equal(found, wrapped(x))


@wrappers
def test_rate_one_has_no_nan(wrap):
    outputs = wrap(torch.nn.LSTM(3, 4), 1.0)(torch.ones(5, 2, 3))
    assert all(t.isfinite().all() for t in tensors(outputs))


@pytest.mark.unchecked
@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
@computed
@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN])
def test_variational_dropout_uses_the_weights_of_now_where_they_are_computed(kind, compute):
    rnn, x = kind(3, 4).double(), normal(5, 2, 3)
    compute(rnn, "weight_hh_l0")
    raw = next(p for name, p in rnn.named_parameters() if "weight_hh" in name)
    wrapped = nn.VariationalRNN(rnn, 0.5, 0.0, 0.0, key=KEY)
    for _ in range(2):
        raw.grad = None
        wrapped(x)[0].square().sum().backward()
        assert raw.grad.any()
        with torch.no_grad():
            raw.sub_(0.5 * raw.grad)
    mask = masks(rnn, 2)[0, :, :3]
    rnn.train(False)  # spectral_norm gets better with each look in training
    found = wrapped(x)
    assert_close(found, rnn(x * mask))


@pytest.mark.unchecked
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # in 2.11
def test_the_hooks_of_the_rnn_run_in_training_compiled_too():
    rnn, x, seen = torch.nn.GRU(3, 4), torch.rand(5, 2, 3), []
    rnn.register_forward_hook(lambda rnn, inputs, outputs: seen.append(inputs[0]))
    wrapped = nn.VariationalRNN(rnn, key=KEY)
    out = wrapped(x)
    assert_close(torch.compile(wrapped, backend="aot_eager")(x), out)
    assert len(seen) == 2
    assert all(inputs is x for inputs in seen)


# ---- bad input ----------------------------------------------------------------------------------


@pytest.mark.unchecked
def test_a_sequence_of_another_rank_is_named():
    with pytest.raises(ValueError, match=r"2 or 3 dimensions, got shape \(4,\)"):
        functional.locked_dropout(torch.ones(4))


@pytest.mark.unchecked
@wrappers
def test_what_is_not_recurrent_is_named(wrap):
    with pytest.raises(TypeError, match=r"rnn must be an nn\.LSTM, nn\.GRU or nn\.RNN, got Linear"):
        wrap(torch.nn.Linear(3, 4))


@pytest.mark.unchecked
@pytest.mark.filterwarnings("ignore:`torch.jit.trace")
def test_jit_trace_is_refused_in_training():
    with pytest.raises(RuntimeError, match=r"torch.jit.trace cannot record dropout in training"):
        torch.jit.trace(nn.VariationalRNN(torch.nn.RNN(4, 3)), torch.randn(3, 2, 4))


@pytest.mark.unchecked
def test_a_packed_sequence_is_refused_by_name():
    wrapped = nn.VariationalRNN(torch.nn.GRU(3, 4))
    with pytest.raises(TypeError, match="input must be a tensor, got PackedSequence"):
        wrapped(pack_sequence([torch.randn(5, 3)]))


@pytest.mark.unchecked
def test_a_layer_with_dropout_of_its_own_is_refused():
    with pytest.raises(ValueError, match=r"must not drop by itself, got one with dropout=0\.3"):
        nn.VariationalRNN(torch.nn.LSTM(3, 4, num_layers=2, dropout=0.3))


@pytest.mark.unchecked
@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_a_bad_rate_is_named(p):
    makers = [
        lambda: nn.LockedDropout(p),
        lambda: functional.locked_dropout(torch.ones(2, 2), p, training=False),
        lambda: nn.WeightDrop(torch.nn.LSTM(3, 4), p),
        lambda: nn.VariationalRNN(torch.nn.LSTM(3, 4), p),
        lambda: nn.VariationalRNN(torch.nn.LSTM(3, 4), recurrent_p=p),
        lambda: nn.VariationalRNN(torch.nn.LSTM(3, 4), output_p=p),
    ]
    for make in makers:
        with pytest.raises(ValueError, match=rf"\bp must be in \[0, 1\], got {p}"):
            make()


@pytest.mark.unchecked
def test_a_state_of_another_shape_is_refused():
    with pytest.raises(RuntimeError, match="Expected hidden size"):
        nn.VariationalRNN(torch.nn.GRU(3, 4))(torch.ones(5, 2, 3), torch.zeros(1, 9, 4))
