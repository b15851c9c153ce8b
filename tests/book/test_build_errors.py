"""A mistake in a page or a notebook fails the build, and the build says where it is."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).parents[2]
COLOUR = re.compile(r"\x1b\[[\d;]*m")
JUPYTER_BOOK = Path(sys.executable).with_name("jupyter-book")
PAGE = """# A page with mistakes

{cite:p}`nobody1999`, {ref}`nowhere`, {claim}`C99`, [a link](no_such_page.md)
"""
TOC = """format: jb-book
root: book/index
chapters:
- file: book/stops
"""
LEDGER = "- {id: C10, source: [T], claim: It holds., verdict: open}\n"

pytestmark = pytest.mark.unchecked


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """The build, with the book's own settings, of a book in which everything goes wrong once."""
    root = tmp_path_factory.mktemp("broken")
    shutil.copy(ROOT / "_config.yml", root)
    shutil.copytree(ROOT / "book/static", root / "book/static")
    for parts in ROOT.glob("book/*_parts.py"):
        shutil.copy(parts, root / "book")
    (root / "_toc.yml").write_text(TOC)
    (root / "book/index.md").write_text(PAGE)
    (root / "book/ledger.yml").write_text(LEDGER)
    (root / "book/references.bib").write_text("")
    stops = new_notebook(cells=[new_markdown_cell("# Stops"), new_code_cell("1 / 0  # here")])
    nbformat.write(stops, root / "book/stops.ipynb")
    command = [JUPYTER_BOOK, "build", root, "-n", "-W", "--keep-going"]
    environment = os.environ | {"IPYTHONDIR": str(root), "JUPYTER_RUNTIME_DIR": str(root)}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.returncode, COLOUR.sub("", done.stdout)


def test_the_build_fails(build):
    returncode, _ = build
    assert returncode == 1


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("book/index.md", 'could not find bibtex key "nobody1999"'),
        ("book/index.md", "undefined label: 'nowhere'"),
        ("book/index.md", "has no claim 'C99'"),
        ("book/index.md", "no_such_page.md"),
        ("book/stops.ipynb", "Executing notebook failed: CellExecutionError"),
    ],
)
def test_each_mistake_is_named_with_its_page(build, page, message):
    _, output = build
    assert any(page in line and message in line for line in output.splitlines()), output


def test_the_failing_cell_is_shown(build):
    _, output = build
    assert "1 / 0  # here" in output
    assert "ZeroDivisionError: division by zero" in output
