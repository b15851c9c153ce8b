"""What drops on the CPU drops on the GPU, to the bit, forward and backward."""

from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import torch
from torch.utils.checkpoint import checkpoint

from dropout import MaskKey, Shard, functional
from dropout.mask import keep_mask
from dropout.op import drop
from dropout.seeding import seeded
from tests.kernels.cases import CASES, DTYPES
from tests.layers.test_family import DROPPING, VARIANTS
from tests.test_module_life import LIVES, gradients, run
from tests.test_op_torch import tangled

KEY = MaskKey(seed=2**63 + 5, stream=2**31 + 1, step=2**32 - 1)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
every_variant = pytest.mark.parametrize("v", VARIANTS, ids=str)
every_module = pytest.mark.parametrize(("make", "give"), LIVES.values(), ids=LIVES)


def laid_out(x, dtype, device):
    """x as that type on that device, with its strides and its offset in memory."""
    memory = torch.empty(0, dtype=x.dtype).set_(x.untyped_storage())
    return memory.to(device, dtype).as_strided(x.shape, x.stride(), x.storage_offset())


def both_ways(f, x):
    """A function's output, and its gradient from one that differs from place to place."""
    x = x.detach().requires_grad_()
    out = f(x)
    grad = torch.linspace(1, 2, out.numel(), dtype=torch.double).view(out.shape)
    return out.detach(), *torch.autograd.grad(out, x, grad.to(out))


def assert_same(found, expected):
    """Equal in every bit that carries a value: NaNs may differ in theirs, as devices do."""
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a.cpu(), b, rtol=0, atol=0, equal_nan=True)
        assert torch.equal(a.cpu().signbit() & ~a.cpu().isnan(), b.signbit() & ~b.isnan())


def assert_as_same_as_can_be(found, expected, v):
    """The same, but for the sines and logarithms of normal noise, which devices round their way."""
    if v.name == "gaussian_dropout":
        for a, b in zip(found, expected, strict=True):
            eps = torch.finfo(b.dtype).eps
            torch.testing.assert_close(a.cpu(), b, rtol=4 * eps, atol=16 * eps)
    else:
        assert_same(found, expected)


# ---- the operator ---------------------------------------------------------------------------


@every_dtype
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_layout_window_and_shard(case, dtype, device):
    x, shared, shard = case
    for numbers in ({}, {"scale": 0.7, "shift": 0.3, "dropped": -1.7}):
        f = partial(drop, p=0.3, shared=shared, key=KEY, shard=shard, **numbers)
        there, here = laid_out(x, dtype, device), laid_out(x, dtype, "cpu")
        found = both_ways(f, there)
        assert_same(found, both_ways(f, here))
        assert found[0].stride() == torch.empty_like(there).stride()


@every_dtype
@pytest.mark.parametrize("p", [0.0, 2.0**-16, 0.5, 1 - 2.0**-16, 1.0])
def test_every_rate_is_the_definitions(p, dtype, device):
    found, grad = both_ways(partial(drop, p=p, key=KEY), torch.ones(70001, dtype=dtype).to(device))
    keep = keep_mask(KEY, (70001,), p)
    assert np.array_equal(found.cpu().float().numpy() != 0, keep)
    assert np.array_equal(grad.cpu().float().numpy() != 0, keep)


@every_dtype
@pytest.mark.parametrize("p", [0.5, 1.0])
def test_nothing_leaks_from_a_dropped_element(p, dtype, device):
    x = torch.tensor([torch.nan, torch.inf, -torch.inf, -0.0], dtype=dtype).repeat(100)
    there = x.to(device).requires_grad_()
    out = drop(there, p, key=KEY)
    out.backward(there.detach())
    dropped = torch.from_numpy(~keep_mask(KEY, (400,), p))
    for found in (out, there.grad):
        assert not found.cpu()[dropped].any()
        assert torch.equal(found.cpu().isfinite(), dropped | (x == 0))


def test_writing_in_place_is_the_same(device):
    x = torch.linspace(-1, 1, 5000)
    expected, there = drop(x, 0.3, key=KEY), x.to(device)
    assert drop(there, 0.3, key=KEY, inplace=True) is there
    assert_same([there], [expected])


def test_a_tensor_of_more_than_2_to_the_32_elements(gpu):
    """Held, not computed in a window: addresses and element numbers pass 32 bits."""
    size, window = 2**32 + 5000, 10000
    need = 3 * size
    if torch.cuda.mem_get_info()[0] < need:
        pytest.skip(f"needs {need >> 30} GiB of GPU memory")
    x = torch.ones(size, dtype=torch.bfloat16, device=gpu)
    drop(x, 0.3, key=KEY, inplace=True)
    for start in (0, 2**31 - 5000, 2**32 - 5000, size - window):
        keep = keep_mask(KEY, (window,), 0.3, Shard((size,), (start,)))
        assert np.array_equal(x[start : start + window].cpu().float().numpy() != 0, keep)


# Blocks are left out: their map of scales comes from the CPU.
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("v", [v for v in DROPPING if v.name != "drop_block2d"], ids=str)
def test_no_coin_waits_for_the_gpu(v, gpu):
    x = v.x.to(gpu).requires_grad_()
    grad = torch.ones_like(x)
    v.function(x, 0.3).backward(grad)  # compiles
    before = torch.cuda.get_rng_state()
    try:
        torch.cuda.set_sync_debug_mode("error")
        v.function(x, 0.3).backward(grad)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(torch.cuda.get_rng_state(), before)


# ---- the family -----------------------------------------------------------------------------


@every_variant
@every_dtype
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_every_function(v, dtype, p, device):
    x = v.x.to(dtype)

    def f(x):
        return v.function(x, min(p, v.top), key=KEY)

    assert_as_same_as_can_be(both_ways(f, x.to(device)), both_ways(f, x), v)


@every_variant
def test_halves_are_the_halves_of_the_whole(v, device):
    x = v.x.to(device)
    whole = v.function(x, 0.3, key=KEY)
    for axis in range(x.dim()):
        n = x.shape[axis] // 2
        start = tuple(n if a == axis else 0 for a in range(x.dim()))
        half = x.narrow(axis, n, x.shape[axis] - n)
        found = v.function(half, 0.3, key=KEY, shard=Shard(tuple(x.shape), start))
        expected = whole.narrow(axis, n, x.shape[axis] - n)
        assert_as_same_as_can_be([found], [expected.cpu()], v)


@every_module
def test_every_module_with_its_weights_gradients(make, give, device):
    """Sums take another order there, and float64 leaves them close; another mask would not be."""
    module, x = seeded(make(), 1).double(), give()
    x = x.double() if x.is_floating_point() else x
    there = deepcopy(module).to(device)
    found, expected = gradients(there, x.to(device)), gradients(module, x)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a.cpu(), b, rtol=1e-9, atol=1e-9)


# ---- seeds, checkpoints, the compiler -------------------------------------------------------


@every_variant
def test_a_drawn_seed_is_the_cpu_generators(v, device):
    results = []
    for x in (v.x.to(device), v.x):
        torch.manual_seed(3)
        results.append([v.function(x, 0.5), v.function(x, 0.5), torch.get_rng_state()])
    *found, rng = results[0]
    *expected, rng_after = results[1]
    assert_as_same_as_can_be(found, expected, v)
    assert torch.equal(rng, rng_after)


@every_module
@pytest.mark.parametrize("reentrant", [True, False])
def test_a_checkpoint_replays_the_mask(make, give, reentrant, device):
    module, x = make().double().to(device), give().to(device)
    x = x.double() if x.is_floating_point() else x
    anchor = torch.ones((), device=device, requires_grad=True)

    def plain(module, x):
        return run(module, x) * anchor

    def checkpointed(module, x):
        return checkpoint(
            lambda x, anchor: run(module, x) * anchor, x, anchor, use_reentrant=reentrant
        )

    torch.manual_seed(3)
    expected = gradients(module, x, plain)
    torch.manual_seed(3)
    for a, b in zip(gradients(module, x, checkpointed), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.unchecked
def test_compiled_draws_keep_their_order(device):
    x = torch.linspace(1, 2, 64)
    torch.compiler.reset()
    compiled = torch.compile(tangled, fullgraph=True)
    for seed in range(2):
        results = []
        for f, place in ((compiled, device), (tangled, "cpu")):
            torch.manual_seed(seed)
            results.append(both_ways(f, x.to(place)))
        assert_same(*results)


@pytest.mark.unchecked
@every_variant
def test_compiled_it_drops_the_same(v, device):
    torch.compiler.reset()
    layer = v.module(0.3, key=KEY)
    compiled = torch.compile(layer, fullgraph=True)
    found = both_ways(compiled, v.x.to(device))
    assert_as_same_as_can_be(found, both_ways(layer, v.x), v)


def test_functional_dropout_is_the_operator(device):
    """The face that every chapter uses, over the way that has no gradient to care for."""
    with torch.inference_mode():
        x = torch.linspace(-1, 1, 4099)
        there = functional.dropout(x.to(device), 0.3, key=KEY)
        assert_same([there], [functional.dropout(x, 0.3, key=KEY)])
