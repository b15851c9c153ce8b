"""A page shows as many figures as its notebook draws, each with number, caption and words."""

import json

import pytest
from bs4 import BeautifulSoup

from tests.browser.book import HTML, parsed
from tests.browser.test_text import SOURCES

NOTEBOOKS = {page: path for page, path in SOURCES.items() if path.suffix == ".ipynb"}


def drawn(notebook: dict) -> int:
    """How many figures the stored outputs of a notebook tell of."""
    outputs = [o for cell in notebook["cells"] for o in cell.get("outputs", [])]
    texts = ["".join(o.get("data", {}).get("text/plain", "")) for o in outputs]
    return sum(text.count("<Figure size") for text in texts)


def faults(article: BeautifulSoup, expected: int) -> list[str]:
    figures = article.select("div.cell_output figure:not(.live)")
    images = article.select("div.cell_output img")
    found = []
    if len(images) != expected:
        found.append(f"{len(images)} pictures where the notebook draws {expected}")
    if len(figures) != len(images):
        found.append(f"{len(images)} pictures, {len(figures)} of them with a caption")
    for figure in figures:
        number, caption = figure.select_one(".caption-number"), figure.select_one(".caption-text")
        if not number or not caption or not caption.get_text(strip=True):
            found.append(f"no number or no caption: {figure.get('id')}")
        if not figure.img.get("alt", "").strip():
            found.append(f"no words: {figure.get('id')}")
    return found


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_every_figure_of_a_notebook_is_on_its_page_with_number_and_caption(page):
    expected = drawn(json.loads(NOTEBOOKS[page].read_text("utf-8")))
    assert faults(parsed(HTML / page).find("article"), expected) == []


GOOD = """<article><div class="cell_output"><figure id="fig-a"><img src="a.svg" alt="A line.">
<figcaption><p><span class="caption-number">Figure 1</span><span class="caption-text">One seed.
</span></p></figcaption></figure></div></article>"""


@pytest.mark.parametrize(
    ("written", "instead", "expected", "fault"),
    [
        ("", "", 1, None),
        ("", "", 2, "1 pictures where the notebook draws 2"),
        (GOOD, "<article></article>", 1, "0 pictures where the notebook draws 1"),
        ("figure", "p", 1, "1 pictures, 0 of them with a caption"),
        ("One seed.", "", 1, "no number or no caption: fig-a"),
        ("caption-number", "", 1, "no number or no caption: fig-a"),
        ("A line.", "", 1, "no words: fig-a"),
    ],
)
def test_what_a_figure_lacks_is_found(written, instead, expected, fault):
    article = BeautifulSoup(GOOD.replace(written, instead), "html.parser")
    assert faults(article, expected) == ([fault] if fault else [])


def test_figures_in_outputs_are_counted():
    data = {"text/plain": ["<Figure size 1x1 with 1 Axes>"]}
    figure = {"output_type": "display_data", "data": data}
    text = {"output_type": "stream", "text": "x"}
    assert drawn({"cells": [{"outputs": [figure, text]}, {}, {"outputs": [figure]}]}) == 2
