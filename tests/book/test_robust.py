"""The stored count of how often each assertion held is that of the present chapters, and enough."""

import pytest

from dropout.experiments import read
from tests.notebooks import cells, normalise, robust

STORED = read("robust")["notebooks"]


@pytest.mark.parametrize("path", normalise.notebooks(), ids=lambda path: path.stem)
def test_the_count_is_of_the_present_code(path):
    found = STORED.get(path.stem, {}).get("digest")
    assert found == cells.digest(cells.code_cells(path)), "run `make robust`"


@pytest.mark.parametrize("name", STORED)
def test_every_assertion_holds_in_19_of_20(name):
    row = STORED[name]
    assert row["shifts"] >= robust.SHIFTS
    weak = [r for r in row["assertions"] if r["held"] < robust.NEEDED * row["shifts"]]
    assert weak == []
