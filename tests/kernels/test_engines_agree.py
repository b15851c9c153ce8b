"""The fast engines write the bits that the portable one writes, and it the definition's."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from dropout import MaskKey, functional, reference
from dropout.kernels import cpu, cuda, portable
from dropout.kernels.engines import engine_of, forced
from dropout.mask import inverted_scale, keep_mask, threshold
from dropout.shard import Shard, place, runs
from tests.kernels.cases import CASES, DTYPES, SEED

STREAM, STEP, P = 3, 2**32 - 1, 0.3
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
every_engine = pytest.mark.parametrize("engine", [portable, cpu, cuda], ids=lambda e: e.__name__)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def goes_to_triton(x, dtype):
    """Its interpreter is slow: there, a tensor of many programs comes in one dtype only."""
    return DEVICE == "cuda" or x.numel() < 1 << 16 or dtype == torch.float32


for_triton = pytest.mark.parametrize(
    ("case", "dtype"),
    [
        pytest.param(case, dtype, id=f"{name}-{dtype}")
        for name, case in CASES.items()
        for dtype in DTYPES
        if goes_to_triton(case[0], dtype)
    ],
)


def write(engine, x, shared, shard, p=P, numbers=None, out=None):
    out = torch.empty_like(x) if out is None else out
    numbers = numbers or (inverted_scale(p), 0.0, 0.0)
    coins = place(x.shape, shard, shared)
    engine.masked_scale(x, out, SEED, STREAM, STEP, threshold(p), *numbers, *coins)
    return out


def same_bits(a, b):
    word = {8: torch.int64, 4: torch.int32, 2: torch.int16}[a.element_size()]
    return torch.equal(a.view(word), b.view(word))


@every_dtype
@every_case
def test_portable_selects_what_the_definition_keeps(case, dtype):
    x, shared, shard = case
    out = write(portable, x.to(dtype), shared, shard, numbers=(0.0, 1.0, -1.0))
    keep = keep_mask(MaskKey(SEED + 2**64, STREAM, STEP), x.shape, P, shard, shared)
    assert np.array_equal(out.float().numpy() > 0, np.broadcast_to(keep, x.shape))


@every_dtype
@every_case
def test_numba_equals_portable(case, dtype):
    x, shared, shard = case
    x = x.to(dtype)
    for numbers in ((inverted_scale(P), 0.0, 0.0), (0.7, 0.3, -1.7)):
        expected = write(portable, x, shared, shard, numbers=numbers)
        out = write(cpu, x, shared, shard, numbers=numbers)
        assert same_bits(out, expected)
        assert out.stride() == expected.stride()


# Triton's interpreter truncates where a GPU rounds to bfloat16: there, numbers that need no
# rounding show that the right elements are scaled.
EXACT = (2.0, 0.0, -1.5)


@for_triton
def test_triton_equals_portable(case, dtype):
    x, shared, shard = case
    x = x.to(dtype)
    numbers = EXACT if dtype == torch.bfloat16 and DEVICE == "cpu" else (0.7, 0.3, -1.7)
    expected = write(portable, x, shared, shard, numbers=numbers)
    out = write(cuda, x.to(DEVICE), shared, shard, numbers=numbers)
    assert same_bits(out.cpu(), expected)


def write_noise(engine, x, shared, shard, normal, bias, gain, out=None):
    out = torch.empty_like(x) if out is None else out
    coins = place(x.shape, shard, shared)
    engine.noise(x, out, SEED, STREAM, STEP, normal, bias, gain, *coins)
    return out


@every_case
def test_every_engine_draws_the_words_of_the_definition(case):
    x, shared, shard = case
    one = torch.ones((), dtype=torch.double).expand(x.shape)
    whole, start = place(x.shape, shard, shared)
    part = tuple(min(n, 1) if w == 1 else n for n, w in zip(x.shape, whole, strict=True))
    words = reference.words(
        MaskKey(SEED + 2**64, STREAM, STEP), *runs(part, Shard(whole, start))
    ).reshape(part)
    for engine in (portable, cpu, cuda):
        there = one.to(DEVICE) if engine is cuda else one
        found = write_noise(engine, there, shared, shard, False, 0.0, 1.0, torch.empty_like(there))
        uniforms = (2 * words + 1) / 2**32 - 1  # exact
        assert np.array_equal(found.cpu().numpy(), np.broadcast_to(uniforms, x.shape))


@every_dtype
@every_case
def test_every_engine_draws_normals_of_a_few_ulp(case, dtype):
    x, shared, shard = case
    x = x.to(dtype)
    expected = write_noise(portable, x, shared, shard, True, 1.0, 0.7)
    for engine in (cpu, cuda) if goes_to_triton(x, dtype) else (cpu,):
        there = x.to(DEVICE) if engine is cuda else x
        found = write_noise(engine, there, shared, shard, True, 1.0, 0.7).cpu()
        # Numbers up to 3 times factors up to 6; a factor of one ulp more may round otherwise.
        ulp = torch.finfo(dtype).eps
        if dtype == torch.bfloat16 and engine is cuda and DEVICE == "cpu":
            ulp *= 2  # Triton's interpreter truncates where a GPU rounds
        torch.testing.assert_close(found, expected, rtol=2 * ulp, atol=32 * 2.0**-52)
        assert found.stride() == expected.stride()


@every_engine
@pytest.mark.parametrize("p", [2.0**-16, 1 - 2.0**-16, 1.0])
def test_extreme_rates_agree_with_the_definition(engine, p):
    x = torch.ones(5000, device=DEVICE if engine is cuda else "cpu")
    keep = keep_mask(MaskKey(SEED + 2**64, STREAM, STEP), x.shape, p)
    assert np.array_equal(write(engine, x, (), None, p).cpu().numpy() != 0, keep)


@every_engine
@every_dtype
def test_nothing_leaks_from_a_dropped_element(engine, dtype):
    x = torch.tensor([torch.nan, torch.inf, -torch.inf, -0.0], dtype=dtype).repeat(100)
    x = x.to(DEVICE if engine is cuda else "cpu")
    out = write(engine, x, (), None).cpu()
    keep = torch.from_numpy(keep_mask(MaskKey(SEED + 2**64, STREAM, STEP), (400,), P))
    zeros = torch.zeros(400, dtype=dtype)
    assert same_bits(out[~keep], zeros[~keep])
    assert torch.equal(out.isnan(), x.cpu().isnan() & keep)


@every_engine
@every_case
def test_writing_into_the_input_changes_nothing_else(engine, case):
    x, shared, shard = case
    x = torch.empty_like(x).copy_(x)  # an expanded tensor cannot be written to
    x = x.to(DEVICE if engine is cuda else "cpu")
    expected = write(engine, x, shared, shard)
    assert same_bits(write(engine, x, shared, shard, out=x), expected)


def test_the_output_may_lie_otherwise_than_the_input():
    x = CASES["channels last"][0]
    expected = write(portable, x, (), None)
    for engine in (cpu, cuda):
        into = torch.empty(x.shape, device=DEVICE if engine is cuda else "cpu")
        assert torch.equal(write(engine, x.to(into.device), (), None, out=into).cpu(), expected)


@pytest.mark.parametrize("case", [((1 << 20) + 5,), (16, 64, 1024), (3, 7, 50000)], ids=str)
@pytest.mark.parametrize("shared", [(), (0,), (-1,)], ids=str)
def test_threads_share_the_work_and_not_the_result(case, shared):
    x = torch.linspace(-1, 1, int(np.prod(case))).reshape(case)
    before = torch.get_num_threads()
    try:
        outs = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            outs.append(write(cpu, x, shared, None))
    finally:
        torch.set_num_threads(before)
    keep = keep_mask(MaskKey(SEED + 2**64, STREAM, STEP), x.shape, P, None, shared)
    assert torch.equal(outs[0] != 0, torch.from_numpy(keep) & (x != 0))
    assert torch.equal(outs[0], outs[1])
    assert torch.equal(outs[0], outs[2])


@every_engine
def test_an_engine_that_is_forced_does_all_work_until_it_no_longer_is(engine, monkeypatch):
    def recording(name, work):
        return lambda *arguments: done.append(name) or work(*arguments)

    done, device = [], DEVICE if engine is cuda else "cpu"
    before = engine_of(torch.device(device))
    for name in ("empty_like", "masked_scale", "noise"):
        monkeypatch.setattr(engine, name, recording(name, getattr(engine, name)))
    x = torch.ones(9, device=device)
    with forced("portable"):
        with forced(engine.__name__.rpartition(".")[2]):
            functional.dropout(x)
            functional.uout(x)
        assert engine_of(torch.device(device)) is portable
    assert done == ["empty_like", "masked_scale", "empty_like", "noise"]
    assert engine_of(torch.device(device)) is before


@pytest.mark.unchecked
def test_an_engine_that_is_none_or_not_of_the_device_is_not_forced():
    with pytest.raises(ValueError, match="cpu, cuda or portable, got 'numba'"), forced("numba"):
        pass
    with pytest.raises(ValueError, match=r"cpu cannot be forced .* cuda:0"), forced("cpu"):
        engine_of(torch.device("cuda:0"))
    assert engine_of(torch.device("cpu")) is cpu


def run(code):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_imports_no_compiler():
    code = "import sys, dropout.nn; print([m for m in ('numba', 'triton') if m in sys.modules])"
    assert run(code) == "[]\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_threads_of_its_own():
    code = """
import os, torch
from dropout import MaskKey, functional
x = torch.ones(1 << 20)
torch.set_num_threads(2)
expected = functional.dropout(x, key=MaskKey(5)).numpy()
child = os.fork()
if not child:
    out = functional.dropout(x, key=MaskKey(5)).numpy()  # torch's own threads hang in a child
    os._exit(0 if (out == expected).all() else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run("import warnings; warnings.simplefilter('ignore')\n" + code) == "0\n"
