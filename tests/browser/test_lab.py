"""JupyterLab, as `make lab` starts it: text reads as on the page, and opening changes nothing."""

import os
import re
import socket
import subprocess
import sys
import time
from urllib.request import urlopen

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tests.notebooks.normalise import normal_text

pytest.importorskip("jupyterlab_myst")
pytestmark = pytest.mark.unchecked

TEXT = r"""# A chapter

(a-label)=
See {ref}`a-label`, {prf:ref}`def-mask`, {doc}`the ledger <../book/ledger>`, {cite}`hinton2012`.

```{prf:definition} A mask
:label: def-mask

Let $p$ be the rate.

$$\tilde h = h / q$$
```

```{prf:proof}
Clear.
```

Claims settled here: {claim}`C10`
"""
CELLS = [
    new_markdown_cell(TEXT),
    new_code_cell("import torch", metadata={"tags": ["hide-input"]}),
    new_code_cell("print(1)"),
    new_code_cell('from dropout import figures\n\nfigures.live("thinned")'),
]
PATIENCE = 120  # seconds, on a slow and busy machine


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab on this machine with one notebook, and the notebook's file."""
    root = tmp_path_factory.mktemp("lab")
    (root / "a.ipynb").write_text(normal_text(new_notebook(cells=CELLS)), "utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    names = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--port={port}", "--ip=127.0.0.1", "--IdentityProvider.token=t", root]
    command += ["--LabApp.news_url=None"]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    with (root / "log").open("w") as log:
        server = subprocess.Popen(
            command,
            env=os.environ | {name: str(root / "own" / name) for name in names},
            stdout=log,
            stderr=log,
        )
    address = f"http://127.0.0.1:{port}/"
    for _ in range(PATIENCE):
        try:
            urlopen(f"{address}api?token=t", timeout=5).close()
            break
        except OSError:
            time.sleep(1)
    yield address, root / "a.ipynb"
    server.terminate()
    server.wait(timeout=30)


@pytest.fixture(scope="module")
def notebook(browser, lab):
    """The page with the notebook open, its kernel idle and its text rendered."""
    address, _ = lab
    page = browser.new_page(viewport={"width": 1280, "height": 1400})
    page.set_default_timeout(PATIENCE * 1000)
    page.goto(f"{address}lab/tree/a.ipynb?token=t&reset")
    page.locator(".jp-MarkdownCell", has_text="Claims settled here").wait_for()
    page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").wait_for()
    page.wait_for_timeout(3000)  # what Lab does once it knows the kernel
    yield page
    page.close()


def test_the_text_reads_as_on_the_page(notebook):
    text = notebook.locator(".jp-MarkdownCell").inner_text()
    assert re.search(r"Definition 1\s*\(A mask\)", text)
    for raw in ("{claim}", "{cite}", "{doc}", "{prf", "{ref}", ":label:", "(a-label)=", "$"):
        assert raw not in text
    assert "C10" in text
    assert "the ledger" in text
    assert notebook.locator(".jp-MarkdownCell .katex").count() >= 2


def test_code_that_the_page_folds_away_is_folded_away(notebook):
    cells = notebook.locator(".jp-CodeCell")
    assert not cells.nth(0).locator(".jp-InputArea-editor").is_visible()
    assert cells.nth(1).locator(".jp-InputArea-editor").is_visible()


def test_a_notebook_that_is_only_opened_is_not_changed(notebook, lab):
    assert not notebook.locator(".jp-mod-dirty").count()
    before = lab[1].read_text("utf-8")
    notebook.locator(".jp-NotebookPanel").first.click()
    notebook.keyboard.press("Control+s")
    notebook.wait_for_timeout(2000)
    assert lab[1].read_text("utf-8").strip() == before.strip()


def test_a_live_figure_lives_when_its_cell_has_run_and_when_the_page_is_loaded_again(notebook, lab):
    """Here, where the notebook was changed and saved: this test comes last."""
    notebook.locator(".jp-CodeCell").nth(2).locator(".cm-content").click()
    notebook.keyboard.press("Shift+Enter")
    said = notebook.locator("figure.live[data-live=on] .live-said")
    said.wait_for()
    assert "5 of 9 units stay" in said.inner_text()
    notebook.get_by_role("button", name="eval()").click()
    notebook.locator(".live-said", has_text="9 of 9 units stay").wait_for()
    notebook.keyboard.press("Control+s")
    notebook.wait_for_function("() => !document.querySelector('.jp-mod-dirty')")
    notebook.reload()
    # It keeps the state that its reader left it in.
    notebook.locator("figure.live[data-live=on] .live-said", has_text="9 of 9").wait_for()
    notebook.get_by_role("button", name="Reset").click()
    notebook.locator(".live-said", has_text="5 of 9 units stay").wait_for()
