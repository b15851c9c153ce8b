"""The stored notebooks: in normal form, every output compared, every figure described."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tests.notebooks import normalise, rules

ALT = "Two curves that part after ten epochs, the lower for training."
SEEN = {
    "image": {"alt": ALT},
    "figure": {"caption": "The mean of five seeds.", "name": "fig-curves"},
}


def store(path: Path, *cells) -> Path:
    """Write cells, code where only a source is given, as a notebook in normal form."""
    cells = [new_code_cell(c) if isinstance(c, str) else c for c in cells]
    path.write_text(normalise.normal_text(new_notebook(cells=cells)), encoding="utf-8")
    return path


def printed(source: str, text: str, **metadata):
    """A code cell that printed text."""
    output = new_output("stream", name="stdout", text=text)
    return new_code_cell(source, outputs=[output], metadata=metadata)


def shown(source: str, text: str, **metadata):
    """A code cell that showed something with a text/plain form."""
    output = new_output("display_data", {"text/plain": text})
    return new_code_cell(source, outputs=[output], metadata=metadata)


# ---- the book's notebooks -----------------------------------------------------------------------


def test_there_are_notebooks():
    assert normalise.notebooks()


@pytest.mark.parametrize("path", normalise.notebooks(), ids=lambda path: path.stem)
def test_notebook_is_in_normal_form(path):
    assert normalise.fault(path) is None


@pytest.mark.parametrize("path", normalise.notebooks(), ids=lambda path: path.stem)
def test_notebook_keeps_the_rules(path):
    cells = normalise.code_cells(normalise.read(path))
    found = [f"code cell {n}: {fault}" for n, cell in cells for fault in rules.faults(cell)]
    assert found == []


# ---- the rules ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell",
    [
        printed("print(1)", "1\n"),
        shown("plt.show()", "<Figure size 640x480 with 1 Axes>", mystnb=SEEN),
        new_code_cell("ax.legend(fontsize=8.5, markersize=2)"),
        shown("table", "0" * 100),
        new_code_cell("1 / 0", metadata={"tags": ["raises-exception"]}),
        new_code_cell(
            "# Not compared: it tells the date of the run\nprint(today)",
            metadata={"tags": ["nbval-ignore-output"]},
        ),
        new_code_cell("\n".join(["x = 1"] * 15 + ["# a comment"] * 5)),
        new_code_cell("np.arange(2)", metadata={"tags": ["hide-input"]}),
        new_code_cell('figures.live("band", T=3)', metadata={"tags": ["live"]}),
    ],
)
def test_a_good_cell_has_no_fault(cell):
    assert rules.faults(cell) == []


FIGURE = "<Figure size 640x480 with 1 Axes>"


@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        (new_code_cell("# NBVAL_IGNORE_OUTPUT\nprint(1)"), "NBVAL_IGNORE_OUTPUT.* not allowed"),
        (new_code_cell("# NBVAL_SKIP\nprint(1)"), "NBVAL_SKIP.* not allowed"),
        (new_code_cell("1", metadata={"tags": ["nbval-skip"]}), "nbval-skip.* not allowed"),
        (new_code_cell("1", metadata={"tags": ["nbval-ignore-output"]}), "needs a first line"),
        (
            new_code_cell("# Not compared: time\n1", metadata={"tags": ["nbval-ignore-output"]}),
            "needs a first line",
        ),
        (printed("print(f)", "<function f at 0x7f48ae8d5260>\n"), "shows an address"),
        (shown("f", "[<Line2D object at 0x7f48ae8d5260>]"), "shows an address"),
        (shown("plt.show()", FIGURE, mystnb={"figure": SEEN["figure"]}), "alt must tell"),
        (shown("plt.show()", FIGURE, mystnb=SEEN | {"image": {"alt": "2"}}), "alt must tell"),
        (shown("plt.show()", FIGURE, mystnb={"image": {"alt": ALT}}), "caption must say"),
        (
            shown("plt.show()", FIGURE, mystnb=SEEN | {"figure": {"caption": "0" * 20}}),
            "name must begin with fig-: None",
        ),
        (shown("plt.show()", FIGURE * 2, mystnb=SEEN), "2 figures in one cell"),
        (new_code_cell("ax.legend(fontsize=8, title='c')"), "text of 8 points"),
        (new_code_cell("ax.tick_params(labelsize = 6.5)"), "text of 6.5 points"),
        (printed("print(1)", "0\n" + "0" * 79), "prints 79 columns, at most 78"),
        (new_code_cell("\n".join(["x = 1"] * 16)), "16 lines, 16 of them code"),
        (new_code_cell("\n".join(["x = 1"] + ["# a comment"] * 20)), "21 lines, 1 of them code"),
        (new_code_cell("x = " + "1" * 85), "89 columns, at most 88"),
        (new_code_cell('figures.live("band")'), "stands alone in a cell with the tag live"),
        (new_code_cell("p = 1", metadata={"tags": ["live"]}), "stands alone in a cell"),
        (
            new_code_cell('p = 1\nfigures.live("band")', metadata={"tags": ["live"]}),
            "stands alone in a cell",
        ),
    ],
)
def test_a_bad_cell_has_one_fault(cell, fault):
    (found,) = rules.faults(cell)
    assert re.search(fault, found)


# ---- normal form --------------------------------------------------------------------------------


def test_normal_form_is_its_own_normal_form(tmp_path):
    path = store(tmp_path / "a.ipynb", new_markdown_cell("# A"), printed("print(1)", "1\n"))
    assert normalise.fault(path) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"execution_count": null', '"execution_count": 3'),
        ('"metadata": {}', '"metadata": {"collapsed": true}'),
        ('"name": "python"', '"name": "python", "help": "none"'),
        ('"version": "3.', '"version": "2.'),
        ("Python 3 (ipykernel)", "Python 3"),
        ("}\n", "}"),
        (' "nbformat"', '  "nbformat"'),
        ("0.5\\n", "0.5 took 3.1 ms\\n"),
    ],
)
def test_what_is_not_in_normal_form_is_found(tmp_path, old, new):
    path = store(tmp_path / "a.ipynb", printed("print(0.5)", "0.5\n"))
    text = path.read_text(encoding="utf-8")
    head, _, tail = text.rpartition(old)
    path.write_text(head + new + tail, encoding="utf-8")
    assert path.read_text(encoding="utf-8") != text
    assert "not in normal form" in normalise.fault(path)


RICH = """
class Rich:
    def _repr_mimebundle_(self, **_):
        kinds = "text/html", "text/latex", "image/svg+xml", "image/png"
        return {"text/plain": "rich"} | dict.fromkeys(kinds, "aGk=")
"""


def test_normalising_stores_text_and_the_second_time_nothing(tmp_path):
    path = store(
        tmp_path / "a.ipynb",
        RICH,
        "display(Rich())\nRich()",
        "import sys\nfor i in range(3):\n    print(i, 'took 3.25 ms')\n    sys.stdout.flush()",
        "import pathlib\nprint(pathlib.Path.cwd())",
        new_code_cell("1 / 0", metadata={"tags": ["raises-exception"], "collapsed": True}),
        new_code_cell("x = 1", metadata={"mystnb": SEEN}),
        new_code_cell("x = 1", metadata={"tags": ["hide-input"]}),
    )
    assert normalise.normalise(path)
    stored = path.stat()
    assert not normalise.normalise(path)
    assert path.stat().st_mtime_ns == stored.st_mtime_ns
    cells = [cell for _, cell in normalise.code_cells(normalise.read(path))]
    assert [o.data for o in cells[1].outputs] == [{"text/plain": "rich"}] * 2
    assert rules.texts(cells[2]) == ["".join(f"{i} took <time>\n" for i in range(3))]
    assert rules.texts(cells[3]) == [f"{tmp_path}\n"]
    assert cells[4].metadata == {"tags": ["raises-exception"]}
    assert cells[5].metadata == {"mystnb": SEEN}
    folded = {"tags": ["hide-input"], "jupyter": {"source_hidden": True}}
    assert cells[6].metadata == folded
    (error,) = cells[4].outputs
    assert (error.ename, error.evalue, error.traceback) == (
        "ZeroDivisionError",
        "division by zero",
        [],
    )


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("x = [1]\nx[2]", "IndexError: list index out of range"),
        ("import warnings\nwarnings.warn('old')", "wrote to stderr"),
        ("display({'text/html': 'x'}, raw=True)", "has no text"),
    ],
)
def test_a_failing_cell_is_named_and_nothing_is_written(tmp_path, capsys, source, fault):
    path = store(tmp_path / "a.ipynb", "print('fine')", source)
    before = path.read_text(encoding="utf-8")
    assert normalise.main([str(path)]) == 1
    message = capsys.readouterr().err
    assert fault in message
    assert f"{path}: code cell 2" in message
    assert source in message
    assert path.read_text(encoding="utf-8") == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.ipynb"]


@pytest.mark.unchecked
@pytest.mark.parametrize("text", ["", "no json", "{}", '{"nbformat": 4, "nbformat_minor": 5}'])
def test_a_file_that_is_no_notebook_is_named(tmp_path, capsys, text):
    path = tmp_path / "a.ipynb"
    path.write_text(text)
    assert normalise.main(["--check", str(path), str(tmp_path / "none.ipynb")]) == 1
    message = capsys.readouterr().err
    assert f"{path}: no notebook" in message
    assert "none.ipynb: no notebook" in message


# ---- nbval with the book's settings -------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("epoch took 12.3 ms\n", "epoch took 4 s\n"),
        ("device: cpu\n", "device: cuda (NVIDIA H200)\n"),
    ],
)
def test_times_and_devices_are_not_compared(text, same):
    assert normalise.sanitise(text) == normalise.sanitise(same)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("loss 0.3 ms", "loss 0.4 ms"),
        ("took 3 steps", "took 4 steps"),
        ("took 3.2 ms, loss 0.3", "took 3.2 ms, loss 0.4"),
        ("device: cpu\nloss 0.3", "device: cpu\nloss 0.4"),
        ("device: cpu, loss 0.3", "device: cpu, loss 0.4"),
        ("device: cpu (loss 0.3)", "device: cpu (loss 0.4)"),
    ],
)
def test_no_result_hides_behind_a_time_or_a_device(text, other):
    assert normalise.sanitise(text) != normalise.sanitise(other)


CELLS = {  # whether nbval should pass each
    "equal": (printed("print(0.25)", "0.25\n"), True),
    "a digit changed": (printed("print(0.25)", "0.26\n"), False),
    "output not stored": (new_code_cell("print(0.25)"), False),
    "stored output gone": (printed("x = 1", "1\n"), False),
    "definition": (new_code_cell(RICH), True),
    "rich, text equal": (shown("Rich()", "rich"), True),
    "rich, text changed": (shown("Rich()", "poor"), False),
    "rich, not stored": (new_code_cell("Rich()"), False),
    "one of two stored": (shown("display(Rich(), Rich())", "rich"), False),
    "time": (printed("print('took 3 ms: 0.25')", "took <time>: 0.25\n"), True),
    "beside a time": (printed("print('took 3 ms: 0.25')", "took <time>: 0.26\n"), False),
    "stderr": (new_code_cell("import sys\nprint('x', file=sys.stderr)"), False),
    "error": (new_code_cell("1 / 0"), False),
    "error with the tag, not stored": (
        new_code_cell("1 / 0", metadata={"tags": ["raises-exception"]}),
        False,
    ),
    "tag that ignores": (printed("print(2)", "1\n", tags=["nbval-ignore-output"]), True),
    "comment with a reason": (printed("# NBVAL_IGNORE_OUTPUT: slow\nprint(2)", "1\n"), False),
}


@pytest.fixture(scope="module")
def passed(tmp_path_factory) -> dict[str, bool]:
    """Whether nbval, run with the settings of pyproject.toml, passes each of CELLS."""
    path = store(
        tmp_path_factory.mktemp("nbval") / "a.ipynb", *(cell for cell, _ in CELLS.values())
    )
    settings = ["-c", "pyproject.toml", "-p", "no:cacheprovider", "-rA", "-q", "--color=no"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *settings, f"--rootdir={path.parent}", path],
        cwd=normalise.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"^(PASSED|FAILED) .*::Cell (\d+)", run.stdout, re.MULTILINE)
    assert len(found) == len(CELLS), run.stdout + run.stderr
    verdicts = {int(number): verdict == "PASSED" for verdict, number in found}
    return {name: verdicts[number] for number, name in enumerate(CELLS)}


@pytest.mark.parametrize("name", CELLS)
def test_nbval_passes_what_is_equal_and_nothing_else(passed, name):
    assert passed[name] == CELLS[name][1]
