"""Data frames on the page: no style of their own, no numbering, numbers at the right."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup


@pytest.fixture
def tidy(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "book"))
    yield lambda frame: BeautifulSoup(
        __import__("frame_parts").tidy_frame(frame._repr_html_()), "html.parser"
    )
    sys.modules.pop("frame_parts")


def rows(soup) -> list[list[str]]:
    return [[c.get_text(strip=True) for c in row(["th", "td"])] for row in soup("tr")]


FRAME = pd.DataFrame({"rate": [0.1, 0.5], "loss": [-1.25, np.nan], "what": ["mild", "usual"]})


def test_rows_are_not_numbered(tidy):
    assert rows(tidy(FRAME)) == [
        ["rate", "loss", "what"],
        ["0.1", "-1.25", "mild"],
        ["0.5", "NaN", "usual"],
    ]


def test_an_index_with_a_name_stands_in_the_one_row_of_headings(tidy):
    assert rows(tidy(FRAME.set_index("rate"))) == [
        ["rate", "loss", "what"],
        ["0.1", "-1.25", "mild"],
        ["0.5", "NaN", "usual"],
    ]


def test_an_index_that_says_something_stays(tidy):
    named = FRAME.set_index(pd.Index(["a", "b"]))
    assert [row[0] for row in rows(tidy(named))] == ["", "a", "b"]
    counted = FRAME.set_index(pd.RangeIndex(2, name="layer"))
    assert [row[0] for row in rows(tidy(counted))] == ["layer", "0", "1"]
    assert [row[0] for row in rows(tidy(FRAME.set_index(pd.Index([1, 2]))))] == ["", "1", "2"]


def test_columns_of_numbers_are_marked(tidy):
    marked = [cell.get("class") == ["number"] for cell in tidy(FRAME)("th")]
    assert marked == [True, True, False]


def test_nothing_of_pandas_own_style_is_left(tidy):
    soup = tidy(FRAME)
    assert not soup("style")
    assert not [tag for tag in soup(True) if tag.get("style") or tag.get("border")]


def test_headings_over_several_columns_stay(tidy):
    wide = pd.concat({"on": FRAME, "off": FRAME}, axis=1)
    assert rows(tidy(wide))[0] == ["", "on", "off"]


def test_other_html_is_left_alone(tidy):
    class Other:
        def _repr_html_(self):
            return '<p style="x">A <b>word</b></p>'

    assert str(tidy(Other())) == '<p style="x">A <b>word</b></p>'
