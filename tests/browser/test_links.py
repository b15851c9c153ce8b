"""Every link inside the book leads somewhere, and every picture says in words what it shows."""

from functools import cache
from urllib.parse import unquote, urlsplit

import pytest

from tests.browser.book import HTML, MISSING, PAGES, needs_book, parsed


def test_the_book_is_built():
    assert PAGES, MISSING


@cache
def anchors(path) -> set[str]:
    return {tag["id"] for tag in parsed(path).find_all(id=True)}


def dead_links(path) -> list[str]:
    """The addresses on one page that point to no file of the book, or to no anchor in it."""
    dead = []
    for tag in parsed(path).find_all(["a", "img", "link", "script", "source", "object"]):
        address = tag.get("href") or tag.get("src") or tag.get("data")
        parts = urlsplit(address or "")
        if address is None or parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not target.is_file() or (
            parts.fragment
            and target.suffix == ".html"
            and unquote(parts.fragment) not in anchors(target)
        ):
            dead.append(address)
    return dead


@pytest.mark.parametrize("page", PAGES)
def test_internal_links_and_anchors_resolve(page):
    assert not dead_links(HTML / page)


@pytest.mark.parametrize("page", PAGES)
def test_pictures_have_alternative_text(page):
    pictures = parsed(HTML / page).select("article img")
    assert not [img["src"] for img in pictures if not img.get("alt", "").strip()]


@needs_book
def test_the_entry_page_leads_to_the_first_page():
    refresh = parsed(HTML / "index.html").find("meta", {"http-equiv": "Refresh"})["content"]
    assert (HTML / refresh.partition("url=")[2]).is_file()


def test_a_dead_link_and_a_dead_anchor_are_found(tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<p id="a"><a href="#a"><a href="#b"><a href="page.html"><img src="c.svg">')
    assert dead_links(page) == ["#b", "c.svg"]


HEAVIEST = 3_000_000  # bytes


def loaded(path) -> set:
    """A page's file and those that it loads: scripts, styles with their fonts, and pictures."""
    page = parsed(path)
    tags = [*page.select("script[src], img[src]"), *page.select("link[rel=stylesheet]")]
    addresses = [tag.get("src") or tag.get("href") for tag in tags]
    local = [urlsplit(each).path for each in addresses if not urlsplit(each).scheme]
    return {path, *((path.parent / unquote(each)).resolve() for each in local)}


@needs_book
@pytest.mark.parametrize("page", PAGES)
def test_a_page_weighs_less_than_three_megabytes(page):
    """All that it loads, not compressed."""
    weights = {file.name: file.stat().st_size for file in loaded(HTML / page)}
    assert sum(weights.values()) < HEAVIEST, sorted(weights.items(), key=lambda each: -each[1])[:8]
