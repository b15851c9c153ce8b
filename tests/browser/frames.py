"""How long the live figures take to draw while their sliders are dragged, in milliseconds.

python -m tests.browser.frames [NAME ...]

For each figure the slowest slider: the median and the longest of the times from the start of a
frame's scripts to the end of its layout, and the median time from frame to frame, whether anything
was drawn in it or not, in which the browser also paints. At 60 frames a second a frame has 16.7 ms.
"""

import statistics
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from book.pdf import launched
from dropout.figures.widgets import names
from tests.browser.live import opened, written

TIMED = """() => {
  window.work = []; window.frames = [];
  const ask = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (draw) => ask((now) => {
    const start = performance.now();
    draw(now);
    document.body.getBoundingClientRect();
    window.work.push(performance.now() - start);
  });
  const tick = (now) => { window.frames.push(now); ask(tick); };
  ask(tick);
}"""
MOVES = 90


def drags(browser: Browser, name: str, folder: Path) -> list[tuple[str, float, float, float]]:
    """For each slider: its name, median and longest work, median time from frame to frame."""
    found = []
    page = opened(browser, written(folder, name))
    page.evaluate(TIMED)
    for slider in page.get_by_role("slider").all():
        slider.scroll_into_view_if_needed()
        box = slider.bounding_box()
        assert box
        page.evaluate("() => { window.work.length = window.frames.length = 0; }")
        y = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + 2, y)
        page.mouse.down()
        for k in range(MOVES):
            page.mouse.move(box["x"] + 2 + (box["width"] - 4) * abs((2 * k / MOVES) % 2 - 1), y)
        page.mouse.up()
        page.wait_for_timeout(300)
        work, frames = page.evaluate("[window.work, window.frames]")
        gaps = [after - before for before, after in pairwise(frames)]
        label = slider.locator("xpath=..").locator("span").first.inner_text()
        if len(work) > 5:
            found.append((label, statistics.median(work), max(work), statistics.median(gaps)))
        page.get_by_role("button", name="Reset").click()
    page.close()
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = launched(playwright)
        print(f"{'figure':<12} {'slider':<28} {'median':>7} {'longest':>8} {'frame to frame':>15}")
        for name in sys.argv[1:] or names():
            slowest = max(drags(browser, name, Path(folder)), key=lambda each: each[1])
            print("{:<12} {:<28} {:7.1f} {:8.1f} {:15.1f}".format(name, *slowest))
        browser.close()


if __name__ == "__main__":
    main()
