"""The built book as one PDF: python book/pdf.py HTML FILE [PAGE ...]

Chromium prints each page; they are bound in the order of _toc.yml behind a table of contents, with
page numbers, bookmarks, and links between pages that lead on within the file.
"""

import io
import os
import shutil
import sys
from collections import defaultdict
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import unquote, urldefrag

import yaml
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, Playwright, sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, FloatObject, NameObject, NullObject

ROOT = Path(__file__).parents[1]
BROWSERS = "chromium", "chromium-browser", "google-chrome"
MARGIN = {"top": "14mm", "bottom": "18mm", "left": "10mm", "right": "10mm"}
PAPER = {"format": "A4", "margin": MARGIN, "print_background": True}
NUMBER = (
    '<div style="width: 100%; text-align: center; font: 9px sans-serif; color: #57606a">'
    '<span class="pageNumber"></span></div>'
)
# Chromium names the places in a page that links of this page lead to; these are from other pages.
NAMED = """(ids) => {
  const links = document.createElement("div");
  links.hidden = true;
  links.append(...ids.map((id) => Object.assign(document.createElement("a"), { href: `#${id}` })));
  document.body.append(links);
}"""
CONTENTS = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 11pt/1.5 Georgia, serif }} h1 {{ font-size: 30pt; margin: 30mm 0 2mm }}
h2 {{ font-size: 11pt; margin: 6mm 0 1mm }} h2 + div, div {{ display: flex; gap: 2mm }}
a {{ color: inherit; text-decoration: none }} i {{ flex: 1; border-bottom: 1px dotted #999;
margin-bottom: 1.2mm }}</style><h1>{title}</h1><p>{author}</p>{entries}</html>"""


def found() -> str | None:
    """Where the browser is that $CHROMIUM names, or the first of its usual names."""
    named = os.environ.get("CHROMIUM")
    return next(filter(None, map(shutil.which, [named] if named else BROWSERS)), None)


def launched(playwright: Playwright) -> Browser:
    """The browser, started. Chromium refuses to run its sandbox as root."""
    args = ["--no-sandbox"] if os.geteuid() == 0 else []
    return playwright.chromium.launch(executable_path=found(), args=args)


@dataclass
class Part:
    """A page of the book, printed."""

    caption: str
    path: Path
    title: str
    reader: PdfReader
    first: int = 0  # its first page, from 0


def listed(toc: Path) -> list[tuple[str, str]]:
    """The pages in the order of the table of contents, each with its part's caption."""
    content = yaml.safe_load(toc.read_text("utf-8"))
    pages = [("", content["root"])]
    for part in content["parts"]:
        pages += [(part["caption"], chapter["file"]) for chapter in part["chapters"]]
    return pages


def wanted(html: Path, pages: list[Path]) -> dict[Path, set[str]]:
    """For each page the places in it that other pages link to."""
    found = defaultdict(set)
    for page in pages:
        for link in BeautifulSoup(page.read_text("utf-8"), "html.parser").select("article a[href]"):
            address, place = urldefrag(link["href"])
            if address and place and "://" not in address:
                found[(page.parent / unquote(address)).resolve()].add(unquote(place))
    return found


def printed(browser: Browser, path: Path, places: set[str]) -> PdfReader:
    """One page of the site on paper."""
    page = browser.new_page(viewport={"width": 900, "height": 1200})
    page.goto(path.as_uri())
    page.emulate_media(media="print", color_scheme="light")
    page.evaluate("() => window.MathJax?.startup?.promise")
    page.evaluate(NAMED, sorted(places))
    data = page.pdf(**PAPER, outline=True, tagged=True)
    page.close()
    return PdfReader(io.BytesIO(data))


def contents(browser: Browser, parts: list[Part], about: dict[str, str], offset: int) -> PdfReader:
    """The first pages: title and table of contents, where the parts begin `offset` pages later."""
    entries, caption = [], ""
    for part in parts:
        if part.caption != caption:
            caption = part.caption
            entries.append(f"<h2>{escape(caption)}</h2>")
        entries.append(
            f'<div><a href="{part.path.as_uri()}">{escape(part.title)}</a><i></i>'
            f"<span>{part.first + offset + 1}</span></div>"
        )
    page = browser.new_page()
    page.set_content(CONTENTS.format(entries="".join(entries), **about))
    data = page.pdf(**PAPER)
    page.close()
    return PdfReader(io.BytesIO(data))


def numbers(browser: Browser, count: int) -> PdfReader:
    """So many empty pages, numbered."""
    page = browser.new_page()
    blank = '<div style="break-after: page">&nbsp;</div>' * (count - 1) + "<div>&nbsp;</div>"
    page.set_content(blank)
    data = page.pdf(
        **PAPER, display_header_footer=True, header_template="<i></i>", footer_template=NUMBER
    )
    page.close()
    return PdfReader(io.BytesIO(data))


def linked(writer: PdfWriter, parts: list[Part], offset: int) -> None:
    """Make links between pages lead on within the file, and drop those to files beside the book."""
    starts = {part.path: part for part in parts}
    owners = [part for part in parts for _ in part.reader.pages]
    for page, owner in zip(writer.pages[offset:], owners, strict=True):
        follow(writer, page, owner, starts, offset)
    for page in writer.pages[:offset]:
        follow(writer, page, None, starts, offset)


def follow(writer, page, owner: Part | None, starts: dict[Path, Part], offset: int) -> None:
    """The links of one page."""
    kept = ArrayObject()
    for each in page.get("/Annots", []):
        link = each.get_object()
        address, place = urldefrag(str(link.get("/A", {}).get("/URI", "")))
        if "/Dest" in link:
            target, place = owner, str(link["/Dest"]).removeprefix("/")
        elif address.startswith("file:"):
            target = starts.get(Path(unquote(address.removeprefix("file://"))))
            if target is None:
                continue
        else:
            kept.append(each)
            continue
        link.pop("/A", None)
        link[NameObject("/Dest")] = destination(writer, target, unquote(place), offset)
        kept.append(each)
    if "/Annots" in page:
        page[NameObject("/Annots")] = kept


def destination(writer: PdfWriter, part: Part, place: str, offset: int) -> ArrayObject:
    """A place in the bound file: that of a name in a part, or the part's beginning."""
    names = part.reader.named_destinations
    known = names.get(place) or names.get(f"/{place}")
    number, top = 0, NullObject()
    if known is not None:
        number = part.reader.get_destination_page_number(known) or 0
        top = FloatObject(known.top) if known.top is not None else top
    page = writer.pages[offset + part.first + number].indirect_reference
    return ArrayObject([page, NameObject("/XYZ"), NullObject(), top, NullObject()])


def bound(
    browser: Browser, html: Path, pages: list[tuple[str, str]], about: dict[str, str]
) -> PdfWriter:
    """The PDF of these pages of a built book."""
    paths = [(html / f"{name}.html").resolve() for _, name in pages]
    places = wanted(html, paths)
    parts, count = [], 0
    for (caption, _), path in zip(pages, paths, strict=True):
        heading = BeautifulSoup(path.read_text("utf-8"), "html.parser").select_one("article h1")
        for mark in heading.select(".headerlink"):
            mark.decompose()
        title = " ".join(heading.get_text().split())
        reader = printed(browser, path, places[path])
        parts.append(Part(caption, path, title, reader, count))
        count += len(reader.pages)
    front, offset = contents(browser, parts, about, 0), 0
    while len(front.pages) != offset:
        offset = len(front.pages)
        front = contents(browser, parts, about, offset)
    writer = PdfWriter()
    writer.append(front, import_outline=False)
    for part in parts:
        writer.append(part.reader, import_outline=False)
    linked(writer, parts, offset)
    for page, number in zip(writer.pages, numbers(browser, len(writer.pages)).pages, strict=True):
        page.merge_page(number)
        page.compress_content_streams()  # to merge they were unpacked
    caption, above = "", None
    for part in parts:
        if part.caption != caption:
            caption = part.caption
            above = writer.add_outline_item(title=caption, page_number=offset + part.first)
        place = offset + part.first
        writer.add_outline_item(title=part.title, page_number=place, parent=above)
    writer.add_metadata({"/Title": about["title"], "/Author": about["author"]})
    return writer


def main() -> int:
    html, target, *chosen = sys.argv[1:]
    if found() is None:
        print("error: no Chromium found; $CHROMIUM can name one", file=sys.stderr)
        return 1
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    about = {name: config[name] for name in ("title", "author")}
    pages = [page for page in listed(ROOT / "_toc.yml") if not chosen or page[1] in chosen]
    with sync_playwright() as playwright:
        browser = launched(playwright)
        writer = bound(browser, Path(html), pages, about)
        browser.close()
    whole = Path(f"{target}.new")
    writer.write(whole)
    whole.replace(target)
    print(f"The PDF: {Path(target).resolve()}, {len(writer.pages)} pages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
