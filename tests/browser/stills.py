"""Store the live figures' default states: pictures for where no script runs, sentences for where
no markup is shown.

python -m tests.browser.stills [NAME ...]
"""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from book.pdf import launched
from dropout.figures.widgets import HERE, names
from tests.browser.live import opened, written

# What is painted has no markup of its own: it becomes a picture.
STILL = """(body) => {
  const copy = body.cloneNode(true);
  body.querySelectorAll("canvas").forEach((canvas, k) => {
    const image = document.createElement("img");
    image.src = canvas.toDataURL();
    image.alt = canvas.getAttribute("aria-label") ?? "";
    image.className = canvas.className;
    copy.querySelectorAll("canvas")[0].replaceWith(image);
  });
  return copy.innerHTML;
}"""


def still(browser: Browser, name: str, folder: Path) -> tuple[str, str]:
    """The markup of a figure's default state, and its title and words."""
    page = opened(browser, written(folder, name))
    try:
        told = page.locator(".live-title, .live-words").all_inner_texts()
        return page.locator(".live-body").evaluate(STILL) + "\n", ". ".join(told) + "\n"
    finally:
        page.close()


def main() -> None:
    chosen = sys.argv[1:] or names()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = launched(playwright)
        for name in chosen:
            for kind, text in zip(("html", "txt"), still(browser, name, Path(folder)), strict=True):
                (HERE / "stills" / f"{name}.{kind}").write_text(text, "utf-8")
        browser.close()


if __name__ == "__main__":
    main()
