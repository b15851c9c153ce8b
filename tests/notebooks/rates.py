"""Run the cells that are tagged `any-rate` at other rates and other numbers of units.

python tests/notebooks/rates.py chapters/03_inverted_scaling.ipynb
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # so that it also runs as a file

from tests.notebooks.cells import Cell, Checks, assertions, code_cells, run, slice_for

TAG = "any-rate"
VALUES = {"p": 0.1}, {"p": 0.8}, {"p": 0.3, "n": 5}, {"p": 0.7, "n": 9}


def formula_cells(path: Path) -> list[Cell]:
    """The cells of a notebook whose point is a formula."""
    return [cell for cell in code_cells(path) if TAG in cell.tags]


def failures(path: Path, values: dict[str, float]) -> list[str]:
    """What does not hold at these values: each assertion that fails, and the error that ends it.

    The formula cells run one after the other in one namespace, with what each of them needs.
    """
    formulas, checks, found = formula_cells(path), Checks(), []
    needed = slice_for(code_cells(path), *formulas)
    try:
        run(needed, values=values, checked=formulas.__contains__, checks=checks)
    except Exception as error:
        found.append(f"{path.stem} at {values}: {type(error).__name__}: {error}")
    tests = {cell.number: assertions(cell) for cell in formulas}
    return found + [
        f"cell {number} at {values}: assert {tests[number][count]}"
        for (number, count), held in checks.held.items()
        if not held
    ]


if __name__ == "__main__":
    found = [fault for path in sys.argv[1:] for v in VALUES for fault in failures(Path(path), v)]
    print("\n".join(found) or "every formula holds at every rate")
    sys.exit(bool(found))
