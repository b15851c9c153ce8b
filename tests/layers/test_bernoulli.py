"""Dropout as function and as module, against the reference and against torch.nn's own face."""

import copy
import inspect
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.checkpoint import checkpoint

from dropout import MaskKey, Shard, functional, nn, reference
from dropout.coins import coins, draw_seed
from dropout.mask import inverted_scale, keep_mask, realised_rate
from tests import strategies
from tests.statistics import plausible_count, plausible_mean

KEY = MaskKey(seed=2**63 + 5, stream=1, step=2)


def ones(*shape, **options):
    return torch.ones(shape, **options)


# ---- the same as the reference --------------------------------------------------------------


@given(strategies.keys, strategies.shapes, strategies.rates)
def test_output_and_gradient_are_the_references(key, shape, p):
    x = torch.linspace(-2, 2, int(np.prod(shape)), dtype=torch.double).view(shape).requires_grad_()
    grad = torch.linspace(1, 3, x.numel(), dtype=torch.double).view(shape)
    out = functional.dropout(x, p, key=key)
    out.backward(grad)
    found = out.detach().numpy(), x.grad.numpy()
    expected = (
        reference.dropout(x.detach().numpy(), p, key=key),
        reference.dropout_backward(grad.numpy(), p, key=key),
    )
    assert all(map(np.array_equal, found, expected))


@given(strategies.keys, strategies.rates, strategies.dtypes)
def test_the_mask_does_not_depend_on_the_dtype(key, p, dtype):
    out = functional.dropout(ones(99, dtype=dtype), p, key=key)
    assert out.dtype == dtype
    assert (out != 0).tolist() == keep_mask(key, (99,), p).tolist()
    assert set(out[out != 0].tolist()) <= {torch.tensor(inverted_scale(p), dtype=dtype).item()}


@given(strategies.keys, strategies.shapes, strategies.rates, st.data())
def test_the_shards_of_any_split_are_the_whole(key, shape, p, data):
    x = torch.arange(1.0, 1 + np.prod(shape)).view(shape)
    whole = functional.dropout(x, p, key=key)
    for tile in data.draw(strategies.tilings(shape)):
        place = strategies.shard(shape, tile)
        assert torch.equal(functional.dropout(x[tile], p, key=key, shard=place), whole[tile])


def test_a_window_of_a_tensor_too_large_to_hold():
    place = Shard((2**20, 2**40), (2**19, 2**39))
    out = functional.dropout(ones(3, 9), key=KEY, shard=place)
    assert (out != 0).tolist() == keep_mask(KEY, (3, 9), 0.5, place).tolist()


@given(strategies.words(64))
def test_every_seed_of_64_bits_keeps_its_bits(seed):
    assert int(coins(MaskKey(seed), None, ones(1))[0]) % 2**64 == seed


@pytest.mark.parametrize("p", [0.5, 1.0])
def test_a_dropped_element_is_zero_and_gets_no_gradient_whatever_stood_there(p):
    kept = torch.from_numpy(keep_mask(KEY, (3, 64), p))
    poison = torch.tensor([[torch.inf], [-torch.inf], [torch.nan]]).repeat(1, 64)
    x = poison.clone().requires_grad_()
    out = functional.dropout(x, p, key=KEY)
    out.backward(poison)
    assert torch.equal(out == 0, ~kept)
    assert torch.equal(x.grad == 0, ~kept)


def test_gradients_of_first_and_second_order_pass_gradcheck():
    def f(x):
        return functional.dropout(x, 0.3, key=KEY)

    x = torch.linspace(-2, 2, 15, dtype=torch.double).view(3, 5).requires_grad_()
    assert torch.autograd.gradcheck(f, x)
    assert torch.autograd.gradgradcheck(f, x)


# ---- when it does nothing, and in place -----------------------------------------------------


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(("p", "training"), [(0.5, False), (1.0, False), (0.0, True), (1e-9, True)])
def test_with_nothing_to_drop_the_same_object_comes_back(p, training, inplace):
    x = ones(8)
    assert functional.dropout(x, p, training, inplace) is x
    assert torch.equal(x, ones(8))


@pytest.mark.parametrize(("p", "training"), [(0.5, False), (0.0, True)])
def test_with_nothing_to_drop_no_seed_is_drawn(p, training):
    before = torch.get_rng_state()
    functional.dropout(ones(8), p, training)
    assert torch.equal(torch.get_rng_state(), before)


def test_rate_one_drops_all():
    assert not functional.dropout(ones(99), 1.0).any()


def test_inplace_writes_the_same_values_into_the_input():
    x = torch.arange(1.0, 65.0)
    apart = functional.dropout(x, 0.3, key=KEY)
    assert functional.dropout(x, 0.3, inplace=True, key=KEY) is x
    assert torch.equal(x, apart)


def test_inplace_has_the_same_gradient():
    gradients = []
    for inplace in (False, True):
        leaf = torch.linspace(1, 2, 64).requires_grad_()
        functional.dropout(leaf * 1, 0.3, inplace=inplace, key=KEY).square().sum().backward()
        gradients.append(leaf.grad)
    assert torch.equal(*gradients)
    assert gradients[0].any()


# ---- where the coins come from --------------------------------------------------------------


def test_an_explicit_key_repeats_its_mask_and_draws_nothing():
    before = torch.get_rng_state()
    first, second = (functional.dropout(ones(99), key=KEY) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


def test_manual_seed_governs():
    def draw(seed):
        torch.manual_seed(seed)
        return functional.dropout(ones(99))

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_a_generator_governs_and_pytorchs_own_is_left_alone():
    def draw(seed):
        return functional.dropout(ones(99), generator=torch.Generator().manual_seed(seed))

    before = torch.get_rng_state()
    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_drawn_seed_is_the_seed_of_a_key():
    torch.manual_seed(3)
    seed = int(draw_seed()) % 2**64
    torch.manual_seed(3)
    assert torch.equal(
        functional.dropout(ones(99)), functional.dropout(ones(99), key=MaskKey(seed))
    )


def test_every_bit_of_a_drawn_seed_is_random():
    """64 fair bits in 2 000 seeds; binomial, false-alarm rate 1e-6 for each bit."""
    seeds = np.array([int(draw_seed()) % 2**64 for _ in range(2000)], dtype=np.uint64)
    for bit in range(64):
        assert plausible_count(int((seeds >> np.uint64(bit) & np.uint64(1)).sum()), 2000, 0.5)


def test_a_default_device_does_not_move_the_seed():
    torch.manual_seed(3)
    expected = functional.dropout(ones(99)), functional.dropout(ones(99), key=KEY)
    torch.manual_seed(3)
    x = ones(99)
    with torch.device("meta"):
        assert draw_seed(torch.Generator("cpu")).device.type == "cpu"
        found = functional.dropout(x), functional.dropout(x, key=KEY)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_activation_checkpointing_replays_the_mask():
    x = ones(99, requires_grad=True)
    out = checkpoint(lambda x: functional.dropout(x) * x, x, use_reentrant=False)
    out.sum().backward()
    assert torch.equal(x.grad, 2 * out)  # d(s m x²)/dx at x = 1, if both masks are one


def test_checkpointing_replays_a_key_and_pytorchs_generator_and_no_generator_of_ones_own():
    """As documented: PyTorch gives no other generator its state back before it runs again."""

    def gradient_is_right(**source):
        x = ones(99, requires_grad=True)
        layer = nn.Dropout(**source)
        out = checkpoint(lambda x: layer(x) * x, x, use_reentrant=False)
        out.sum().backward()
        return torch.equal(x.grad, 2 * out)

    assert gradient_is_right()
    assert gradient_is_right(key=KEY)
    assert gradient_is_right(generator=torch.default_generator)
    assert not gradient_is_right(generator=torch.Generator())


# ---- statistics -----------------------------------------------------------------------------

N = 1 << 17


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_keep_rate_mean_and_variance(p):
    """Keep rate binomial, mean and variance of 2^17 outputs normal; false-alarm rate 1e-6 each."""
    out = functional.dropout(ones(N, dtype=torch.double), p)
    p = realised_rate(p)
    q = 1 - p
    assert plausible_count(int((out != 0).sum()), N, q)
    assert plausible_mean(out.mean().item(), 1, (p / q / N) ** 0.5)
    fourth = p + q * (p / q) ** 4  # of out - 1, which is -1 or p/q
    spread = ((fourth - (p / q) ** 2) / N) ** 0.5
    assert plausible_mean((out - 1).square().mean().item(), p / q, spread)


def test_each_forward_has_a_fresh_mask():
    """Two forwards agree on half of the fair coins; binomial, false-alarm rate 1e-6."""
    layer = nn.Dropout(0.5)
    agree = int(((layer(ones(N)) != 0) == (layer(ones(N)) != 0)).sum())
    assert plausible_count(agree, N, 0.5)


def test_each_example_of_a_minibatch_has_its_own_mask():
    """Two examples agree on half of the fair coins; binomial, false-alarm rate 1e-6."""
    first, second = functional.dropout(ones(2, N)) != 0
    assert plausible_count(int((first == second).sum()), N, 0.5)


# ---- the face of torch.nn -------------------------------------------------------------------


def test_the_arguments_of_torch_nn_come_first_and_the_others_by_keyword():
    def face(function, skip):
        parameters = list(inspect.signature(function).parameters.values())[skip:]
        return [(p.name, p.default) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]

    assert face(functional.dropout, 1) == face(torch.nn.functional.dropout, 1)
    assert face(nn.Dropout, 0) == face(torch.nn.Dropout, 0)


def test_the_module_is_the_function():
    x = torch.linspace(1, 2, 64)
    generators = torch.Generator().manual_seed(7), torch.Generator().manual_seed(7)
    assert torch.equal(nn.Dropout(0.3, key=KEY)(x), functional.dropout(x, 0.3, key=KEY))
    assert torch.equal(
        nn.Dropout(0.3, generator=generators[0])(x),
        functional.dropout(x, 0.3, generator=generators[1]),
    )
    assert nn.Dropout(0.3, inplace=True)(x) is x


def test_the_module_is_a_torch_dropout_with_its_words_and_no_state():
    layer = nn.Dropout(0.3, inplace=True, key=KEY)
    assert isinstance(layer, torch.nn.Dropout)
    assert repr(layer) == repr(torch.nn.Dropout(0.3, inplace=True))
    assert dict(layer.state_dict()) == {}
    layer.load_state_dict(torch.nn.Dropout(0.3).state_dict())


def test_eval_is_the_identity_and_train_takes_it_back():
    layer, x = nn.Dropout(0.5), ones(99)
    assert layer.eval()(x) is x
    assert (layer.train()(x) == 0).any()


def test_a_changed_rate_or_key_is_the_one_used():
    layer = nn.Dropout(0.5, key=KEY)
    layer.p, layer.key = 0.2, MaskKey(9)
    assert torch.equal(layer(ones(99)), functional.dropout(ones(99), 0.2, key=MaskKey(9)))


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_copy_drops_what_the_original_drops(clone):
    keyed = nn.Dropout(0.3, key=KEY)
    assert torch.equal(clone(keyed)(ones(99)), keyed(ones(99)))
    drawing = nn.Dropout(0.3, generator=torch.Generator().manual_seed(7))
    copied = clone(drawing)
    for _ in range(2):
        assert torch.equal(copied(ones(99)), drawing(ones(99)))


# ---- bad input ------------------------------------------------------------------------------

DROPPERS = {
    "functional": lambda p: functional.dropout(ones(3), p),
    "evaluation": lambda p: functional.dropout(ones(3), p, training=False),
    "module": nn.Dropout,
}


@pytest.mark.unchecked
@pytest.mark.parametrize("drop", DROPPERS.values(), ids=DROPPERS)
def test_a_bad_rate_is_named(drop):
    for p in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=rf"\bp must be in \[0, 1\], got {p}"):
            drop(p)
    for p in ("half", None, True):
        with pytest.raises(TypeError, match=rf"\bp must be a number in \[0, 1\], got {p!r}"):
            drop(p)


@pytest.mark.unchecked
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("x", "shown"),
    [
        (torch.ones(3, dtype=torch.int64), "torch.int64"),
        (torch.ones(3, dtype=torch.complex64), "torch.complex64"),
        (torch.ones(3, dtype=torch.bool), "torch.bool"),
        (torch.ones(3).to(torch.float8_e5m2), "torch.float8_e5m2"),
        ([1.0, 2.0], "list"),
        (np.ones(3), "ndarray"),
    ],
)
def test_what_is_not_a_floating_point_tensor_is_named(x, shown, training):
    for drop in (functional.dropout, lambda x, p, training: nn.Dropout(p).train(training)(x)):
        if isinstance(x, torch.Tensor) and not training:
            assert drop(x, 0.5, training) is x
            continue
        with pytest.raises(TypeError, match=f"floating-point tensor, got {shown}"):
            drop(x, 0.5, training)


OTHERS = {
    "torch.sparse_coo": lambda: ones(3).to_sparse(),
    "torch.sparse_csr": lambda: ones(3, 3).to_sparse_csr(),
    "torch._mkldnn": lambda: ones(3, 3).to_mkldnn(),
    "torch.qint8": lambda: torch.quantize_per_tensor(ones(3), 0.1, 0, torch.qint8),
    "a nested tensor": lambda: torch.nested.nested_tensor([ones(2), ones(3)]),
}


@pytest.mark.unchecked
@pytest.mark.filterwarnings("ignore")  # PyTorch warns of some of these kinds as they are made
@pytest.mark.parametrize(("shown", "make"), OTHERS.items(), ids=OTHERS)
def test_a_tensor_of_another_kind_is_named_where_it_would_drop(shown, make):
    x = make()
    with pytest.raises(TypeError, match=f"floating-point tensor, got {shown}"):
        functional.dropout(x, key=KEY)
    assert nn.Dropout(0.5).eval()(x) is x
    assert nn.Dropout(0.0)(x) is x


@pytest.mark.unchecked
def test_key_and_generator_together_are_refused():
    with pytest.raises(ValueError, match="key or a generator, not both"):
        functional.dropout(ones(3), key=KEY, generator=torch.Generator())


@pytest.mark.unchecked
def test_a_generator_of_another_device_is_named():
    elsewhere = SimpleNamespace(device=torch.device("cuda", 0))
    with pytest.raises(ValueError, match="generator must be on the CPU, got one on cuda:0"):
        draw_seed(elsewhere)


@pytest.mark.unchecked
@pytest.mark.parametrize("argument", ["key", "generator", "shard"])
def test_a_key_generator_or_shard_of_another_type_is_named(argument):
    for value in (5, "one"):
        with pytest.raises(TypeError, match=rf"\b{argument} must be .*got {value!r}"):
            functional.dropout(ones(3), **{argument: value})


@pytest.mark.unchecked
@pytest.mark.parametrize(("whole", "start"), [((4,), (2,)), ((4,), (-1,)), ((4, 4), (0, 0))])
def test_a_shard_outside_its_whole_is_refused_and_writes_nothing(whole, start):
    x = ones(3)
    with pytest.raises(ValueError, match=r"a shard of shape \(3,\) at .* does not lie inside"):
        functional.dropout(x, inplace=True, key=KEY, shard=Shard(whole, start))
    assert torch.equal(x, ones(3))
