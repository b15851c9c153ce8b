"""Every word and every full stop of a page's source stands on the page, in the source's order."""

import json
import re

import pytest
from bs4 import BeautifulSoup
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

from tests.browser.book import HTML, PAGES

SOURCES = {
    page: path
    for page in PAGES
    for suffix in (".ipynb", ".md")
    if (path := HTML / "_sources" / page.replace(".html", suffix)).is_file()
}
EXTENSIONS = ["amsmath", "attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
PARSER = create_md_parser(MdParserConfig(enable_extensions=set(EXTENSIONS)), RendererHTML)
DIRECTIVE = re.compile(r"\{([\w:-]+)\}\s*(.*)")
# Directives whose body is text for the page, as it stands.
TEXT = re.compile(r"prf:\w+|note|tip|warning|important|admonition|margin|div|dropdown")
FORMULA, BREAK = "∎", "\0"
TYPOGRAPHY = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "…": "...", "–": "--"})
TOKENS = {"math_inline": FORMULA, "softbreak": " ", "hardbreak": " "}


def blocks(markdown: str):
    """The page's texts, block by block; a BREAK for what the build writes, a citation say."""
    tokens = PARSER.parse(markdown)
    for token in tokens:
        if token.type == "inline":
            yield "".join(inline(token.children))
        elif token.type in ("fence", "colon_fence") and (found := DIRECTIVE.match(token.info)):
            name, title = found.groups()
            if TEXT.fullmatch(name):
                yield from () if name == "div" else blocks(title)
                yield from blocks(re.sub(r"\A(:[\w-]+:.*\n)+", "", token.content))


def inline(tokens):
    for token in tokens:
        if token.type in ("text", "code_inline"):
            yield token.content
        elif token.type == "myst_role":
            named = re.fullmatch(r"(.*?)\s*<.*>", token.content, re.DOTALL)
            claim = token.meta["name"] == "claim"
            yield named[1] if named else token.content if claim else BREAK
        else:
            yield TOKENS.get(token.type, "")


def plain(text: str) -> str:
    return " ".join(text.translate(TYPOGRAPHY).split())


def shown(html: str) -> str:
    """The text of a page: cells out, a sign for a formula."""
    article = BeautifulSoup(html, "html.parser").find("article")
    for tag in article.select("div.cell, pre, a.headerlink, script, style"):
        tag.decompose()
    for tag in article.select("span.math, div.math"):
        tag.replace_with(FORMULA)
    for tag in article.select("p, li, td, th, dt, dd, div, h1, h2, h3, h4"):
        tag.append(" ")
    return plain(article.get_text())


def missing(markdown: str, html: str) -> list[str]:
    """The parts of a source that its page does not show where they belong."""
    page, at, found = shown(html), 0, []
    for block in blocks(markdown):
        for part in block.split(BREAK):
            words = plain(part)
            place = page.find(words, at)
            if place < 0:
                found.append(words)
            else:
                at = place + len(words)
        if page[at : at + 1] in set(".,;:") and len(words) > 1 and found[-1:] != [words]:
            found.append(f"{words} without {page[at]}")
    return found


def markdown_of(path) -> str:
    text = path.read_text("utf-8")
    if path.suffix == ".md":
        return re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


@pytest.mark.parametrize("page", SOURCES)
def test_a_page_says_what_its_source_says(page):
    html = (HTML / page).read_text("utf-8")
    assert missing(markdown_of(SOURCES[page]), html) == []


SOURCE = """# Masks

The *rate* $p$, the *keep probability*. Draw "coins" {cite:p}`a2014` with {doc}`care <b>`.

```{prf:definition} Dropout
:label: def
Each unit is `kept` with $q$.
```
"""
PAGE = """<article><h1>2. Masks<a class="headerlink">#</a></h1><p>The <em>rate</em>
<span class="formula"><span class="math">\\(p\\)</span>,</span> the <em>keep probability</em>. Draw
“coins” [A, 2014] with <a>care</a>.</p><div class="proof"><p>Definition (Dropout)</p>
<p>Each unit is <code>kept</code> with <span class="math">\\(q\\)</span>.</p></div></article>"""


FIRST = 'The rate ∎, the keep probability. Draw "coins"'


@pytest.mark.parametrize(
    ("written", "instead", "lost"),
    [
        ("", "", []),
        ("probability</em>.", "probability</em>", [FIRST]),
        ("(q\\)</span>.", "(q\\)</span>..", ["Each unit is kept with ∎. without ."]),
        ("with <a>care", "<a>care", ["with care."]),
        ("(Dropout)", "()", ["Dropout"]),
        ("unit is", "is unit", ["Each unit is kept with ∎."]),
    ],
)
def test_a_lost_word_and_a_full_stop_too_many_are_found(written, instead, lost):
    assert written in PAGE
    assert missing(SOURCE, PAGE.replace(written, instead)) == lost
