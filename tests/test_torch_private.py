"""PyTorch may rename what it keeps for itself: without any one of its names the library serves."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import dropout.torch_private
from dropout import MaskKey, dispatch, nn
from dropout.bayes import predict

LIBRARY = Path(dropout.torch_private.__file__).parent
TESTS = Path(__file__).parent
NAMES = re.findall(r'_found\(\s*"([^"]+)"', (LIBRARY / "torch_private.py").read_text())
# What PyTorch gives without `warnings`: operators, gradients of all modes, views, torch.func.
CORE = ["test_op.py", "test_op_torch.py"]
# What compiles is slow, and the two last are what a name buys: one count, and seeds in checkpoints.
CHOICE = (
    "not compile and not export and not tracing and not budget and not counts_as_one "
    "and not drawing_of_seeds"
)
# What PyTorch checks of the operator takes longer than all else. It meets only the names by which
# the operator is reached: not those for views, memory, vmap's wrappers and the drawing of seeds.
RULES = "tests/test_op.py::test_the_operator_keeps_pytorchs_rules"
REACHING = [
    "torch._C:_are_functorch_transforms_active", "torch._C:_len_torch_dispatch_stack",
    "torch._C:_has_storage", "torch.autograd:forward_ad", "torch._C:_FunctionBase.apply",
]  # fmt: skip

# What takes long to import is imported once, and a process for each name goes on from there.
WITHOUT = """
import os, pkgutil, sys, traceback
from pathlib import Path
import matplotlib, numba, pytest, torch, torch._dynamo

folder, names, reaching = Path(sys.argv[1]), sys.argv[2].split(), sys.argv[3].split()
rules, options = sys.argv[4], sys.argv[5:]
resolve = pkgutil.resolve_name

class Import:
    def __init__(self, gone):
        self.gone, self.tried = gone, []

    def without(self, name):
        if name == self.gone:
            self.tried.append(name)
            raise AttributeError(name)
        return resolve(name)

    def pytest_sessionstart(self):
        pkgutil.resolve_name = self.without
        import dropout.torch_private
        pkgutil.resolve_name = resolve
        assert self.tried == [self.gone], self.tried

for place, name in enumerate(names):
    if not (child := os.fork()):
        with open(folder / f"{place}", "w") as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
        try:
            left_out = [] if name in reaching else ["--deselect", rules]
            code = pytest.main([*options, *left_out], plugins=[Import(name)])
        except BaseException:
            code = traceback.print_exc() or 1
        sys.stdout.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    """For each name, the exit status of the tests that ran without it, and what they printed."""
    if not hasattr(os, "fork"):
        pytest.skip("this system does not fork")
    folder = tmp_path_factory.mktemp("without")
    options = ["-q", "-p", "no:cacheprovider", "-k", CHOICE, *(str(TESTS / file) for file in CORE)]
    names, reaching = " ".join(NAMES), " ".join(REACHING)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, folder, names, reaching, RULES, *options],
        capture_output=True, text=True, timeout=300 * len(NAMES), cwd=TESTS.parent,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    codes = map(int, done.stdout.split())
    said = [(folder / f"{place}").read_text() for place in range(len(NAMES))]
    return dict(zip(NAMES, zip(codes, said, strict=True), strict=True))


@pytest.mark.unchecked
@pytest.mark.parametrize("name", NAMES)
def test_without_a_name_of_pytorchs_own_the_library_serves(without, name):
    assert set(REACHING) < set(NAMES)
    code, said = without[name]
    assert code == 0, said[-3000:]


@pytest.mark.unchecked
def test_seeds_are_refused_in_compiled_code_where_checkpoints_cannot_save_them(monkeypatch):
    monkeypatch.setattr(dispatch, "_is_saved", False)
    x = torch.ones(8)
    keyed, drawn = nn.Dropout(0.5, key=MaskKey(1)), nn.Dropout(0.5)
    assert torch.equal(torch.compile(keyed, backend="aot_eager")(x), keyed(x))
    with pytest.raises(RuntimeError, match="compiled by this PyTorch: give it a key"):
        torch.compile(drawn, backend="aot_eager", fullgraph=True)(x)


class Renormalises(torch.nn.Linear):
    def forward(self, x):
        with torch.no_grad():
            self.weight.div_(self.weight.norm())
        return super().forward(x)


def test_an_operator_without_a_schema_writes_if_its_name_says_so(monkeypatch):
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), nn.Dropout(0.5), Renormalises(4, 2))
    x, weights = torch.ones(3, 4), [p.clone() for p in model.parameters()]
    expected = predict(model, x, 5, key=MaskKey(1))
    monkeypatch.setattr(dropout.torch_private, "SCHEMA", "gone")
    assert torch.equal(predict(model, x, 5, key=MaskKey(1)), expected)
    assert all(map(torch.equal, model.parameters(), weights))


def test_a_layer_that_does_not_tell_of_its_hooks_is_taken_to_have_some(monkeypatch):
    layer = nn.DropConnect(torch.nn.Linear(4, 3), 0.5, key=MaskKey(1))
    expected = layer(torch.ones(2, 4))
    monkeypatch.setattr(dropout.torch_private, "PRE_HOOKS", "gone")
    assert torch.equal(layer(torch.ones(2, 4)), expected)


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
