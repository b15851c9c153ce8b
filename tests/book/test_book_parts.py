"""What the book adds to Sphinx, on documents made here."""

import sys
from pathlib import Path

import pytest
from docutils import nodes
from docutils.utils import new_document


@pytest.fixture
def keep_neighbours(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "book"))
    yield __import__("book_parts").keep_neighbours
    sys.modules.pop("book_parts")


@pytest.mark.parametrize(
    ("written", "together"),
    [
        (["with ", "$p", ", half"], ["$p,"]),
        (["(", "$p", ")"], ["($p)"]),
        (["$p", "/", "$q", " is"], ["$p/", "$q"]),
        (["$p", "$q"], ["$p", "$q"]),
        (["all ", "$p", " here"], ["$p"]),
        (["one", ".", "$p", "."], [".$p."]),
        (["$p", ". Here ", "$q", ". Here "], ["$p.", "$q."]),
        (["*p*", ".", " with ", "$q", "."], ["$q."]),
    ],
)
def test_a_formula_keeps_what_touches_it(keep_neighbours, written, together):
    document, paragraph = new_document("page"), nodes.paragraph()
    document += paragraph
    for part in written:
        kind = {"$": nodes.math, "*": nodes.emphasis}.get(part[0])
        paragraph += kind("", part) if kind else nodes.Text(part)
    keep_neighbours(None, document, "page")
    assert paragraph.astext() == "".join(written)
    assert [span.astext() for span in document.findall(nodes.inline)] == together
