"""The package may be loaded again, as notebooks, servers and test runners do."""

import subprocess
import sys
from os import environ, pathsep

import pytest

AGAIN = {
    "op": "importlib.reload(dropout.op)",
    "each in turn": """
for name in [name for name in sys.modules if name.partition(".")[0] == "dropout"]:
    importlib.reload(sys.modules[name])
""",
    "anew": """
for name in [name for name in sys.modules if name.partition(".")[0] == "dropout"]:
    del sys.modules[name]
import dropout.nn
""",
    "anew, and the old ones are gone": """
for name in [name for name in sys.modules if name.partition(".")[0] == "dropout"]:
    del sys.modules[name]
del dropout
gc.collect()
import dropout.nn
gc.collect()
""",
}
USE = """
import gc, importlib, sys, warnings
import torch
import dropout.nn
warnings.simplefilter("ignore")  # PyTorch's, on first use of its compiler

def use():
    key, x = dropout.MaskKey(7), torch.ones(4, 8, requires_grad=True)
    found = []
    for layer in (dropout.nn.Dropout(0.5, key=key), dropout.nn.GaussianDropout(0.5, key=key)):
        compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
        for f in (layer, compiled, torch.func.vmap(layer), torch.func.vmap(torch.func.grad(
                lambda row: layer(row).sum()))):
            found.append(f(x).detach())
        found.append(torch.autograd.grad(compiled(x).sum(), x)[0])
    torch.manual_seed(1)
    drawn = dropout.nn.Dropout(0.5)
    found += [drawn(x).detach(), torch.compile(drawn, backend="aot_eager", fullgraph=True)(x)]
    return found

before = use()
for _ in range(2):
    torch._dynamo.reset()
    exec(again)
    assert all(map(torch.equal, use(), before))
print(len(before))
"""


@pytest.mark.parametrize("again", AGAIN.values(), ids=AGAIN)
def test_loaded_again_it_draws_the_same(again):
    environment = environ | {"PYTHONPATH": pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", f"again = {again!r}\n{USE}"],
        capture_output=True, text=True, env=environment, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "12\n"
