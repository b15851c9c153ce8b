"""What the book adds to the site around its pages, and to the library's pages."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils import nodes
from docutils.utils import new_document


@pytest.fixture
def part(monkeypatch):
    """A module of book/."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "book"))
    taken = []

    def part(name: str):
        taken.append(name)
        return __import__(name)

    yield part
    for name in taken:
        sys.modules.pop(name, None)


# ---- repository -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "left"),
    [
        ("https://github.com/example/dropout-book", {}),
        ("https://github.com/someone/dropout-book", {"colab_url": "https://colab"}),
    ],
)
def test_buttons_that_lead_nowhere_are_left_out(part, url, left):
    theme = {
        "repository_url": url,
        "launch_buttons": {"colab_url": "https://colab"},
        "use_repository_button": True,
    }
    part("site_parts").settle_repository(None, SimpleNamespace(html_theme_options=theme))
    assert theme["launch_buttons"] == left
    assert theme["use_repository_button"] == bool(left)
    assert theme["repository_url"] == (url if left else "")


# ---- description ----------------------------------------------------------------------------


def page(*paragraphs: str) -> nodes.document:
    document = new_document("page")
    section = nodes.section("", nodes.title("", "Title"))
    section += [nodes.paragraph("", text) for text in paragraphs]
    document += section
    return document


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("Why does it help?", "Why does it help?"),
        ("It\nhelps.", "It helps."),
        ("One. " * 30 + "And " * 30, ("One. " * 30).strip()),
        ("word " * 60, "word " * 39 + "word …"),
        ("", ""),
    ],
)
def test_the_first_paragraph_describes_the_page(part, text, summary):
    assert part("site_parts").summary(page(text, "Not this.")) == summary


def test_a_page_without_text_has_an_empty_description(part):
    assert part("site_parts").summary(page()) == ""


# ---- icons ----------------------------------------------------------------------------------

FONT_AWESOME = """({"square-github":[448,512,["gh"],"f092","M1"],github:[496,512,[],"f09b","M2z"],
"circle-half-stroke":[512,512,[9680,"adjust"],"f042","M3"]})"""


def test_the_icons_of_a_page_are_found(part):
    html = """<i class="fa-solid fa-bars"></i><i class="theme fa-solid fa-moon   fa-lg"></i>
    <span class="fab fa-github">x</span><p class="fa-no">"""
    assert part("site_parts").icons_in(html) == {"bars", "moon", "github"}


def test_an_icon_is_drawn_as_font_awesome_draws_it(part):
    drawing = part("site_parts").drawing
    assert drawing(FONT_AWESOME, "github") == (496, 512, "M2z")
    assert drawing(FONT_AWESOME, "circle-half-stroke") == (512, 512, "M3")
    assert drawing(FONT_AWESOME, "half-stroke") is None


# ---- docstrings -----------------------------------------------------------------------------


def reordered(part, text: str) -> str:
    lines = text.split("\n")
    part("api_parts").example_first(None, "function", "f", None, {}, lines)
    return "\n".join(lines).strip()


def test_the_example_follows_the_first_sentence(part):
    text = "Drop.\n\nRaises ValueError.\n\n>>> f(1)\n2\n\n>>> g(\n...     1\n... )\n3"
    wanted = "Drop.\n\n>>> f(1)\n2\n\n>>> g(\n...     1\n... )\n3\n\nRaises ValueError."
    assert reordered(part, text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "Drop.",
        "Drop.\n\nRaises ValueError.",
        ">>> f(1)\n2\n\nDrop.",
        "Drop.\n\nWith a key:\n\n>>> f(1)\n2",
    ],
)
def test_other_docstrings_stay_as_they_are(part, text):
    assert reordered(part, text) == text


def test_a_figure_is_rounded_but_not_its_scales(part):
    svg = """<svg width="10.123456pt">
  <path id="Sans-61" transform="scale(0.015625)" d="M 1.234567 -0.5"/>
  <g clip-path="url(#p-1.x)"><use xlink:href="#Sans-61" transform="translate(0.126456 0)"/></g>
  <clipPath id="p-1.x"/><text>1.23456 > 1</text></svg>"""
    assert part("site_parts").lightened(svg) == (
        '<svg width="10.12pt"><path id="a0" transform="scale(0.015625)" d="M 1.23 -0.5"/>'
        '<g clip-path="url(#a1)"><use xlink:href="#a0" transform="translate(0.13 0)"/></g>'
        '<clipPath id="a1"/><text>1.23456 > 1</text></svg>'
    )


def test_only_the_page_of_results_loads_the_index(part, tmp_path):
    scripts = "".join(
        f'\n<script src="../{name}.js"></script>'
        for name in ("_static/searchtools", "_static/language_data", "searchindex")
    )
    kept = '\n<script src="../_static/book.js"></script>'
    for name in ("a.html", "search.html"):
        (tmp_path / name).write_text(f"<head>{scripts}{kept}</head>", "utf-8")
    app = SimpleNamespace(outdir=tmp_path, builder=SimpleNamespace(format="html"))
    part("site_parts").search_on_its_page(app, None)
    assert (tmp_path / "a.html").read_text("utf-8") == f"<head>{kept}</head>"
    assert "searchindex" in (tmp_path / "search.html").read_text("utf-8")


def test_fonts_stand_in_the_style_sheet(part, tmp_path):
    (tmp_path / "_static/fonts").mkdir(parents=True)
    (tmp_path / "_static/fonts/a.woff2").write_bytes(b"font")
    css = tmp_path / "_static/book.css"
    css.write_text('src: url("fonts/a.woff2") format("woff2"); filter: url("#b")', "utf-8")
    part("site_parts").embed_fonts(SimpleNamespace(outdir=tmp_path), None)
    assert css.read_text("utf-8") == (
        'src: url(data:font/woff2;base64,Zm9udA==) format("woff2"); filter: url("#b")'
    )
