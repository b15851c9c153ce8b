"""Code that cannot be compiled, kept or read costs time, never a mask; no type gets another's."""

import os
import pickle
import subprocess
import sys
from itertools import permutations

import numba
import numpy as np
import pytest
import torch

from dropout import MaskKey
from dropout.kernels import compiled, loops
from dropout.mask import keep_mask
from tests.kernels.cases import DTYPES

LOOPS = pytest.mark.parametrize("loop", [loops.masked_scale, loops.noise], ids=["coins", "noise"])


def start(code, **environment):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run(code, **environment):
    process = start(code, **environment)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return out


# --- A file for each piece of code --------------------------------------------------------------


def made(code):
    """The only signature of code, and what Numba knows of it."""
    ((types, result),) = code.overloads.items()
    return numba.void(*types), result


def file_of(code, cache=None):
    signature, result = made(code)
    return (cache or code._cache)._file(signature, result.codegen)


def load(code, cache):
    signature, result = made(code)
    return cache.load_overload(signature, result.target_context)


def times_two(code, loop, dtype):
    """What code makes of the numbers 1 to 16: twice each where there is a coin, no noise else."""
    x = torch.arange(1.0, 17).to(dtype)
    out = torch.full_like(x, -1)
    numbers = (0, 2.0, 0.0, 0.0) if loop is loops.masked_scale else (True, 2.0, 0.0)
    plan = np.array([0, 16, 1, 1, 1, 0, 0, 16, 1, 1, 0, 0], np.uint64)
    code(x.data_ptr(), out.data_ptr(), 1, 0, 0, *numbers, plan, 0, 1)
    return out.tolist() == (2 * x).tolist()


def test_each_loop_and_type_has_a_file_of_its_own():
    codes = [loop(dtype) for loop in (loops.masked_scale, loops.noise) for dtype in DTYPES]
    codes += [loops.masked_scale_many(dtype) for dtype in (torch.float32, torch.float64)]
    paths = {file_of(code)[0] for code in codes}
    assert len(paths) == 10
    assert all(path.exists() for path in paths)


@LOOPS
@pytest.mark.parametrize(("one", "other"), [*permutations(DTYPES, 2)], ids=str)
def test_two_types_written_at_once_are_each_found_as_their_own(
    one, other, loop, tmp_path, monkeypatch
):
    codes = {dtype: loop(dtype) for dtype in (one, other)}  # their own files are elsewhere
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    caches = {dtype: compiled.Cache(code.py_func) for dtype, code in codes.items()}
    assert load(codes[one], caches[one]) is load(codes[other], caches[other]) is None
    # The other type writes all it has to while the first is in the middle of its writing.
    write = caches[one]._cache_file._open_for_write

    def while_it_writes(path):
        save(other)
        return write(path)

    def save(dtype):
        caches[dtype].save_overload(*made(codes[dtype]))

    for dtype, code in codes.items():  # code that came from a file cannot be taken apart once more
        parts = pickle.loads(file_of(code)[0].read_bytes()[compiled.DIGEST :])
        monkeypatch.setattr(caches[dtype]._impl, "reduce", lambda _, parts=parts: parts)
    monkeypatch.setattr(caches[one]._cache_file, "_open_for_write", while_it_writes)
    save(one)
    for dtype, code in codes.items():
        found = load(code, compiled.Cache(code.py_func))
        assert times_two(found.entry_point, loop, dtype)


IN_TURNS = """
import os, sys, time
from pathlib import Path
import torch
from dropout import MaskKey, functional
me, order, place = sys.argv[1], sys.argv[2].split(), Path(sys.argv[3])
replace, count = os.replace, 0
def wait_for(turn):
    before = order[: order.index(turn)]
    while not all((place / each).exists() for each in before):
        time.sleep(0.01)
def in_turn(source, target):
    global count
    count += 1
    wait_for(f"{me}{count}")
    replace(source, target)
    (place / f"{me}{count}").touch()
import dropout.kernels.cpu
os.replace = in_turn
functional.dropout(torch.arange(1.0, 17).to(getattr(torch, me)), key=MaskKey(1))
for turn in order:
    if turn.startswith(me):
        (place / turn).touch()
"""


def test_two_processes_that_compile_at_once_leave_each_type_its_own_code(tmp_path):
    # As two processes would that keep an index, then code: one writes its index, the other both.
    order = "float321 float641 float642 float322"
    folder = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    both = [
        start(f"import sys; sys.argv[1:] = {[t, order, str(tmp_path)]}\n{IN_TURNS}", **folder)
        for t in ("float32", "float64")
    ]
    for process in both:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    code = """
import torch
from dropout import MaskKey, functional
from dropout.kernels import loops
for dtype in (torch.float32, torch.float64):
    print(functional.dropout(torch.arange(1, 17, dtype=dtype), key=MaskKey(1)).tolist())
    print(sum(loops.masked_scale(dtype).stats.cache_hits.values()))
"""
    expected = np.where(keep_mask(MaskKey(1), (16,), 0.5), 2.0 * np.arange(1, 17), 0.0).tolist()
    assert run(code, **folder).splitlines() == [str(expected), "1"] * 2


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A function, a cache of it in a folder of its own, and where its code is kept there."""
    code = loops.masked_scale(torch.float32)
    whole = file_of(code)[0].read_bytes()
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    cache = compiled.Cache(code.py_func)
    path, _ = file_of(code, cache)
    path.write_bytes(whole)
    return code, cache, path


@pytest.mark.parametrize("spoil", [
    lambda content: b"",
    lambda content: content[:100],
    lambda content: content[:-1],
    lambda content: content[:5000] + bytes(100) + content[5100:],
    lambda content: content[: compiled.DIGEST] + b"no pickle",
], ids=["empty", "cut", "one byte short", "a hole", "another content"])  # fmt: skip
def test_code_that_is_not_whole_is_no_code(spoil, kept):
    code, cache, path = kept
    whole = path.read_bytes()
    assert load(code, cache) is not None
    path.write_bytes(spoil(whole))
    assert load(code, cache) is None


def test_code_of_another_source_processor_or_numba_is_no_code(kept, monkeypatch):
    code, cache, _ = kept
    with monkeypatch.context() as patch:
        patch.setattr(cache._impl.locator, "get_source_stamp", lambda: b"edited")
        assert load(code, cache) is None
    with monkeypatch.context() as patch:
        patch.setattr(numba, "__version__", "0")
        assert load(code, cache) is None
    assert load(code, cache) is not None


def test_a_file_cut_short_is_written_anew(tmp_path):
    folder = {"NUMBA_CACHE_DIR": str(tmp_path)}
    code = """
import torch
from dropout import MaskKey, functional
from dropout.kernels import loops
print(functional.dropout(torch.ones(64), key=MaskKey(5)).tolist())
print(sum(loops.masked_scale(torch.float32).stats.cache_hits.values()))
"""
    assert run(code, **folder).splitlines() == [str(ones()), "0"]
    (file,) = tmp_path.rglob("*.nbc")
    file.write_bytes(file.read_bytes()[:100])
    assert run(code, **folder).splitlines() == [str(ones()), "0"]
    assert run(code, **folder).splitlines() == [str(ones()), "1"]


# --- No compiler, or no place to keep what it makes ----------------------------------------------


def ones():
    return np.where(keep_mask(MaskKey(5), (64,), 0.5), 2.0, 0.0).tolist()


NUMBA_RAISES = """
from importlib.abc import MetaPathFinder
class Refuses(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "numba":
            raise SystemError("Numba does not fit this NumPy")
sys.meta_path.insert(0, Refuses())
"""
UNABLE = {  # before the first call; what the notice says; the engine
    "missing": ("sys.modules['numba'] = None", "import of numba", "portable"),
    "unfit": (NUMBA_RAISES, "SystemError: Numba does not fit this NumPy", "portable"),
    "switched off": (
        "import os; os.environ['NUMBA_DISABLE_JIT'] = '1'", "NUMBA_DISABLE_JIT", "portable"
    ),
    "cannot compile": (
        "import numba.core.dispatcher as d\n"
        "def fail(*_): raise RuntimeError('no executable memory')\n"
        "d._FunctionCompiler.compile = fail",
        "no executable memory", "portable",
    ),
    "nowhere to write": (
        "import numba.core.caching as c\n"
        "def fail(self): raise PermissionError(13, 'Permission denied')\n"
        "c._CacheLocator.ensure_cache_path = fail",
        "no folder for it can be written", "Numba",
    ),
    "disk full": (
        "import numba.core.caching as c\n"
        "def fail(self, path): raise OSError(28, 'No space left on device')\n"
        "c.IndexDataCacheFile._open_for_write = fail",
        "No space left on device", "Numba",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("before", "reason", "engine"), UNABLE.values(), ids=UNABLE)
def test_one_notice_and_the_same_mask(before, reason, engine, tmp_path):
    code = f"""
import sys, warnings
{before}
import numpy as np, torch
from dropout import MaskKey, functional
from dropout.kernels.engines import serving
from dropout.kernels.many import masked_scale
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    outs = [functional.dropout(torch.ones(64, dtype=t), key=MaskKey(5)) for t in
            (torch.float32, torch.float32, torch.float64)]
    functional.gaussian_dropout(torch.ones(64), 0.5, key=MaskKey(5))
    import dropout.training.sweep
    many = masked_scale(torch.ones(1, 1, 64), np.array([5], np.uint64), np.array([64]),
                        np.array([1 << 15], np.int32), np.array([2], np.float32))
    outs.append(many[0, 0])
print([str(w.message) for w in caught if "dropout" in str(w.message)])
print([out.tolist() for out in outs])
print(serving("cpu"))
"""
    notices, masks, name = run(code, NUMBA_CACHE_DIR=str(tmp_path)).splitlines()
    assert notices.count("dropout ") == 1
    assert reason in notices
    assert masks == str([ones()] * 4)
    assert name.startswith(engine)
    assert engine == "Numba" or reason in name


def test_a_second_process_finds_the_code_compiled():
    code = """
import torch
from dropout.kernels import loops
print(sum(loops.masked_scale(torch.float32).stats.cache_hits.values()))
"""
    run(code)
    assert run(code) == "1\n"


EVERY_LOOP = """
import sys
import numpy as np, torch
from dropout import MaskKey, functional
from dropout.kernels.many import masked_scale
found, key = [], MaskKey(1)
for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
    x = torch.arange(1, 3001).to(dtype)
    found += [functional.dropout(x, key=key), functional.gaussian_dropout(x, key=key)]
for dtype in (torch.float64, torch.float32):
    seeds, scales = np.array([5], np.uint64), np.array([2], str(dtype)[6:])
    x, limits = torch.ones(1, 1, 64, dtype=dtype), np.array([1 << 15], np.int32)
    found.append(masked_scale(x, seeds, np.array([64]), limits, scales)[0, 0])
print([out.double().sum().item() for out in found])
print("numba.np.arraymath" in sys.modules, "scipy.linalg" in sys.modules)
import numba
print(numba.njit(lambda x: np.dot(x, x))(np.arange(3.0)))
"""


def test_kept_code_of_every_loop_runs_without_the_parts_of_numba_that_compile(tmp_path):
    folder = {"NUMBA_CACHE_DIR": str(tmp_path)}
    sums, loaded, product = run(EVERY_LOOP, **folder).splitlines()
    assert (loaded.split()[0], product) == ("True", "5.0")
    # And Numba compiles all the same what comes after it, with all that it knows.
    assert run(EVERY_LOOP, **folder).splitlines() == [sums, "False False", product]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_waits_for_a_thread_that_imports_the_engine():
    code = """
import os, signal, sys, threading, warnings
warnings.simplefilter("ignore")  # on forks of a process with threads
from importlib.abc import MetaPathFinder
import torch
from dropout import MaskKey, functional
importing = threading.Event()
class Slow(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "dropout.kernels.loops" and not importing.is_set():
            importing.set()
            threading.Event().wait(1)
sys.meta_path.insert(0, Slow())
def call():
    return functional.dropout(torch.ones(64), key=MaskKey(5)).tolist()
thread = threading.Thread(target=call)
thread.start()
importing.wait()
child = os.fork()
if not child:
    signal.alarm(30)
    print(call(), flush=True)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
thread.join()
"""
    assert run(code) == f"{ones()}\n0\n"
