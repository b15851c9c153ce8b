"""The built book that the tests of this folder look at."""

import os
import re
from functools import cache
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

# $BOOK_HTML can name another build, of a few pages say.
HTML = Path(os.environ.get("BOOK_HTML") or Path(__file__).parents[2] / "_build" / "html")
MISSING = f"no book in {HTML}: run `make book` first"

# index.html only leads on to the first page.
PAGES = [
    path.relative_to(HTML).as_posix()
    for path in sorted(HTML.rglob("*.html"))
    if path != HTML / "index.html" and "_static" not in path.parts
]

# One test says that the book is missing; the others then have nothing to say.
needs_book = pytest.mark.skipif(not PAGES, reason=MISSING)


@cache
def parsed(path: Path) -> BeautifulSoup:
    """A page's elements, for tests that only read them."""
    return BeautifulSoup(path.read_text("utf-8"), "html.parser")


@cache
def covering() -> list[str]:
    """Pages that have between them an element of every tag and class that the book has."""
    elements = re.compile(r'<(\w+)[^>]* class="([^"]*)"')
    kinds = {
        page: {
            (tag, name)
            for tag, classes in elements.findall((HTML / page).read_text("utf-8"))
            for name in classes.split()
        }
        for page in PAGES
    }
    left, found = set().union(*kinds.values()), []
    while left:
        found.append(max(PAGES, key=lambda page: len(kinds[page] & left)))
        left -= kinds[found[-1]]
    return found
