"""What every variant keeps of the mask contract, against its twin in NumPy."""

import inspect
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._dynamo.testing import CompileCounterWithBackend
from torch.utils.checkpoint import checkpoint

from dropout import MaskKey, Shard, functional, nn, reference
from dropout.seeding import seeded
from tests import strategies

KEY = MaskKey(seed=2**63 + 5, stream=1, step=2)


@dataclass(frozen=True)
class Variant:
    """A function, its twin, a shape that it takes, and its module."""

    name: str
    shape: tuple[int, ...]
    module: Callable[..., torch.nn.Module]
    options: tuple[tuple[str, object], ...] = ()
    ulps: int = 0  # between float64 of the function and of the twin
    top: float = 1.0  # the highest rate
    drops: bool = True

    @property
    def function(self):
        return partial(getattr(functional, self.name), training=True, **dict(self.options))

    @property
    def twin(self):
        return partial(getattr(reference, self.name), training=True, **dict(self.options))

    @property
    def x(self):
        return torch.linspace(-2, 3, prod(self.shape), dtype=torch.double).view(self.shape)

    def __str__(self):
        options = "".join(f"-{value}" for _, value in self.options)
        return f"{self.name}-{'x'.join(map(str, self.shape))}{options}"


def block(shape, size, per_channel=True):
    options = (("block_size", size), ("per_channel", per_channel))
    module = partial(nn.DropBlock2d, **dict(options))
    return Variant("drop_block2d", shape, module, options, ulps=2)


def locked(shape, batch_first):
    module = partial(nn.LockedDropout, batch_first=batch_first)
    return Variant("locked_dropout", shape, module, (("batch_first", batch_first),))


VARIANTS = [
    Variant("dropout", (5, 9), nn.Dropout),
    Variant("dropout1d", (3, 4, 5), nn.Dropout1d),
    Variant("dropout1d", (6, 5), nn.Dropout1d),
    Variant("dropout2d", (3, 4, 2, 5), nn.Dropout2d),
    Variant("dropout3d", (2, 6, 2, 3, 2), nn.Dropout3d),
    Variant("dropout3d", (12, 2, 3, 2), nn.Dropout3d),
    Variant("alpha_dropout", (5, 9), nn.AlphaDropout),
    Variant("feature_alpha_dropout", (3, 4, 5), nn.FeatureAlphaDropout),
    Variant("drop_path", (9, 2, 3), nn.DropPath),
    locked((4, 6), batch_first=True),  # one sequence, which has no batch
    locked((2, 3, 5), batch_first=False),
    locked((3, 2, 5), batch_first=True),
    block((1, 2, 5, 4), 3),
    block((2, 2, 4, 3), 2, per_channel=False),
    block((6, 3, 3), 3),
    Variant("gaussian_dropout", (5, 9), nn.GaussianDropout, ulps=8, top=0.9, drops=False),
    Variant("uout", (5, 9), nn.Uout, drops=False),
]
# What takes more than one tensor, or tokens, has tests of its own.
OTHERS = {"attention", "concrete_dropout", "drop_connect", "embedding_dropout", "word_dropout"}
DROPPING = [v for v in VARIANTS if v.drops]
every_variant = pytest.mark.parametrize("v", VARIANTS, ids=str)
every_dropping = pytest.mark.parametrize("v", DROPPING, ids=str)


def equal_but_for(ulps, found, expected, size):
    """Whether arrays differ by no more than so many units in the last place of `size`."""
    return np.abs(found - expected).max(initial=0) <= ulps * np.spacing(size)


# ---- the same as the reference --------------------------------------------------------------


def test_every_function_has_a_module_and_a_twin_of_the_same_name_and_arguments():
    names = set(functional.__all__) - {"max_norm_"}  # which draws nothing
    assert {v.name for v in VARIANTS} | OTHERS == names
    assert {name.replace("_", "") for name in names} <= {name.lower() for name in nn.__all__}
    for name in names:
        face, twin = (
            {
                parameter.name: parameter.default
                for parameter in inspect.signature(getattr(module, name)).parameters.values()
            }
            for module in (functional, reference)
        )
        common = [argument for argument in face if argument in twin]
        assert set(face) - set(common) <= {"input", "inplace", "generator", "function", "causal"}
        assert set(twin) - set(common) <= {"x", "tokens", "shared"}
        assert [argument for argument in twin if argument in face] == common
        assert all(face[a] == twin[a] for a in common if a != "key")


@every_variant
@given(strategies.keys, strategies.rates)
@settings(max_examples=30)
def test_output_and_gradient_are_the_twins(v, key, p):
    p = min(p, v.top)
    x, grad = v.x.requires_grad_(), torch.linspace(1, 2, prod(v.shape)).double().view(v.shape)
    out = v.function(x, p, key=key)
    out.backward(grad)
    expected = v.twin(x.detach().numpy(), p, key=key)
    size = np.abs(expected).max()
    assert equal_but_for(v.ulps, out.detach().numpy(), expected, size)
    if "alpha" in v.name:  # affine: the twin of its gradient is itself, less its value at 0
        expected = v.twin(grad.numpy(), p, key=key) - v.twin(0 * grad.numpy(), p, key=key)
        assert equal_but_for(4, x.grad.numpy(), expected, np.abs(expected).max())
    else:
        expected = v.twin(grad.numpy(), p, key=key)
        assert equal_but_for(v.ulps, x.grad.numpy(), expected, np.abs(expected).max())


@every_dropping
@given(strategies.keys, strategies.rates, strategies.dtypes)
@settings(max_examples=20)
def test_the_mask_does_not_depend_on_the_dtype(v, key, p, dtype):
    ones = torch.ones(v.shape, dtype=dtype)
    out = v.function(ones, p, key=key)
    exact = v.twin(np.ones(v.shape), p, key=key)
    lowest = exact.min() if "alpha" in v.name else 0.0
    assert out.dtype == dtype
    if 0 < p < 1 and len(np.unique(exact)) > 1:
        kept = out != torch.tensor(lowest).to(dtype)
        assert np.array_equal(kept.numpy(), exact != lowest)


@every_variant
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_narrow_types_are_the_twin_but_for_rounding(v, dtype):
    """Once rounded from the exact value, or twice for the affine, whose shift is rounded too."""
    x = v.x.to(dtype)
    out = v.function(x, 0.3, key=KEY).double().numpy()
    exact = v.twin(x.double().numpy(), 0.3, key=KEY)
    assert np.abs(out - exact).max() <= torch.finfo(dtype).eps * np.abs(exact).max()


@every_variant
@given(strategies.keys, st.data())
@settings(max_examples=30)
def test_the_shards_of_any_split_are_the_whole(v, key, data):
    whole = v.function(v.x, 0.3, key=key)
    twins = v.twin(v.x.numpy(), 0.3, key=key)
    for tile in data.draw(strategies.tilings(v.shape)):
        place, part = strategies.shard(v.shape, tile), v.x[tile]
        out = v.function(part, 0.3, key=key, shard=place).numpy()
        twin = v.twin(part.numpy(), 0.3, key=key, shard=place)
        assert equal_but_for(v.ulps, out, whole[tile].numpy(), 10.0)
        assert equal_but_for(v.ulps, twin, twins[tile], 10.0)


@pytest.mark.parametrize("name", ["dropout", "alpha_dropout", "gaussian_dropout", "uout"])
def test_a_window_of_a_tensor_too_large_to_hold(name):
    place, x = Shard((2**20, 2**40), (2**19, 2**39 + 1)), np.ones((3, 9))
    out = getattr(functional, name)(torch.from_numpy(x), 0.5, True, key=KEY, shard=place)
    expected = getattr(reference, name)(x, 0.5, True, key=KEY, shard=place)
    assert equal_but_for(8, out.numpy(), expected, np.abs(expected).max())


def test_a_window_of_a_map_too_large_to_hold():
    whole, size = (2**20, 2**10, 2**8, 2**8), 3
    corner = (2**20 - 1, 2**9, 2**8 - 5, 0)
    x = torch.ones(1, 1, 5, 7, dtype=torch.double)
    drop = partial(functional.drop_block2d, p=0.3, block_size=size, key=KEY)
    out = drop(x, shard=Shard(whole, corner))
    halves = [
        drop(x[..., a : a + n, :], shard=Shard(whole, (*corner[:2], corner[2] + a, 0)))
        for a, n in ((0, 2), (2, 3))
    ]
    assert torch.equal(out, torch.cat(halves, dim=2))
    assert 0 < int((out == 0).sum()) < out.numel()


# ---- when it does nothing -------------------------------------------------------------------


@every_variant
@pytest.mark.parametrize(("p", "training"), [(0.5, False), (0.0, True)])
def test_with_nothing_to_do_x_itself_comes_back_and_no_seed_is_drawn(v, p, training):
    before, x, array = torch.get_rng_state(), v.x, v.x.numpy()
    assert v.function(x, p, training=training) is x
    assert np.array_equal(v.twin(array, p, training=training, key=KEY), array)
    assert torch.equal(x, v.x)
    assert torch.equal(torch.get_rng_state(), before)


def unfit(x):
    """Tensors that cannot drop, and that torch.nn's dropout lets through in evaluation."""
    for dtype in (torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn):
        yield x.to(dtype)
    yield torch.quantize_per_tensor(x.float(), 1.0, 0, torch.quint8)
    yield x.to_sparse()
    yield x.float().to_mkldnn()
    yield torch.nested.nested_tensor(list(x.unbind()))
    yield torch.empty_like(x, device="meta")


@pytest.mark.unchecked
@pytest.mark.filterwarnings("ignore:.*nested tensors:UserWarning")
@pytest.mark.filterwarnings("ignore:.*quantize_per_tensor:UserWarning")
@every_variant
def test_with_nothing_to_do_any_tensor_comes_back(v):
    for x in unfit(v.x):
        if x.is_nested and v.name in ("drop_block2d", "dropout1d"):
            continue  # which look at the shape of what they get, as torch.nn.Dropout1d does
        assert v.function(x, 0.5, training=False) is x
        assert v.function(x, 0.0) is x
        assert v.module(0.5).eval()(x) is x


@pytest.mark.unchecked
@pytest.mark.filterwarnings("ignore:dropout.d. Received")
@pytest.mark.parametrize(
    "name", ["dropout2d", "dropout3d", "feature_alpha_dropout", "drop_path", "locked_dropout"]
)
def test_too_few_axes_are_enough_where_no_coin_is_tossed(name):
    f = getattr(functional, name)
    for x in (torch.tensor(1.0), torch.ones(1)):
        assert f(x, 0.5, training=False) is x
        assert f(x, 0.0) is x
        if name not in ("drop_path", "locked_dropout"):  # not of torch.nn
            assert torch.equal(f(x, 1.0, True), torch.zeros(x.shape))
            assert f(torch.ones(0), 0.5, True).shape == (0,)


@every_dropping
@pytest.mark.parametrize("value", [1.0, torch.inf, -torch.inf, torch.nan])
def test_rate_one_leaves_zeros_and_a_zero_gradient(v, value):
    x = torch.full(v.shape, value, requires_grad=True)
    out = v.function(x, 1.0)
    out.backward(torch.full_like(x, value))
    assert not out.any()
    assert not x.grad.any()


@every_variant
def test_empty_tensors_stay_empty(v):
    for axis in range(len(v.shape) - 2):
        shape = (*v.shape[:axis], 0, *v.shape[axis + 1 :])
        out = v.function(torch.ones(shape, requires_grad=True), 0.5)
        out.sum().backward()
        assert out.shape == shape


# ---- selection, gradients and what is kept for them -----------------------------------------


@every_dropping
@pytest.mark.parametrize("poison", [torch.inf, -torch.inf, torch.nan])
def test_nothing_leaks_through_a_dropped_element(v, poison):
    clean = v.function(torch.ones(v.shape), 0.5, key=KEY)
    dropped = clean == (clean.min() if "alpha" in v.name else 0)
    x = torch.full(v.shape, poison, requires_grad=True)
    out = v.function(x, 0.5, key=KEY)
    out.backward(torch.full_like(x, poison))
    assert dropped.any()
    assert torch.equal(out.isfinite(), dropped)
    assert torch.equal(out[dropped], clean[dropped])
    assert torch.equal(x.grad == 0, dropped)


@every_dropping
def test_an_input_of_zero_has_the_gradient_of_its_coin(v):
    """A mask that is inferred from output and input is lost where the input is 0."""
    x, ones = torch.zeros(v.shape, dtype=torch.double), torch.ones(v.shape, dtype=torch.double)
    gradients = []
    for leaf in (x.requires_grad_(), ones.clone().requires_grad_()):
        gradients += torch.autograd.grad(v.function(leaf, 0.5, key=KEY), leaf, ones)
    assert torch.equal(*gradients)
    assert gradients[0].any()


@every_variant
def test_gradients_of_all_modes_and_of_second_order_pass_gradcheck(v):
    def f(x):
        return v.function(x, 0.3, key=KEY)

    x = v.x.requires_grad_()
    assert torch.autograd.gradcheck(f, x, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(f, x, check_fwd_over_rev=True)


@every_variant
def test_no_mask_and_no_noise_is_kept_for_backward(v):
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes), lambda _: None):
        v.function(v.x.requires_grad_(), 0.5)
    assert sum(kept) <= 8  # a seed


@every_variant
@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpointing_replays_the_mask(v, reentrant):
    def f(x):
        return v.function(x, 0.5) * x

    torch.manual_seed(7)
    x = v.x.requires_grad_()
    checkpoint(f, x, use_reentrant=reentrant).sum().backward()
    torch.manual_seed(7)
    y = v.x.requires_grad_()
    f(y).sum().backward()
    assert torch.equal(x.grad, y.grad)


# ---- layouts, transforms, the compiler ------------------------------------------------------


@every_variant
def test_strides_do_not_matter_and_are_kept(v):
    expected = v.function(v.x, 0.3, key=KEY)
    transposed = v.x.transpose(-1, -2).contiguous().transpose(-1, -2)
    sliced = torch.stack((v.x, v.x), dim=-1)[..., 0]
    for x in (transposed, sliced, v.x[:1].expand(v.shape)):
        out = v.function(x, 0.3, key=KEY)
        assert out.stride() == torch.empty_like(x).stride()
        assert torch.equal(out, v.function(x.contiguous(), 0.3, key=KEY))
    assert torch.equal(v.function(transposed, 0.3, key=KEY), expected)


@every_variant
def test_vmap_shares_a_mask_or_draws_one_an_example_as_it_is_asked(v):
    x = torch.stack([v.x + 7] * 3)

    def f(x):
        return v.function(x, 0.5)

    same = torch.vmap(f, randomness="same")(x)
    different = torch.vmap(f, randomness="different")(x)
    assert torch.equal(same[0], same[1])
    assert not torch.equal(different[0], different[1])
    with pytest.raises(RuntimeError, match="randomness"):
        torch.vmap(f)(x)
    keyed = torch.vmap(lambda x: v.function(x, 0.5, key=KEY), in_dims=1, out_dims=1)
    assert torch.equal(keyed(x.movedim(0, 1))[:, 2], v.function(x[2], 0.5, key=KEY))


@pytest.mark.unchecked  # run without checks of signatures: the compiler cannot look into them
@every_variant
def test_the_compiler_makes_one_graph_with_the_same_output_and_gradient(v):
    torch._dynamo.reset()
    layer, results = v.module(0.3), []
    for f in (layer, torch.compile(layer, backend="aot_eager", fullgraph=True)):
        torch.manual_seed(7)
        x = v.x.requires_grad_()
        out = f(x)
        out.square().sum().backward()
        results.append((out.detach(), x.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


@pytest.mark.unchecked
@pytest.mark.parametrize("v", {v.name: v for v in VARIANTS}.values(), ids=str)
def test_a_rate_that_changes_is_no_constant_to_the_compiler(v):
    """One graph, compiled anew no more often than torch.nn.Dropout's is for each rate."""
    attribute = "beta" if v.name == "uout" else "p"
    for dynamic in (None, True):
        torch._dynamo.reset()
        counter = CompileCounterWithBackend("aot_eager")
        compiled = partial(torch.compile, fullgraph=True, dynamic=dynamic, backend=counter)
        layer = v.module(0.5, key=KEY)
        for p in (0.5, 0.25, 0.125):
            setattr(layer, attribute, p)
            assert torch.equal(compiled(layer)(v.x), layer(v.x))
        assert counter.frame_count <= 4
        function = compiled(lambda x, p: v.function(x, p, key=KEY))
        assert all(torch.equal(function(v.x, p), v.function(v.x, p, key=KEY)) for p in (0.5, 0.25))


@pytest.mark.unchecked
@every_variant
@pytest.mark.parametrize("training", [True, False])
def test_a_graph_that_torch_fx_traces_computes_the_same(v, training):
    model = torch.nn.Sequential(torch.nn.Tanh(), v.module(0.5)).train(training)
    keyed = torch.nn.Sequential(v.module(0.5, key=KEY)).train(training)
    traced = torch.fx.symbolic_trace(model)
    assert [node.op for node in traced.graph.nodes].count("call_module") == 2
    for mode in (training, not training):  # the layer stands in the graph, not what it did
        seen = []
        for f in (model.train(mode), traced.train(mode)):
            torch.manual_seed(7)
            seen.append(f(v.x))
        assert torch.equal(*seen)
    for f in (keyed, lambda x: v.function(x, 0.5, training=training, key=KEY)):
        again = pickle.loads(pickle.dumps(torch.fx.symbolic_trace(f)))
        assert torch.equal(again(v.x), f(v.x))


class Override:
    """An object that takes PyTorch's functions over."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return function, args[1:], kwargs


class Tagged(torch.Tensor):
    """A subclass that leaves everything to PyTorch."""


@pytest.mark.unchecked
@every_variant
def test_arguments_may_take_a_function_over(v):
    function = getattr(functional, v.name)
    options = {**dict(v.options), "key": KEY}
    assert function(Override(), 0.3, **options) == (function, (0.3,), options)
    found, args, given = function(input=Override(), p=0.3, **options)
    assert (found, args) == (function, ())
    assert given.keys() == {"input", "p", *options}
    tagged = v.x.as_subclass(Tagged)
    out = v.function(tagged, 0.3, key=KEY)
    assert type(out) is Tagged
    assert torch.equal(out.as_subclass(torch.Tensor), v.function(v.x, 0.3, key=KEY))
    assert v.function(tagged, 0.3, training=False) is tagged


@pytest.mark.unchecked
@every_variant
def test_the_batch_of_an_exported_layer_is_free(v):
    layer = v.module(0.5, key=KEY)
    free = ({0: torch.export.Dim("free", min=2)},)
    exported = torch.export.export(layer, (torch.cat([v.x] * 2),), dynamic_shapes=free).module()
    x = torch.cat([v.x] * 5)
    assert torch.equal(exported(x), layer(x))


# ---- the modules ----------------------------------------------------------------------------


@every_variant
def test_what_becomes_one_of_these_drops_as_one(v):
    """By its class, or by another layer's state, neither of which has a key or a generator."""
    layer, other = v.module(0.5), torch.nn.Identity()
    vars(other).update({k: a for k, a in vars(layer).items() if k not in ("key", "generator")})
    other.__class__ = type(layer)
    seen = []
    for f in (layer, other):
        torch.manual_seed(7)
        seen.append(f(v.x))
    assert torch.equal(*seen)
    assert seeded(other, 1).key == MaskKey(1)


@every_variant
def test_the_module_is_the_function_in_training_and_nothing_in_evaluation(v):
    generators = [torch.Generator().manual_seed(7) for _ in range(2)]
    keyed, drawing = v.module(0.3, key=KEY), v.module(0.3, generator=generators[0])
    assert torch.equal(keyed(v.x), v.function(v.x, 0.3, key=KEY))
    assert torch.equal(drawing(v.x), v.function(v.x, 0.3, generator=generators[1]))
    x = v.x
    assert keyed.eval()(x) is x
    assert torch.equal(keyed.train()(x), v.function(x, 0.3, key=KEY))
    assert not keyed.state_dict()


@every_variant
def test_manual_seed_governs_and_each_forward_is_fresh(v):
    layer, x = v.module(0.5), v.x + 7
    torch.manual_seed(1)
    first, second = layer(x), layer(x)
    torch.manual_seed(1)
    assert torch.equal(layer(x), first)
    assert not torch.equal(first, second)


@every_variant
def test_the_module_says_what_it_is(v):
    layer = v.module(0.3)
    name = "beta" if v.name == "uout" else "p"
    assert f"{name}=0.3" in repr(layer)
    assert all(f"{option}={value}" in repr(layer) for option, value in v.options)


# ---- bad input ------------------------------------------------------------------------------


@pytest.mark.unchecked
@every_variant
@pytest.mark.parametrize("training", [True, False])
def test_a_bad_rate_is_named(v, training):
    name = "beta" if v.name == "uout" else "p"
    droppers = [lambda p: v.function(v.x, p, training=training), v.module]
    for drop in droppers:
        for p in (-0.1, 1.1, float("nan"), float("inf")):
            with pytest.raises(ValueError, match=rf"\b{name} must be in \[0, 1\], got {p}"):
                drop(p)
        for p in ("half", None, True):
            with pytest.raises(TypeError, match=rf"\b{name} must be a number in .*got {p!r}"):
                drop(p)


@pytest.mark.unchecked
@every_variant
def test_what_is_not_a_floating_point_tensor_is_named(v):
    for x, shown in [
        (v.x.long(), "torch.int64"),
        (v.x.cfloat(), "torch.complex64"),
        (v.x.to(torch.float8_e4m3fn), "torch.float8_e4m3fn"),
        (v.x.to_sparse(), "torch.sparse_coo"),
    ]:
        with pytest.raises(TypeError, match=f"tensor.*, got {shown}"):
            v.function(x, 0.5)
    for p, training in ((0.5, True), (0.5, False), (0.0, True)):
        with pytest.raises(TypeError, match=r"tensor.*, got list"):
            v.function([1.0], p, training=training)


@pytest.mark.unchecked
@every_variant
def test_a_shard_outside_its_whole_is_refused(v):
    place = Shard(v.shape, (1, *[0] * (len(v.shape) - 1)))
    with pytest.raises(ValueError, match="does not lie inside"):
        v.function(v.x, 0.5, key=KEY, shard=place)


@pytest.mark.unchecked
@every_variant
def test_key_and_generator_together_are_refused(v):
    with pytest.raises(ValueError, match="key or a generator, not both"):
        v.function(v.x, 0.5, key=KEY, generator=torch.Generator())
