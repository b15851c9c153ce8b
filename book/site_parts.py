"""The site in Sphinx: its repository once there is one, version and date, what search engines and
messengers show of a page, and pages that load what they use.
"""

import json
import re
from base64 import b64encode
from datetime import date
from html import escape
from importlib.metadata import version
from pathlib import Path

from docutils import nodes
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)
NO_REPOSITORY = "https://github.com/example/"  # so long as _config.yml names no real one
DESCRIPTION = 200  # characters that a search engine shows


def settle_repository(app, config) -> None:
    """No button and no link that leads nowhere: what needs a repository goes while none is set."""
    theme = config.html_theme_options
    if theme.get("repository_url", "").startswith(NO_REPOSITORY):
        theme["repository_url"] = ""
        theme["launch_buttons"] = {}
        theme["use_repository_button"] = False


def sign(app, config) -> None:
    """The version and the date of the build, for the foot of each page."""
    built = date.today()
    config.html_theme_options["extra_footer"] = (
        f"<p>Version {version('dropout-book')}, {built.day} {built:%B %Y}</p>"
    )


def describe(app, pagename, templatename, context, doctree) -> None:
    """The page's description, which is its first paragraph."""
    tags = []
    if doctree is not None:
        shown = {"og:title": context["title"], "og:site_name": app.config.html_title}
        shown |= {"og:type": "article", "og:description": summary(doctree)}
        tags = [
            f'<meta property="{name}" content="{escape(strip_tags(text))}" />'
            for name, text in shown.items()
        ]
        tags.append(f'<meta name="description" content="{escape(shown["og:description"])}" />')
    context["metatags"] = context.get("metatags", "") + "\n".join(tags)


def summary(doctree: nodes.document) -> str:
    """The first paragraph, up to the end of a sentence or word within DESCRIPTION characters."""
    first = next(
        (p for p in doctree.findall(nodes.paragraph) if isinstance(p.parent, nodes.section)), None
    )
    text = " ".join(first.astext().split()) if first else ""
    if len(text) <= DESCRIPTION:
        return text
    cut = text[:DESCRIPTION]
    end = max(cut.rfind(". "), cut.rfind("? "))
    return cut[: end + 1] if end > 0 else cut.rpartition(" ")[0] + " …"


def strip_tags(text: str) -> str:
    return re.sub(r"<[^>]*>", "", text)


# ---- icons ----------------------------------------------------------------------------------

# Font Awesome's script holds two thousand icons, 1.5 MB of each page. This one holds those in use.
DRAW = """// The icons in use, from Font Awesome Free (CC BY 4.0).
const ICONS = %s;
for (const mark of document.querySelectorAll('i[class*="fa-"], span[class*="fa-"]')) {
  const name = [...mark.classList].find((each) => each.slice(3) in ICONS);
  if (!name) continue;
  const [width, height, path] = ICONS[name.slice(3)];
  const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const { name, value } of mark.attributes) icon.setAttribute(name, value);
  icon.classList.add("svg-inline--fa");
  icon.setAttribute("viewBox", `0 0 ${width} ${height}`);
  icon.setAttribute("fill", "currentColor");
  icon.setAttribute("aria-hidden", "true");
  icon.innerHTML = `<path d="${path}"/>`;
  mark.replaceWith(icon);
}
"""
NOT_ICONS = {"lg", "solid", "regular", "brands", "fw", "xs", "sm", "xl", "2x"}


def icons_in(html: str) -> set[str]:
    """The names of the icons that a page uses."""
    marks = re.findall(r'<(?:i|span) class="([^"]*\bfa-[^"]*)"', html)
    return {name for mark in marks for name in re.findall(r"fa-([\w-]+)", mark)} - NOT_ICONS


def drawing(script: str, name: str) -> tuple[int, int, str] | None:
    """Width, height and path of an icon in Font Awesome's script."""
    entry = re.escape(name)
    found = re.search(
        rf'(?<![\w-])"?{entry}"?:\[(\d+),(\d+),\[[^\]]*\],"[0-9a-f]+","([^"]+)"', script
    )
    return (int(found[1]), int(found[2]), found[3]) if found else None


def lighten_icons(app, error) -> None:
    """Put the icons that the pages use in the place of all icons."""
    out = Path(app.outdir)
    path = out / "_static/scripts/fontawesome.js"
    if error or app.builder.format != "html" or not path.is_file():
        return
    script = path.read_text("utf-8")
    if script.startswith(DRAW.partition("%s")[0]):  # from an earlier build
        return
    pages = [page for page in out.rglob("*.html") if "_static" not in page.parts]
    names = set().union(*(icons_in(page.read_text("utf-8")) for page in pages))
    icons = {name: drawing(script, name) for name in sorted(names)}
    if unknown := [name for name, icon in icons.items() if icon is None]:
        LOGGER.warning("no icon %s in Font Awesome's script", ", ".join(unknown))
        return
    path.write_text(DRAW % json.dumps(icons, separators=(",", ":")), "utf-8")
    path.with_name("fontawesome.js.map").unlink(missing_ok=True)


# ---- figures --------------------------------------------------------------------------------

NUMBER = re.compile(r"-?\d+\.\d{3,}")
PLACES = re.compile(r'\b(?:d|[xy][12]?|c[xy]|r|width|height)="[^"]*"|translate\([^)]*\)')


def lightened(svg: str) -> str:
    """A figure whose places are exact to a hundredth of a point, where Matplotlib has six digits.

    Without indentation, and with short names for the outlines of letters, which each letter names.
    """

    def rounded(place: re.Match) -> str:
        return NUMBER.sub(lambda number: f"{float(number[0]):.2f}", place[0])

    svg = re.sub(r">\s+<", "><", PLACES.sub(rounded, svg))
    ids = {name: f"a{k}" for k, name in enumerate(dict.fromkeys(re.findall(r' id="([^"]+)"', svg)))}
    svg = re.sub(r' id="([^"]+)"', lambda found: f' id="{ids[found[1]]}"', svg)
    return re.sub(r"#([\w.-]+)(?=[\")])", lambda found: f"#{ids.get(found[1], found[1])}", svg)


def lighten_figures(app, error) -> None:
    """Make what the notebooks drew small."""
    if error or app.builder.format != "html":
        return
    for path in Path(app.outdir, "_images").glob("*.svg"):
        path.write_text(lightened(path.read_text("utf-8")), "utf-8")


# ---- fonts ----------------------------------------------------------------------------------


def embed_fonts(app, error) -> None:
    """Put the fonts into the style sheet: text that changes its typeface would jump."""

    def embedded(font: re.Match) -> str:
        data = (style.parent / font[1]).read_bytes()
        return f"url(data:font/woff2;base64,{b64encode(data).decode()})"

    style = Path(app.outdir, "_static/book.css")
    if not error and style.is_file():
        css = style.read_text("utf-8")
        style.write_text(re.sub(r'url\("(fonts/[^"]+)"\)', embedded, css), "utf-8")


# ---- search ---------------------------------------------------------------------------------

# For an option of the theme that this book leaves off, every page would load the whole index.
SEARCH = re.compile(
    r'\s*<script src="[^"]*(?:searchtools|language_data|searchindex)\.js"></script>'
)


def search_on_its_page(app, error) -> None:
    """Only the page of results loads what searches."""
    if error or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        if page.name != "search.html":
            html = page.read_text("utf-8")
            if (without := SEARCH.sub("", html)) != html:
                page.write_text(without, "utf-8")


def setup(app) -> dict:
    app.connect("config-inited", settle_repository)
    app.connect("config-inited", sign)
    app.connect("html-page-context", describe)
    app.connect("build-finished", lighten_icons)
    app.connect("build-finished", lighten_figures)
    app.connect("build-finished", embed_fonts)
    app.connect("build-finished", search_on_its_page)
    return {"parallel_read_safe": True}
