"""DropConnect: the layer it wraps is kept whole, and only its weights are dropped."""

import copy
import threading
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.func import functional_call
from torch.nn.utils import parametrizations, parametrize, prune

from dropout import MaskKey, Shard, functional, nn, reference
from dropout.mask import inverted_scale, keep_mask
from tests import strategies

KEY = MaskKey(seed=2**63 + 5, stream=1, step=2)
LAYERS = {
    "linear": (lambda: torch.nn.Linear(6, 4), (3, 6)),
    "linear over time, no bias": (lambda: torch.nn.Linear(6, 4, bias=False), (3, 5, 6)),
    "conv1d": (lambda: torch.nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), (3, 4, 9)),
    "conv2d": (
        lambda: torch.nn.Conv2d(4, 6, (3, 2), dilation=2, padding="same", padding_mode="circular"),
        (3, 4, 7, 8),
    ),
    "conv3d": (lambda: torch.nn.Conv3d(2, 3, 2, bias=False), (3, 2, 4, 3, 3)),
    "transposed": (
        lambda: torch.nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1, groups=2),
        (3, 4, 5, 5),
    ),
}
cases = pytest.mark.parametrize(("make", "shape"), LAYERS.values(), ids=LAYERS)


def integers(*shape):
    """Small whole numbers, of which sums are exact whatever their order."""
    return torch.randint(-8, 9, shape).double()


def copy_with(layer, weight):
    """A layer like `layer` with another weight."""
    clone = copy.deepcopy(layer)
    clone.weight = torch.nn.Parameter(weight)
    return clone


# ---- the same as the reference --------------------------------------------------------------


@given(strategies.keys, strategies.rates, st.booleans())
def test_output_is_the_references(key, p, per_example):
    x, weight = integers(3, 5), integers(4, 5)
    found = functional.drop_connect(x, weight, p, per_example=per_example, key=key)
    expected = reference.drop_connect(
        x.numpy(), weight.numpy(), p, per_example=per_example, key=key
    )
    # Six roundings of at most 5 · 8 · 8 · scale, by either side.
    np.testing.assert_allclose(found, expected, rtol=0, atol=12 * 2**-53 * 320 * inverted_scale(p))


@cases
def test_one_mask_for_a_batch_is_a_plain_layer_with_that_weight(make, shape):
    layer, x = make(), torch.randn(shape)
    kept = torch.from_numpy(keep_mask(KEY, layer.weight.shape, 0.5))
    plain = copy_with(layer, layer.weight.detach() * kept * 2)
    assert torch.equal(nn.DropConnect(layer, key=KEY)(x), plain(x))


@cases
def test_each_example_has_a_mask_of_its_own(make, shape):
    layer, x = make().double(), torch.randn(shape).double()
    kept = torch.from_numpy(keep_mask(KEY, (shape[0], *layer.weight.shape), 0.5))
    out = nn.DropConnect(layer, per_example=True, key=KEY)(x)
    for example, mask, found in zip(x, kept, out, strict=True):
        plain = copy_with(layer, layer.weight.detach() * mask * 2)
        torch.testing.assert_close(found, plain(example[None])[0], rtol=0, atol=1e-14)


@pytest.mark.parametrize("per_example", [False, True])
@cases
def test_an_example_without_a_batch_axis_is_a_batch_of_one(make, shape, per_example):
    layer = nn.DropConnect(make().double(), per_example=per_example, key=KEY)
    x = torch.randn(shape[-1:] if "Linear" in repr(layer) else shape[1:]).double()
    torch.testing.assert_close(layer(x), layer(x[None])[0], rtol=0, atol=1e-14)


# ---- the wrapped layer is kept ----------------------------------------------------------------


@cases
def test_evaluation_and_rate_zero_are_the_plain_layer(make, shape):
    layer, x = make(), torch.randn(shape)
    assert torch.equal(nn.DropConnect(layer, 0.5).eval()(x), layer(x))
    assert torch.equal(nn.DropConnect(layer, 0.0)(x), layer(x))


@cases
def test_wrapping_and_running_change_no_weight(make, shape):
    layer = make()
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    wrapped = nn.DropConnect(layer)
    wrapped(torch.randn(shape)).sum().backward()
    assert wrapped.layer is layer
    assert all(torch.equal(before[name], value) for name, value in layer.state_dict().items())
    assert set(wrapped.state_dict()) == {f"layer.{name}" for name in before}


@pytest.mark.parametrize("per_example", [False, True])
@cases
def test_rate_one_leaves_the_bias(make, shape, per_example):
    layer = make()
    with torch.no_grad():
        bias = copy_with(layer, torch.zeros_like(layer.weight))(torch.zeros(shape))
    assert torch.equal(nn.DropConnect(layer, 1.0, per_example)(torch.randn(shape)), bias)


@pytest.mark.parametrize("per_example", [False, True])
@cases
def test_the_gradient_reaches_the_raw_weight_where_it_was_kept(make, shape, per_example):
    layer = make()
    mask_shape = (shape[0], *layer.weight.shape) if per_example else layer.weight.shape
    kept = torch.from_numpy(keep_mask(KEY, mask_shape, 0.9))
    nn.DropConnect(layer, 0.9, per_example, key=KEY)(torch.rand(shape) + 1).sum().backward()
    assert torch.equal(layer.weight.grad != 0, kept.any(0) if per_example else kept)


@pytest.mark.parametrize("per_example", [False, True])
def test_gradients_of_first_and_second_order_pass_gradcheck(per_example):
    def f(x, weight):
        return functional.drop_connect(x, weight, 0.3, per_example=per_example, key=KEY).tanh()

    inputs = [torch.randn(shape).double().requires_grad_() for shape in ((3, 4), (2, 4))]
    assert torch.autograd.gradcheck(f, inputs)
    assert torch.autograd.gradgradcheck(f, inputs)


def test_a_dropped_weight_leaks_no_nan():
    weight = torch.full((4, 64), torch.nan)
    out = functional.drop_connect(torch.ones(2, 64), weight, p=1.0)
    assert torch.equal(out, torch.zeros(2, 4))


# ---- weights that are computed --------------------------------------------------------------


class Halved(torch.nn.Module):
    def forward(self, weight):
        return weight / 2


def halve(layer, *names):
    for name in names:
        parametrize.register_parametrization(layer, name, Halved())


def write_by_a_hook(layer):
    """Before each forward the data of the weight is written anew, from other numbers."""
    raw = layer.weight.detach() * 3

    def write(layer, _):
        layer.weight.data = raw / 7

    layer.register_forward_pre_hook(write)


COMPUTED = {
    "pruned": lambda layer: prune.random_unstructured(layer, "weight", 0.3),
    "weight_norm, old": torch.nn.utils.weight_norm,
    "spectral_norm, old": torch.nn.utils.spectral_norm,
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "parametrized": lambda layer: halve(layer, "weight"),
    "bias too": lambda layer: halve(layer, "weight", "bias"),
    "written by a hook": write_by_a_hook,
}
every_way = pytest.mark.parametrize("compute", COMPUTED.values(), ids=COMPUTED)
ignore_old = pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")


def made(make, compute):
    torch.manual_seed(3)
    layer = make().double()
    compute(layer)
    return layer


@pytest.mark.unchecked
@ignore_old
@pytest.mark.parametrize("per_example", [False, True])
@pytest.mark.parametrize("name", ["linear", "conv3d", "transposed"])
@every_way
def test_of_a_computed_weight_what_the_layer_would_use_is_dropped(compute, name, per_example):
    make, shape = LAYERS[name]
    if "bias=False" in str(make()) and compute is COMPUTED["bias too"]:
        make = partial(torch.nn.Conv3d, 2, 3, 2)
    layer, twin, x = made(make, compute), made(make, compute), torch.rand(shape).double()
    out = nn.DropConnect(layer, 0.5, per_example, key=KEY)(x)
    if not parametrize.is_parametrized(twin):
        twin(x)  # its hooks compute the weight
    weight, bias, plain = twin.weight, twin.bias, make().double()
    kept = keep_mask(KEY, (shape[0], *weight.shape) if per_example else weight.shape, 0.5)
    masks = torch.from_numpy(kept).expand(shape[0], *weight.shape)
    used = {} if bias is None else {"bias": bias}
    expected = torch.cat(
        [
            functional_call(plain, {"weight": weight * mask * 2, **used}, (example[None],))
            for mask, example in zip(masks, x, strict=True)
        ]
    )
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-13)
    out.square().sum().backward()
    expected.square().sum().backward()
    for (name, found), right in zip(layer.named_parameters(), twin.parameters(), strict=True):
        assert found.grad.any(), name
        torch.testing.assert_close(found.grad, right.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.unchecked
@ignore_old
@every_way
def test_in_evaluation_a_computed_weight_is_the_layers_and_nothing_is_stored(compute):
    layer, x = made(torch.nn.Linear(6, 6).double, compute), torch.rand(3, 6).double()
    wrapped = nn.DropConnect(layer, 1.0)
    wrapped(x)
    assert "forward" not in vars(layer)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    assert torch.equal(wrapped.eval()(x), layer.eval()(x))
    assert all(torch.equal(before[name], value) for name, value in layer.state_dict().items())


@pytest.mark.unchecked
def test_hooks_and_a_forward_of_its_own_stay_the_layers():
    layer = torch.nn.Linear(6, 6)
    halve(layer, "weight")
    layer.forward = own = lambda x: x
    layer.register_forward_hook(lambda layer, _, out: out + 7)
    assert torch.equal(nn.DropConnect(layer, 1.0)(torch.ones(6)), layer.bias + 7)
    assert layer.forward is own
    layer.register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        nn.DropConnect(layer, 1.0)(torch.ones(6))
    assert layer.forward is own


@pytest.mark.unchecked
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # in 2.11
@pytest.mark.parametrize("compiled", [False, True])
def test_a_hook_sees_all_examples_at_once(compiled):
    layer, x, seen = torch.nn.Linear(6, 4), torch.rand(3, 6), []

    def centre(layer, _, out):
        seen.append(out)
        return out - out.mean(0)

    layer.register_forward_hook(centre)
    wrapped = nn.DropConnect(layer, 0.0, per_example=True)
    out = (torch.compile(wrapped, backend="aot_eager") if compiled else wrapped)(x)
    torch.testing.assert_close(out, layer(x), rtol=0, atol=1e-6)
    assert seen[0].shape == (3, 4)


@pytest.mark.unchecked
def test_a_lazy_layer_has_its_weight_at_the_first_forward():
    wrapped = nn.DropConnect(torch.nn.LazyLinear(4), 1.0)
    out = wrapped(torch.ones(3, 6))
    assert torch.equal(out, wrapped.layer.bias.expand(3, 4))
    assert wrapped.layer.weight.shape == (4, 6)


@pytest.mark.unchecked
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # in 2.11
def test_the_compiler_leaves_a_computed_weight_to_eager_mode():
    layer, x = torch.nn.Linear(6, 6), torch.rand(3, 6)
    parametrizations.weight_norm(layer)
    wrapped = nn.DropConnect(layer, 0.5, key=KEY)
    assert torch.equal(torch.compile(wrapped, backend="aot_eager")(x), wrapped(x))


class Meanwhile(torch.nn.Linear):
    """A linear layer in whose forward, once, another thread does something from start to end."""

    def forward(self, x):
        for do in self.todo[:]:
            self.todo.clear()
            thread = threading.Thread(target=do)
            thread.start()
            thread.join()
        return super().forward(x)


@pytest.mark.unchecked
@pytest.mark.parametrize("compute", [lambda layer: None, *COMPUTED.values()])
@ignore_old
def test_threads_may_share_a_layer(compute):
    def make():
        layer = Meanwhile(6, 6)
        layer.todo = []
        return layer

    layer, x, found = made(make, compute), torch.rand(3, 6).double(), {}
    layer.eval()  # so that no look at the weight of spectral_norm changes it
    wrapped = nn.DropConnect(layer, 0.5, key=KEY)
    alone, plain, own = wrapped(x), layer(x), dict(layer.named_parameters())

    def do():
        found["dropped"], found["plain"] = wrapped(x), layer(x)

    layer.todo.append(do)
    assert torch.equal(wrapped(x), alone)
    assert torch.equal(found["dropped"], alone)
    assert torch.equal(found["plain"], plain)
    assert all(value is own[name] for name, value in layer.named_parameters())
    assert "forward" not in vars(layer)


@pytest.mark.unchecked
def test_a_copy_made_while_a_thread_drops_is_a_plain_layer():
    layer, x, copies = Meanwhile(6, 6), torch.rand(3, 6), []
    layer.todo = [lambda: copies.append(copy.deepcopy(layer))]
    plain = torch.nn.functional.linear(x, layer.weight, layer.bias)
    nn.DropConnect(layer, 1.0)(x)
    assert torch.equal(copies[0](x), plain)
    copied = nn.DropConnect(copies[0], 1.0)
    assert torch.equal(copied(x), layer.bias.expand(3, 6))


@pytest.mark.unchecked
@pytest.mark.parametrize("compute", [lambda layer: None, write_by_a_hook])
def test_a_graph_that_would_leave_the_dropping_out_is_refused(compute):
    layer = torch.nn.Linear(6, 6)
    compute(layer)
    with pytest.raises(RuntimeError, match=r"Linear.* cannot drop: its call does not run its"):
        torch.fx.symbolic_trace(nn.DropConnect(layer))


# ---- shards -----------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1])
def test_a_shard_of_the_weight_drops_its_part(axis):
    x, weight = integers(3, 8), integers(6, 8)
    whole = functional.drop_connect(x, weight, key=KEY)
    parts = []
    for i, part in enumerate(weight.chunk(2, axis)):
        start = (3 * i, 0) if axis == 0 else (0, 4 * i)
        inputs = x if axis == 0 else x.chunk(2, 1)[i]
        parts.append(functional.drop_connect(inputs, part, key=KEY, shard=Shard((6, 8), start)))
    assert torch.equal(torch.cat(parts, 1) if axis == 0 else sum(parts), whole)


def test_a_shard_of_the_batch_drops_its_examples_weights():
    x, weight = integers(4, 8), integers(6, 8)
    whole = functional.drop_connect(x, weight, per_example=True, key=KEY)
    for start in (0, 2):
        place = Shard((4, 6, 8), (start, 0, 0))
        part = x[start : start + 2]
        found = functional.drop_connect(part, weight, per_example=True, key=KEY, shard=place)
        assert torch.equal(found, whole[start : start + 2])


# ---- bad input --------------------------------------------------------------------------------


@pytest.mark.unchecked
def test_what_is_neither_linear_nor_a_convolution_is_named():
    with pytest.raises(TypeError, match="layer must be a Linear or a ConvNd, got LSTM"):
        nn.DropConnect(torch.nn.LSTM(3, 4))


@pytest.mark.unchecked
@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_a_bad_rate_is_named(p):
    with pytest.raises(ValueError, match=rf"\bp must be in \[0, 1\], got {p}"):
        nn.DropConnect(torch.nn.Linear(2, 2), p)
    with pytest.raises(ValueError, match=rf"\bp must be in \[0, 1\], got {p}"):
        functional.drop_connect(torch.ones(2, 2), torch.ones(2, 2), p, training=False)
