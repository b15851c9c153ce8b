"""What Triton makes of the kernel for a GPU can be read without one."""

import os
import re
import subprocess
import sys

import pytest

# In a process of its own, which no interpreter of Triton's has been chosen for.
CODE = """
import sys
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from dropout.kernels.cuda import TILE, _masked_scale as kernel

dtype = sys.argv[1]
keyed = dict(seed="i64", stream="i64", step="i64", threshold="i32")
numbers = dict.fromkeys(("scale", "shift", "dropped", "first", "width"), "i64")
general = dict(outer=("i64",) * 8, **dict.fromkeys(("wx", "wo", "share", "sx", "so"), "i64"))
row = dict(outer=(), wx=1, wo=1, share=1, sx="i32", so="i32")
for layout, fixed in (
    (general, dict(COINS=TILE // 4, SHARE=4, ALIGNED=False)),
    (row, dict(COINS=TILE, SHARE=1, ALIGNED=True)),
):
    pointers = dict(x=f"*{dtype}", out=f"*{dtype}")
    signature = pointers | keyed | numbers | layout | fixed
    constants = {n: t for n, t in signature.items() if isinstance(t, (bool, int))}
    signature |= dict.fromkeys(constants, "constexpr")
    even = ("x", "out", "first", "width", "sx", "so") if layout is row else ()
    attributes = {(kernel.arg_names.index(n),): [["tt.divisibility", 16]] for n in even}
    source = ASTSource(kernel, signature, constants, attributes)
    target = GPUTarget("cuda", 90, 32)
    print(compile(source, target, {"enable_fp_fusion": False}).asm["ptx"], "=" * 80)
"""


@pytest.mark.parametrize("dtype", ["fp64", "fp32", "bf16", "fp16"])
def test_the_kernel_rounds_as_the_cpu_does_and_moves_16_bytes_at_a_time(dtype, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path), "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", CODE, dtype],
        capture_output=True, text=True, env=environment, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    general, row, _ = done.stdout.split("=" * 80)
    exact = "f64" if dtype == "fp64" else "f32"
    for code in (general, row):
        assert f"mul.rn.{exact}" in code
        assert f"add.rn.{exact}" in code
        assert not re.search(r"\bfma\b|\.ftz\b", code)  # fused, or subnormals flushed to zero
    wide = r"\.global\.v(2\.b64|4\.b32)"
    assert re.search("ld" + wide, row)
    assert re.search("st" + wide, row)
