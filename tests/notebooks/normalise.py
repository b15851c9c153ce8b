"""Execute notebooks and store them in normal form: text outputs only, the same bytes every time.

    python tests/notebooks/normalise.py [--check] [notebook ...]

The default is every notebook of the book. With --check nothing runs and nothing is written: the
notebooks that are not in normal form are listed.
"""

import argparse
import platform
import re
import sys
from itertools import zip_longest
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.reader import NotJSONError
from nbval.plugin import get_sanitize_patterns

ROOT = Path(__file__).parents[2]
SANITISER = get_sanitize_patterns(Path(__file__).with_name("sanitise.cfg").read_text())
# As JupyterLab writes them: it would call a notebook changed as soon as it is opened.
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}


class NotebookError(Exception):
    """What is wrong with a notebook, with its path and, where there is one, the cell."""


def notebooks() -> list[Path]:
    """The notebooks of the book."""
    return sorted([*ROOT.glob("chapters/*.ipynb"), *ROOT.glob("book/*.ipynb")])


def read(path: Path) -> NotebookNode:
    """The notebook in a file. Raises NotebookError where there is none."""
    try:
        notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
        nbformat.validate(notebook)
    except (OSError, UnicodeDecodeError, NotJSONError, nbformat.ValidationError) as error:
        raise NotebookError(f"{path}: no notebook: {error}") from None
    return notebook


def code_cells(notebook: NotebookNode) -> list[tuple[int, NotebookNode]]:
    """The code cells, counted from 1, as In [1] counts them."""
    return list(enumerate((c for c in notebook.cells if c.cell_type == "code"), start=1))


# ---- normal form ------------------------------------------------------------------------------


def sanitise(text: str) -> str:
    """The text without what differs from run to run, as nbval compares it."""
    for pattern, replacement in SANITISER:
        text = re.sub(pattern, replacement, text)
    return text


def normal_outputs(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """The outputs as text: streams joined, pictures and markup dropped, tracebacks emptied."""
    normal = []
    for output in outputs:
        if output.output_type == "stream":
            if normal and normal[-1].get("name") == output.name:
                normal[-1].text += output.text
                continue
            fields = {"name": output.name, "text": output.text}
        elif output.output_type == "error":
            fields = {"ename": output.ename, "evalue": output.evalue, "traceback": []}
        else:
            text = {k: v for k, v in output.data.items() if k == "text/plain"}
            fields = {"data": text, "metadata": {}}
            if output.output_type == "execute_result":
                fields["execution_count"] = None
        normal.append(nbformat.from_dict({"output_type": output.output_type, **fields}))
    for output in normal:
        if "text" in output:
            output.text = sanitise(output.text)
        elif "data" in output:
            output.data = nbformat.from_dict({k: sanitise(v) for k, v in output.data.items()})
    return normal


def normal_text(notebook: NotebookNode) -> str:
    """The notebook in normal form, as its file's text."""
    cells = []
    for cell in notebook.cells:
        cell = nbformat.from_dict(cell)
        cell.metadata = {k: v for k, v in cell.metadata.items() if k in ("tags", "mystnb")}
        if "hide-input" in cell.metadata.get("tags", []):
            cell.metadata["jupyter"] = {"source_hidden": True}  # JupyterLab folds it away too
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = normal_outputs(cell.outputs)
        cells.append(cell)
    # The version is that of the last run, or of any run where the file does not say.
    stored = notebook.metadata.get("language_info", {}).get("version", "")
    version = stored if re.fullmatch(r"3(\.\d+)+", stored) else platform.python_version()
    metadata = {"kernelspec": KERNEL, "language_info": LANGUAGE | {"version": version}}
    normal = nbformat.from_dict(
        {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    )
    return nbformat.writes(normal) + "\n"


# ---- execution --------------------------------------------------------------------------------


def execute(path: Path) -> NotebookNode:
    """The notebook after a run from a fresh kernel, in its own folder as nbval and myst-nb do."""
    notebook = read(path)
    started = []
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name=KERNEL["name"],
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_start=lambda cell, cell_index: started.append(cell),
    )
    try:
        client.execute()
    except CellExecutionError as error:
        raise cell_error(path, notebook, started[-1], f"{error.ename}: {error.evalue}") from None
    except (CellTimeoutError, DeadKernelError) as error:
        raise cell_error(path, notebook, started[-1], str(error)) from None
    for _, cell in code_cells(notebook):
        for output in cell.outputs:
            if output.get("name") == "stderr":
                raise cell_error(path, notebook, cell, f"wrote to stderr:\n{output.text}")
            if "data" in output and "text/plain" not in output.data:
                raise cell_error(path, notebook, cell, "shows what has no text to compare")
    return notebook


def cell_error(path: Path, notebook: NotebookNode, cell: NotebookNode, fault: str) -> NotebookError:
    """The error that names a cell by its number and source."""
    number = next(n for n, c in code_cells(notebook) if c is cell)
    return NotebookError(f"{path}: code cell {number}: {fault}\nThe cell:\n{cell.source}")


def normalise(path: Path) -> bool:
    """Execute a notebook and store it in normal form; whether the file had to change."""
    text = normal_text(execute(path))
    if text == path.read_text(encoding="utf-8"):
        return False
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8", newline="\n")
    part.replace(path)
    return True


# ---- command ----------------------------------------------------------------------------------


def fault(path: Path) -> str | None:
    """Where a file first differs from what normalising would store, if it does."""
    normal, stored = normal_text(read(path)), path.read_text(encoding="utf-8")
    if stored == normal:
        return None
    lines = zip_longest(stored.split("\n"), normal.split("\n"))
    number, (old, new) = next(n for n in enumerate(lines, start=1) if n[1][0] != n[1][1])
    return f"{path}:{number}: not in normal form: {old!r} should be {new!r}; run `make notebooks`"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="list what is not in normal form")
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all of the book")
    options = parser.parse_args(arguments)
    failed = False
    for path in options.notebooks or notebooks():
        try:
            if options.check:
                found = fault(path)
            else:
                found = None
                print(f"{path}: {'written' if normalise(path) else 'unchanged'}", flush=True)
        except NotebookError as error:
            found = error
        if found:
            failed = True
            print(found, file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
