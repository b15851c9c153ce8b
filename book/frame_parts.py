"""Data frames in Sphinx: pandas' HTML without its own style, and without row numbers."""

import re

from bs4 import BeautifulSoup
from docutils import nodes

NUMBER = re.compile(r"[-+−]?[\d.,]+([eE][-+]?\d+)?\s?%?|nan|NaN|inf|")


def tidy_frame(html: str) -> str:
    """A data frame's table as the page's style sheet wants it; other HTML as it is."""
    soup = BeautifulSoup(html, "html.parser")
    table = soup.find("table", class_="dataframe")
    if table is None:
        return html
    for style in soup.find_all("style"):
        style.decompose()
    for tag in [table, *table.find_all("tr")]:
        for attribute in ("border", "style"):
            tag.attrs.pop(attribute, None)
    head = table.thead.find_all("tr")
    if any(cell.get("colspan") or cell.get("rowspan") for cell in table.find_all(["th", "td"])):
        return str(soup)
    if len(head) == 2:
        _name_index(*head)
    _drop_numbering(table)
    _mark_numbers(table)
    return str(soup)


def _cells(row) -> list:
    return row.find_all(["th", "td"])


def _name_index(columns, index) -> None:
    """One row of headings, where pandas gives the index's name a row of its own."""
    for above, below in zip(_cells(columns), _cells(index), strict=True):
        if not above.get_text(strip=True):
            above.string = below.get_text(strip=True)
    index.decompose()


def _drop_numbering(table) -> None:
    """No index that only counts the rows from 0, and has no name."""
    rows = table.find_all("tr")
    firsts = [_cells(row)[0].get_text(strip=True) for row in rows]
    if firsts == ["", *map(str, range(len(rows) - 1))] and len(_cells(rows[0])) > 1:
        for row in rows:
            _cells(row)[0].decompose()


def _mark_numbers(table) -> None:
    """The class `number` for the columns that hold numbers only, which stand at the right."""
    for column in zip(*map(_cells, table.find_all("tr")), strict=True):
        if all(NUMBER.fullmatch(cell.get_text(strip=True)) for cell in column[1:]):
            for cell in column:
                cell["class"] = "number"


def tidy_frames(app, doctree, docname) -> None:
    for raw in doctree.findall(nodes.raw):
        if "html" in raw.get("format", "") and 'class="dataframe"' in raw.astext():
            raw.children = [nodes.Text(tidy_frame(raw.astext()))]


def setup(app) -> dict:
    app.connect("doctree-resolved", tidy_frames)
    return {"parallel_read_safe": True}
