"""What the book adds to Sphinx, on documents made here."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils import nodes
from docutils.utils import new_document


@pytest.fixture
def book_parts(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "book"))
    yield __import__("book_parts")
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
def test_a_formula_keeps_what_touches_it(book_parts, written, together):
    document, paragraph = new_document("page"), nodes.paragraph()
    document += paragraph
    for part in written:
        kind = {"$": nodes.math, "*": nodes.emphasis}.get(part[0])
        paragraph += kind("", part) if kind else nodes.Text(part)
    book_parts.keep_neighbours(None, document, "page")
    assert paragraph.astext() == "".join(written)
    assert [span.astext() for span in document.findall(nodes.inline)] == together


def test_a_chapter_has_the_number_of_its_file(book_parts):
    class Collector:
        def assign_section_numbers(self, env):
            return ["book/run"]

    pages = "book/run", "chapters/16_scale"
    numbered = lambda: nodes.reference(secnumber=[2, 1])  # noqa: E731
    env = SimpleNamespace(
        toc_secnumbers={page: {"": (2,), "#a": (2, 1), "#b": None} for page in pages},
        titles={page: nodes.title(secnumber=[2]) for page in pages},
        tocs={page: nodes.bullet_list("", numbered(), nodes.reference()) for page in pages},
    )
    book_parts.number_by_file(Collector)
    assert Collector().assign_section_numbers(env) == ["book/run"]
    for page, number in zip(pages, (2, 16), strict=True):
        assert env.toc_secnumbers[page] == {"": (number,), "#a": (number, 1), "#b": None}
        assert env.titles[page]["secnumber"] == [number]
        assert env.tocs[page][0]["secnumber"] == [number, 1]
        assert "secnumber" not in env.tocs[page][1]


def test_mathjax_is_without_letters_that_no_formula_is_set_in(book_parts):
    plain = 'T.normal=(0,H.AddPaths)(V.normal,{65:"A",119808:"bold",119886:"i",},{47:"x"})'
    bold = 'T.bold=(0,H.AddPaths)(V.bold,{65:"A"},{47:"x"})'
    italic = 'T.italic=(0,H.AddPaths)(V.italic,{65:"A"},{47:"x"})'
    other = 'x={119808:"no outline"}'
    assert book_parts.without_outlines(f"{plain};{bold};{italic};{other}") == (
        'T.normal=(0,H.AddPaths)(V.normal,{65:"A",119886:"i",},{47:"x"});'
        f"T.bold=(0,H.AddPaths)(V.bold,{{}},{{}});{italic};{other}"
    )
