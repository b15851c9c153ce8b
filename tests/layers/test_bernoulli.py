"""Dropout as function and as module, against the reference and against torch.nn's own face."""

import copy
import inspect
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from torch.utils.checkpoint import checkpoint

from dropout import MaskKey, Shard, functional, nn, reference
from dropout.coins import coins, draw_seed
from dropout.mask import realised_rate
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


@given(strategies.words(64))
def test_every_seed_of_64_bits_keeps_its_bits(seed):
    assert int(coins(MaskKey(seed), None, ones(1))[0]) % 2**64 == seed


# ---- when it does nothing, and in place -----------------------------------------------------


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(("p", "training"), [(0.5, False), (1.0, False), (0.0, True), (1e-9, True)])
def test_with_nothing_to_drop_the_same_object_comes_back(p, training, inplace):
    x = ones(8)
    assert functional.dropout(x, p, training, inplace) is x
    assert torch.equal(x, ones(8))


def test_inplace_writes_the_same_values_into_the_input():
    x = torch.arange(1.0, 65.0)
    apart = functional.dropout(x, 0.3, key=KEY)
    given = {"p": 0.3, "inplace": True, "key": KEY}
    for drop in (partial(functional.dropout, **given), nn.Dropout(**given)):
        again = x.clone()
        assert drop(again) is again
        assert torch.equal(again, apart)


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


def test_a_generator_governs_and_pytorchs_own_is_left_alone():
    def draw(seed):
        return functional.dropout(ones(99), generator=torch.Generator().manual_seed(seed))

    before = torch.get_rng_state()
    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_thread_that_draws_while_another_does_leaves_it_its_seed():
    def draw(seed):
        return functional.dropout(ones(64), generator=torch.Generator().manual_seed(seed))

    def in_between(frame, event, function):
        if event == "c_return" and function.__name__ == "random_":
            other.append(pool.submit(draw, 2).result())

    other, expected = [], [draw(1), draw(2)]
    with ThreadPoolExecutor(1) as pool:
        sys.setprofile(in_between)  # of this thread
        try:
            found = draw(1)
        finally:
            sys.setprofile(None)
    assert all(map(torch.equal, [found, *other], expected))
    assert len(other) == 1


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


def test_the_module_is_a_torch_dropout_with_its_words_and_no_state():
    layer = nn.Dropout(0.3, inplace=True, key=KEY)
    assert isinstance(layer, torch.nn.Dropout)
    assert repr(layer) == repr(torch.nn.Dropout(0.3, inplace=True))
    assert dict(layer.state_dict()) == {}
    layer.load_state_dict(torch.nn.Dropout(0.3).state_dict())


def test_a_changed_rate_or_key_is_the_one_used():
    layer = nn.Dropout(0.5, key=KEY)
    layer.p, layer.key = 0.2, MaskKey(9)
    assert torch.equal(layer(ones(99)), functional.dropout(ones(99), 0.2, key=MaskKey(9)))


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_copy_draws_what_the_original_draws(clone):
    drawing = nn.Dropout(0.3, generator=torch.Generator().manual_seed(7))
    copied = clone(drawing)
    for _ in range(2):
        assert torch.equal(copied(ones(99)), drawing(ones(99)))


# ---- bad input ------------------------------------------------------------------------------

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
