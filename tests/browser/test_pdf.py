"""The book as one PDF: contents, page numbers, bookmarks, and links that lead on within it."""

import pytest

from book import pdf
from tests.browser.book import HTML, needs_book

PAGES = [("Idea", "book/mask"), ("Idea", "book/notation"), ("Sources", "book/references")]
pytestmark = [pytest.mark.unchecked, needs_book]


@pytest.fixture(scope="module")
def bound(browser):
    return pdf.bound(browser, HTML, PAGES, {"title": "Dropout", "author": "us"})


def words(page):
    return " ".join(page.extract_text().split())


def links(bound):
    for number, page in enumerate(bound.pages):
        for link in page.get("/Annots", []):
            yield number, link.get_object()


def place(bound, link):
    """The page that a link within the file leads to, and how high."""
    page, _, _, top, _ = link["/Dest"]
    return next(n for n, p in enumerate(bound.pages) if p.indirect_reference == page), top


def test_every_page_has_its_number(bound):
    assert len(bound.pages) > 5
    for number, page in enumerate(bound.pages, start=1):
        assert words(page).endswith(str(number))


def test_contents_and_bookmarks_name_the_page_where_a_part_begins(bound):
    contents = words(bound.pages[0])
    idea, within_idea, sources, within_sources = bound.outline
    assert (idea.title, sources.title) == ("Idea", "Sources")
    marks = within_idea + within_sources
    assert [mark.title for mark in marks] == ["The mask in five lines", "Notation", "References"]
    for mark in marks:
        number = bound.get_destination_page_number(mark)
        assert words(bound.pages[number]).startswith(mark.title)
        assert f"{mark.title} {number + 1}" in contents


def test_no_link_leads_out_to_a_file(bound):
    addresses = [str(link["/A"].get("/URI")) for _, link in links(bound) if "/A" in link]
    assert addresses
    assert all(address.startswith("http") for address in addresses)


def test_links_between_pages_lead_to_their_place(bound):
    """The mask's page cites Philox's paper: the bibliography is in another page."""
    pages = [words(page) for page in bound.pages]
    first = next(n for n, text in enumerate(pages) if text.startswith("The mask in five lines"))
    cited = [place(bound, link) for n, link in links(bound) if n == first and "/Dest" in link]
    salmon = next(n for n, text in enumerate(pages) if "Parallel random numbers" in text)
    assert any(number == salmon and top is not None for number, top in cited)


def test_a_formula_is_printed(bound):
    """Not left as TeX: MathJax had done before the page was printed."""
    text = " ".join(words(page) for page in bound.pages)
    assert "operatorname" not in text
    assert "\\frac" not in text
