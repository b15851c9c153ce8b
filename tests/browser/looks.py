"""What can be cut off on a page, found in the browser."""

from playwright.sync_api import Page

# What may scroll inside itself, and where: on phones, formulas, tables and lines of code that
# cannot be broken.
MAY_SCROLL = {
    390: "mjx-container, .pst-scrollable-table-container, .output.text_html, .editor textarea",
}
MAY_SCROLL |= {320: MAY_SCROLL[390], 1280: ""}

# Boxes of the article whose content is wider than they are, and hidden or reached by scrolling
# only; and what sticks out at the right of the article or of the window.
CLIPPED = """allowed => {
  const article = document.querySelector("article.bd-article") ?? document.querySelector("main");
  const window_ = document.documentElement.clientWidth;
  const edge = Math.min(article.getBoundingClientRect().right, window_);
  const found = [];
  const said = (box) => `${box.tagName.toLowerCase()}.${[...box.classList].join(".")}: `
    + box.textContent.trim().slice(0, 60);
  const passed = ["svg, script, style, .visually-hidden, .sr-only, mjx-assistive-mml", allowed]
    .filter(Boolean).join();
  for (const box of article.querySelectorAll("*")) {
    if (box.closest(passed)) continue;
    if (box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX !== "visible")
      found.push(`${box.scrollWidth} in ${box.clientWidth} ${said(box)}`);
    else if (box.getClientRects().length && box.getBoundingClientRect().right > edge + 1)
      found.push(`${Math.round(box.getBoundingClientRect().right - edge)} outside ${said(box)}`);
  }
  return found;
}"""


def clipped(page: Page, allowed: str = "") -> list[str]:
    """What of the article cannot be seen without scrolling sideways."""
    return page.evaluate(CLIPPED, allowed)


# The page's own scripts hear of a new size or medium before the next frame is drawn.
FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
# The theme marks scrolling boxes 0.3 s after a resize, by the same clock.
MARKED = "() => new Promise((done) => setTimeout(done, 350))"


def settle(page: Page) -> None:
    """Wait until the page has drawn itself anew, after a change of its size or medium."""
    page.evaluate(FRAMES)


def mark_scrolling(page: Page) -> None:
    """Wait until boxes that scroll since the last resize can be reached by keyboard."""
    page.evaluate(MARKED)


A4 = {"width": 718, "height": 1047}  # CSS pixels inside margins of 10 mm


def onto_paper(page: Page) -> None:
    """The page as it is printed on A4, whatever the theme of the system."""
    page.set_viewport_size(A4)
    page.emulate_media(media="print")
    settle(page)


# Brightness from 0 to 1 of the background that lies behind an element.
BEHIND = """element => {
  for (let each = element; each; each = each.parentElement) {
    const [r, g, b, a = 1] = getComputedStyle(each).backgroundColor.match(/[\\d.]+/g).map(Number);
    if (a > 0) return (r + g + b) / 765;
  }
  return 1;
}"""
INK = """element => {
  const [r, g, b] = getComputedStyle(element).color.match(/[\\d.]+/g).map(Number);
  return (r + g + b) / 765;
}"""
