"""Cells run one by one: assertions are all heard, rates changed, and what is needed is found."""

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tests.notebooks import cells, normalise, rates, robust


def notebook(path, *parts):
    """A notebook of code cells; a part that begins with '#' or '(' is Markdown."""
    made = [
        new_markdown_cell(part)
        if isinstance(part, str) and part[0] in "#("
        else new_code_cell(part)
        if isinstance(part, str)
        else new_code_cell(part[0], metadata={"tags": [part[1]]})
        for part in parts
    ]
    path.write_text(normalise.normal_text(new_notebook(cells=made)), encoding="utf-8")
    return path


def test_every_assertion_is_heard(tmp_path):
    path = notebook(tmp_path / "a.ipynb", "assert 1 > 2\nassert 2 > 1", "assert [] == [1]")
    assert cells.run(cells.code_cells(path)).held == {(1, 0): False, (1, 1): True, (2, 0): False}


def test_an_assertion_in_a_loop_holds_if_it_always_does(tmp_path):
    path = notebook(tmp_path / "a.ipynb", "for x in (1, 2, 1):\n    assert x < 2")
    assert cells.run(cells.code_cells(path)).held == {(1, 0): False}


def test_what_was_heard_before_an_error_is_kept(tmp_path):
    path, checks = notebook(tmp_path / "a.ipynb", "assert True", "1 / 0"), cells.Checks()
    with pytest.raises(ZeroDivisionError):
        cells.run(cells.code_cells(path), checks=checks)
    assert checks.held == {(1, 0): True}


def test_cells_are_known_by_the_label_above_them(tmp_path):
    path = notebook(tmp_path / "a.ipynb", "(one)=\n## One", "1", "text = 1", "# Two", "2")
    assert [cell.label for cell in cells.code_cells(path)] == ["one", "one", ""]


def test_a_cell_needs_the_last_cells_that_set_its_names(tmp_path):
    path = notebook(
        tmp_path / "a.ipynb",
        "import math\nslow = 1",
        "p = 0.5",
        "def f(x):\n    y = x * p\n    return math.sqrt(y)",
        "y = 3",
        "value = f(2), [y for y in range(3)]",
    )
    found = cells.code_cells(path)
    assert [cell.number for cell in cells.slice_for(found, found[-1])] == [1, 2, 3, 5]


def test_a_change_to_what_a_name_holds_is_needed(tmp_path):
    path = notebook(tmp_path / "a.ipynb", "x = [1]", "x[0] = 2", "print(x)")
    found = cells.code_cells(path)
    assert len(cells.slice_for(found, found[-1])) == 3


@pytest.mark.parametrize("path", normalise.notebooks(), ids=lambda path: path.stem)
def test_no_notebook_imports_what_it_does_not_use(path):
    assert not cells.unused_imports(cells.code_cells(path))


def test_an_unused_import_is_found_and_cells_of_exercises_are_left_out(tmp_path):
    path = notebook(
        tmp_path / "a.ipynb",
        "import a.b, c as d\nfrom e import f, g",
        "a.b.x, f",
        ("import random\nd, g", "exercise"),
    )
    found = cells.code_cells(path)
    assert [cell.number for cell in found] == [1, 2]
    assert cells.unused_imports(found) == {"d", "g"}


def test_the_digest_does_not_see_comments(tmp_path):
    names = [
        cells.digest(cells.code_cells(notebook(tmp_path / "a.ipynb", source)))
        for source in ("x = 1", "x = 1  # one", "x = 2")
    ]
    assert names[0] == names[1] != names[2]


def test_a_number_typed_in_is_found_at_other_rates(tmp_path):
    path = notebook(
        tmp_path / "a.ipynb",
        "p = 0.5",
        ("assert p * 2 == 1", rates.TAG),
        ("assert 1 - p > 0", rates.TAG),
        ("assert p == 0.5", "hide-input"),
    )
    assert rates.failures(path, {"p": 0.1}) == ["cell 2 at {'p': 0.1}: assert p * 2 == 1"]


def test_an_assertion_fitted_to_one_seed_is_found(tmp_path):
    source = "from dropout.training.seeds import seed\nassert seed(3) == 3\nassert seed(3) > 0"
    path = notebook(tmp_path / "fitted.ipynb", source)
    digest = cells.digest(cells.code_cells(path))
    robust.make_runs(path, digest, [1, 2])
    runs = [robust.kept_run(path, digest, shift) for shift in (1, 2)]
    row = robust.table(path, digest, runs)
    assert [found["held"] for found in row["assertions"]] == [0, 2]
