"""The chapters' assertions can fail: each refuses a wrong library or a wrong formula.

A wrong library takes the place of the right one; a wrong formula is typed into the cell that states
it. Then the cells under a label run, with what they need, and an assertion must not hold.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests import rivals
from tests.notebooks import cells, normalise

PATHS = {path.stem: path for path in normalise.notebooks()}


@dataclass(frozen=True)
class Rival:
    """What is wrong, and the label of the chapter's cells that refuse it.

    `library` stands in for `functional.dropout`; `patch` for other names of the library, as
    "module.name"; `change` are pairs of a text in the label's cells and what is typed instead.
    """

    chapter: str
    label: str
    wrong: str
    library: Callable | None = None
    patch: tuple[tuple[str, object], ...] = ()
    change: tuple[tuple[str, str], ...] = ()


RIVALS: list[Rival] = []


def refusals(rival: Rival) -> list[str]:
    """The assertions under the rival's label that do not hold."""
    found = cells.code_cells(PATHS[rival.chapter])
    refused = []
    changed = [change(cell, rival) for cell in found]
    for cell in changed:
        if cell.label == rival.label and cells.assertions(cell):
            needed = cells.slice_for(changed, cell)
            checks = cells.run(needed, checked=lambda each, cell=cell: each is cell)
            tests = cells.assertions(cell)
            refused += [tests[count] for (_, count), held in checks.held.items() if not held]
    return refused


def change(cell: cells.Cell, rival: Rival) -> cells.Cell:
    for old, new in rival.change:
        if cell.label == rival.label and old in cell.source:
            cell = cells.with_change(cell, old, new)
    return cell


@pytest.mark.parametrize("rival", RIVALS, ids=lambda r: f"{r.chapter[:2]}-{r.label}-{r.wrong}")
def test_a_rival_is_refused(rival, monkeypatch):
    sources = [c.source for c in cells.code_cells(PATHS[rival.chapter]) if c.label == rival.label]
    for old, _ in rival.change:
        assert any(old in source for source in sources), f"no cell under {rival.label} has {old!r}"
    if rival.library:
        rivals.install(monkeypatch, rival.library)
    for target, value in rival.patch:
        monkeypatch.setattr(target, value)
    assert refusals(rival)
