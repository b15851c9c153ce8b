"""Figures and pages have one palette: the style sheet's colours are those of `dropout.figures`."""

import re
from pathlib import Path

from dropout.figures import PALETTE

STYLE = Path(__file__).parents[2] / "book" / "static" / "book.css"


def test_the_pages_verdicts_have_the_figures_colours():
    colours = set(re.findall(r"#[0-9a-f]{6}", STYLE.read_text("utf-8").lower()))
    for name in ("blue", "vermillion", "green", "orange", "sky"):
        assert PALETTE[name].lower() in colours
