"""Run the cells that are tagged `any-rate` at other rates and other numbers of units.

python tests/notebooks/rates.py chapters/03_inverted_scaling.ipynb
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # so that it also runs as a file

from tests.notebooks.cells import Cell, assertions, code_cells, run, slice_for

TAG = "any-rate"
VALUES = (*({"p": p} for p in (0.1, 0.2, 0.3, 0.7, 0.8)), {"p": 0.3, "n": 5}, {"p": 0.7, "n": 9})


def formula_cells(path: Path) -> list[Cell]:
    """The cells of a notebook whose point is a formula."""
    return [cell for cell in code_cells(path) if TAG in cell.tags]


def failures(path: Path, values: dict[str, float]) -> list[str]:
    """What does not hold at these values: each assertion that fails, each cell that stops."""
    cells, found = code_cells(path), []
    for cell in formula_cells(path):
        needed = slice_for(cells, cell)
        try:
            checks = run(needed, values=values, checked=lambda each, cell=cell: each is cell)
        except Exception as error:
            found.append(f"cell {cell.number} at {values}: {type(error).__name__}: {error}")
            continue
        tests = assertions(cell)
        found += [
            f"cell {cell.number} at {values}: assert {tests[count]}"
            for (_, count), held in checks.held.items()
            if not held
        ]
    return found


if __name__ == "__main__":
    found = [fault for path in sys.argv[1:] for v in VALUES for fault in failures(Path(path), v)]
    print("\n".join(found) or "every formula holds at every rate")
    sys.exit(bool(found))
