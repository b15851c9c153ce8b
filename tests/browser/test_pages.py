"""Every page of the book, opened from disk in a browser: quiet, local, typeset, accessible."""

from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Page

from tests.browser import looks
from tests.browser.accessible import BY_LOOK, OFTEN, serious_violations
from tests.browser.book import HTML, PAGES, covering, needs_book

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 900}
SMALLEST = {"width": 320, "height": 900}

# The text that a reader sees as text: no code, and no formula once it is typeset.
PROSE = """() => {
  const article = document.querySelector("main").cloneNode(true);
  article.querySelectorAll("pre, code, mjx-container, script").forEach((node) => node.remove());
  return article.textContent;
}"""


@dataclass
class Visit:
    """A page in the browser, and what went wrong while it loaded."""

    page: Page
    address: str = ""
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, address: str) -> None:
        self.address = address
        self.page.goto(f"{HTML.as_uri()}/{address}")
        self.page.evaluate("() => window.MathJax?.startup?.promise.then(() => null)")

    def look(self, theme: str, viewport: dict) -> None:
        self.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        if self.page.viewport_size != viewport:
            self.page.set_viewport_size(viewport)
            looks.settle(self.page)
        self.page.wait_for_function("t => document.documentElement.dataset.theme === t", arg=theme)
        # Colours that are still fading would be measured half-way. Their state is asked for, since
        # `finished` never comes for what stands in a closed fold.
        self.page.wait_for_function(
            "() => document.getAnimations().every((each) => each.playState !== 'running')"
        )


@pytest.fixture(scope="module")
def new_visit(browser):
    context = browser.new_context(viewport=DESKTOP)

    def new() -> Visit:
        visit = Visit(context.new_page())
        visit.page.on(
            "console",
            lambda message: (
                message.type in ("error", "warning") and visit.complaints.append(message.text)
            ),
        )
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        visit.page.on("request", lambda request: visit.requests.append(request.url))
        return visit

    yield new
    context.close()


@pytest.fixture(scope="module", params=PAGES)
def visit(request, new_visit):
    visit = new_visit()
    visit.open(request.param)
    yield visit
    visit.page.close()


def leaving(requests: list[str]) -> list[str]:
    return [url for url in requests if not url.startswith(("file:", "data:"))]


UNFOLD = "() => document.querySelectorAll('details').forEach((each) => each.open = true)"


RAW = """formulas => formulas.filter((each) => !each.querySelector("mjx-container"))
    .map((each) => each.textContent)"""
# Letters of formulas, as screen readers have them, for which nothing is drawn.
BLANK = """formulas => formulas.flatMap((formula) => {
  const drawn = [...formula.querySelectorAll(":is([data-mml-node=mi], [data-mml-node=mn])")];
  const told = [...formula.querySelectorAll("mjx-assistive-mml :is(mi, mn)")];
  return told.filter((each, k) => each.textContent.trim() &&
    !drawn[k]?.querySelector("use, path, rect, text")).map((each) => `blank ${each.textContent}`);
})"""
BROKEN_FORMULAS = "all => all.map((each) => each.getAttribute('data-mjx-error') || 'merror')"


def untypeset(page: Page) -> list[str]:
    raw = page.locator("main .math").evaluate_all(RAW)
    broken = page.locator("[data-mml-node=merror], mjx-merror").evaluate_all(BROKEN_FORMULAS)
    broken += page.locator("mjx-container").evaluate_all(BLANK)
    prose = page.evaluate(PROSE)
    return raw + broken + [mark for mark in ("\\(", "\\[", "$$", "\\begin{") if mark in prose]


# What touches a formula in a text, where it is on another line than the formula.
ADRIFT = """() => {
  const line = (node, at) => {
    const range = document.createRange();
    range.setStart(node, at);
    range.setEnd(node, at + 1);
    return range.getClientRects()[0];
  };
  const texts = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  const found = [];
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    if (text.parentElement.closest("mjx-container, script") || !text.data.length) continue;
    for (const [side, at] of [["previousSibling", 0], ["nextSibling", text.length - 1]]) {
      const formula = text[side];
      if (!formula?.matches?.("span.math") || /\\s/.test(text.data[at])) continue;
      const [a, b] = [line(text, at), formula.firstElementChild.getBoundingClientRect()];
      if (a && (a.top >= b.bottom || a.bottom <= b.top)) found.push(formula.textContent);
    }
  }
  return found;
}"""


def adrift(page: Page) -> list[str]:
    return page.evaluate(ADRIFT)


def sideways(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth")


def test_console_stays_empty(visit):
    assert not visit.complaints


def test_nothing_is_asked_of_the_network(visit):
    assert visit.requests
    assert not leaving(visit.requests)


def test_every_formula_is_typeset(visit):
    assert not untypeset(visit.page)


# Desktop first, then the phones: each change of the width lays the page out anew.
def test_no_serious_accessibility_violation_on_a_desktop(visit):
    visit.page.evaluate(UNFOLD)
    visit.look("light", DESKTOP)
    looks.mark_scrolling(visit.page)
    assert not serious_violations(visit.page)


def test_the_contents_beside_the_page_are_not_cut_off(visit):
    visit.look("light", DESKTOP)
    outside = """links => links.filter((a) => a.getBoundingClientRect().right > innerWidth
        || [...a.querySelectorAll("*")].some((b) => b.getBoundingClientRect().right > innerWidth))
        .map((a) => a.textContent.trim())"""
    assert visit.page.locator(".bd-sidebar-secondary a").evaluate_all(outside) == []


def test_no_figure_is_shrunk_on_a_desktop(visit):
    visit.look("light", DESKTOP)
    shrunk = """images => images.filter((each) => each.naturalWidth > each.clientWidth + 1)
        .map((each) => `${each.naturalWidth} in ${each.clientWidth}: ${each.alt}`)"""
    assert visit.page.locator(".cell_output img").evaluate_all(shrunk) == []


@pytest.mark.parametrize("width", [1280, 320, 390])
def test_nothing_is_cut_off(visit, width):
    visit.page.evaluate(UNFOLD)
    visit.look("light", {"width": width, "height": 900})
    assert looks.clipped(visit.page, looks.MAY_SCROLL[width]) == []


def test_what_touches_a_formula_stays_on_its_line(visit):
    visit.look("light", PHONE)
    assert not adrift(visit.page)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_sideways_scroll_on_a_phone(visit, theme):
    visit.look(theme, PHONE)
    assert sideways(visit.page) <= 0


def test_no_serious_accessibility_violation_at_night_on_a_phone(visit):
    """On pages that have between them every kind of element."""
    if visit.address in covering():
        visit.page.evaluate(UNFOLD)
        visit.look("dark", SMALLEST)
        looks.mark_scrolling(visit.page)
        assert not serious_violations(visit.page)


def test_nothing_is_cut_off_on_paper(visit):
    looks.onto_paper(visit.page)
    try:
        assert looks.clipped(visit.page) == []
    finally:
        visit.page.emulate_media(media="screen")


@needs_book
def test_search_finds_a_page_without_a_server(new_visit):
    visit = new_visit()
    visit.open("search.html?q=dropout")
    visit.page.locator("#search-results li").first.wait_for()
    assert not visit.complaints
    assert not leaving(visit.requests)


BROKEN = """<html lang="en"><title>Broken</title><script src="https://example.invalid/a.js"></script>
<main><article><div style="width: 900px">wide</div><img src="data:,"><p>raw \\(x\\)</p>
<p style="width: 1ex"><span class="math"><mjx-container style="display: inline-block">x
</mjx-container></span>,</p><mjx-container><svg><g data-mml-node="mi"></g></svg>
<mjx-assistive-mml><mi>y</mi></mjx-assistive-mml></mjx-container></article>
<script>undefined_function()</script></main>"""


def test_the_checks_fail_on_a_broken_page(new_visit):
    visit = new_visit()
    visit.page.set_viewport_size(PHONE)
    visit.page.goto("data:text/html," + BROKEN)
    assert any("undefined_function" in complaint for complaint in visit.complaints)
    assert leaving(visit.requests) == ["https://example.invalid/a.js"]
    assert untypeset(visit.page) == ["blank y", "\\("]
    assert any(found.startswith("image-alt") for found in serious_violations(visit.page))
    assert sideways(visit.page) > 0
    assert [formula.strip() for formula in adrift(visit.page)] == ["x"]


PALE = """<html lang="en"><title>Pale</title>
<style>pre { background: #fff } .night { background: #222 } .a { color: #bbb } .b { color: #444 }
</style><main><article>
<pre><span class="a">(</span><span class="a">one</span> <span class="a">two</span>
<span class="a">three</span> <span class="a">four</span> <span class="b">six</span></pre>
<pre class="night"><span class="a">one</span> <span class="b">six
</span></pre>
<p id="part"><button></button></p><p><button></button></article></main>"""


def test_of_words_that_look_alike_some_are_measured_and_of_a_part_no_more(new_visit):
    page = new_visit().page
    for _ in range(2):  # what fails is measured again, on the next page too
        page.set_content(PALE)
        rules = [found.partition(":")[0] for found in serious_violations(page)]
        assert sorted(rules) == ["button-name"] * 2 + ["color-contrast"] * (OFTEN + 1)
    (found,) = serious_violations(page, "#part")
    assert found.startswith("button-name")
    assert page.locator("button").nth(1).is_visible()
    assert page.locator("pre span").count() == 8


def test_a_look_that_passed_is_measured_again_where_anything_of_it_differs(new_visit):
    page = new_visit().page
    page.set_content("<html lang=en><title>Ink</title><main><p>one</p><p>two</p></main></html>")
    assert serious_violations(page) == []
    for change in ("color: #ccc", "background: #333", "opacity: 0.3"):
        page.locator("p").nth(1).evaluate("(p, style) => { p.style = style; }", change)
        (found,) = serious_violations(page, rules=BY_LOOK)
        assert found.startswith("color-contrast")
