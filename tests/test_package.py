"""What comes with the package where it is installed, and what it needs there."""

import os
import re
import subprocess
import sys
import tomllib
from itertools import chain

from tests.conftest import PIN, REQUIREMENTS

ROOT = REQUIREMENTS.parent
PACKAGE = ROOT / "lib/dropout"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_file_of_the_library_is_installed_and_with_them_that_it_is_typed():
    data = PROJECT["tool"]["setuptools"]["package-data"]
    folders = {name: ROOT.joinpath("lib", *name.split(".")) for name in data}
    patterns = [(folders[name], pattern) for name, each in data.items() for pattern in each]
    named = {path for folder, pattern in patterns for path in folder.glob(pattern)}
    files = {path for path in PACKAGE.rglob("*") if path.is_file()}
    files = {path for path in files if path.parent.name != "__pycache__"}
    packages = {path.parent for path in files if path.name == "__init__.py"}
    assert {path.parent for path in files if path.suffix == ".py"} == packages
    assert {path for path in files if path.suffix != ".py"} == named
    assert PACKAGE / "py.typed" in named


def test_whatever_the_package_or_an_extra_needs_has_a_pin():
    project = PROJECT["project"]
    needs = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    names = {re.match(r"[\w.-]+", need)[0] for need in needs}
    assert names == {name for name, _ in PIN.findall(REQUIREMENTS.read_text().split("# Trans")[0])}


def test_the_library_needs_no_package_of_the_books():
    code = """
import sys
for name in ("IPython", "matplotlib", "pandas", "scipy", "sklearn", "statsmodels", "sympy"):
    sys.modules[name] = None
import torch
import dropout.bayes, dropout.functional, dropout.nn, dropout.reference, dropout.seeding
import dropout.__main__, dropout.training.sweep
print(dropout.functional.dropout(torch.ones(4), key=dropout.MaskKey(1)).tolist())
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "[0.0, 2.0, 0.0, 2.0]\n", done.stderr
