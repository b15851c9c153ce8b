"""A reader who changes a rate sees the statement hold: formula cells are run at other rates."""

import pytest

from tests.notebooks import normalise, rates

NOTEBOOKS = [path for path in normalise.notebooks() if rates.formula_cells(path)]


def test_there_are_formula_cells():
    assert NOTEBOOKS


@pytest.mark.parametrize("values", rates.VALUES, ids=str)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_formulas_hold_at_other_rates(path, values):
    assert rates.failures(path, values) == []
