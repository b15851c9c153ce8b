"""PyTorch may rename what it keeps for itself: without any one of its names the library serves."""

import ast
import re
import subprocess
import sys
from os import environ, pathsep
from pathlib import Path

import pytest
import torch

import dropout.torch_private

LIBRARY = Path(dropout.torch_private.__file__).parent
TESTS = Path(__file__).parent
NAMES = re.findall(r'_found\(\s*"([^"]+)"', (LIBRARY / "torch_private.py").read_text())
# What PyTorch gives without `warnings`: operators, gradients of all modes, views, torch.func.
CORE = ["test_op.py", "test_op_torch.py"]
SLOW = "not compile and not export and not tracing and not budget and not jit"

WITHOUT = """
import pkgutil, sys
import pytest

resolve, gone, tried = pkgutil.resolve_name, sys.argv[1], []

def without(name):
    if name == gone:
        tried.append(name)
        raise AttributeError(name)
    return resolve(name)

class Import:
    def pytest_sessionstart(self):
        pkgutil.resolve_name = without
        import dropout.torch_private
        pkgutil.resolve_name = resolve
        assert tried == [gone], tried

sys.exit(pytest.main(sys.argv[2:], plugins=[Import()]))
"""


@pytest.mark.unchecked
@pytest.mark.parametrize("name", NAMES)
def test_without_a_name_of_pytorchs_own_the_library_serves(name):
    options = ["-q", "-p", "no:cacheprovider", "-k", SLOW, *(str(TESTS / file) for file in CORE)]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, name, *options],
        capture_output=True, text=True, timeout=300, cwd=TESTS.parent,
        env=environ | {"PYTHONPATH": pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


OWNERS = (
    torch, torch._C, torch.Tensor, torch.nn.Module(), torch.nn.LSTM(1, 1), torch.autograd.Function,
    torch.library.Library, torch.ops.aten.relu.default, torch.optim.SGD,
)  # fmt: skip
PYTORCHS = {name for owner in OWNERS for name in dir(owner) if re.match("_[a-zA-Z]", name)}


def private(module: ast.Module) -> set[str]:
    """The names of PyTorch's own that a module imports, or reads of any object."""
    found = set()
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch":
            path = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            found |= {part for part in path if part.startswith("_")}
        elif isinstance(node, ast.Attribute) and node.attr in PYTORCHS:
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and node.value in PYTORCHS:
            found.add(node.value)
    return found


def test_pytorchs_own_names_stand_in_one_file():
    """But for the module where PyTorch documents its TorchDispatchMode."""
    elsewhere = {
        str(path.relative_to(LIBRARY)): names
        for path in LIBRARY.rglob("*.py")
        if path.name != "torch_private.py"
        if (names := private(ast.parse(path.read_text())) - {"_python_dispatch"})
    }
    assert elsewhere == {}
