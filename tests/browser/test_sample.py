"""A small book with one of everything, looked at in the browser: figures, folds, tables, paper."""

import io
import re

import numpy as np
import pytest
from matplotlib.image import imread
from pypdf import PdfReader

from tests.browser import looks, sample

pytestmark = pytest.mark.unchecked
PAGE = "chapters/everything.html"
SIZES = {width: {"width": width, "height": 900} for width in looks.MAY_SCROLL}


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    root = tmp_path_factory.mktemp("sample")
    own = {"IPYTHONDIR": str(root), "JUPYTER_RUNTIME_DIR": str(root)}
    return sample.build(root / "book", own)


@pytest.fixture(scope="module")
def context(browser):
    context = browser.new_context(viewport=SIZES[1280], reduced_motion="reduce")
    yield context
    context.close()


@pytest.fixture
def open_page(context, html):
    opened = []

    def open_page(address: str = PAGE, **media):
        page = context.new_page()
        opened.append(page)
        page.set_viewport_size(SIZES[1280])
        page.emulate_media(**{"color_scheme": "light"} | media)
        page.goto(f"{html.as_uri()}/{address}")
        page.evaluate("() => window.MathJax?.startup?.promise.then(() => null)")
        return page

    yield open_page
    for page in opened:
        page.close()


@pytest.fixture
def page(open_page):
    return open_page()


@pytest.mark.parametrize("address", [PAGE, "book/api.html"])
def test_the_console_stays_empty_on_screen_and_on_paper(open_page, address):
    page = open_page("book/index.html")
    said = []
    page.on("console", lambda each: each.type in ("error", "warning") and said.append(each.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(page.url.replace("book/index.html", address))
    looks.onto_paper(page)
    assert said == []


# ---- figures --------------------------------------------------------------------------------


def test_a_figure_has_a_number_a_caption_and_words(page):
    figure = page.locator("figure")
    assert figure.count() == 1
    assert figure.locator(".caption-number").inner_text().strip() == "Figure 1.1"
    assert figure.locator(".caption-text").inner_text().startswith("Four lines, with")
    assert figure.locator("img").get_attribute("alt").startswith("Four straight lines")


@pytest.mark.parametrize("address", [PAGE, "book/index.html"])
def test_the_text_refers_to_a_figure_by_its_number(open_page, address):
    assert open_page(address).locator('a[href$="#fig-line"]').first.inner_text() == "Figure 1.1"


def test_a_figure_stands_flush_with_the_text(page):
    left = {
        round(page.locator(each).first.bounding_box()["x"]) for each in ("figure img", "article p")
    }
    assert len(left) == 1
    height_label = pixels(page)[:, :12].min(axis=(0, 2))
    assert (height_label < 0.5).any()  # ink in the first 12 pixels: nothing but the label's side


def pixels(page) -> np.ndarray:
    shot = page.locator("figure img").screenshot(type="png")
    return imread(io.BytesIO(shot), format="png")[..., :3]


@pytest.mark.parametrize(
    ("theme", "colours"),
    [
        (
            "light",
            {"blue": "0072b2", "vermillion": "d55e00", "green": "009e73", "orange": "e69f00"},
        ),
        ("dark", {"blue": "56b4e9", "vermillion": "f0803c", "green": "2cc295", "orange": "e69f00"}),
    ],
)
def test_a_colour_keeps_its_name_on_both_pages(open_page, theme, colours):
    shown = pixels(open_page(color_scheme=theme)).reshape(-1, 3)
    for name, colour in colours.items():
        wanted = np.array([int(colour[i : i + 2], 16) for i in (0, 2, 4)]) / 255
        assert np.abs(shown - wanted).max(axis=1).min() < 0.12, name


# ---- folds, tables, outputs -----------------------------------------------------------------


def test_folded_code_and_output_say_what_they_hide(page):
    folds = page.locator("details.hide")
    shown = [fold.locator("summary").inner_text().strip() for fold in folds.all()]
    assert shown == ["Show code", "Show code", "Show output"]
    first = folds.first
    assert not first.locator("pre").is_visible()
    first.locator("summary").focus()
    page.keyboard.press("Enter")
    assert first.locator("pre").is_visible()
    assert first.locator("summary").inner_text().strip() == "Hide code"


def test_a_data_frame_looks_like_a_table_of_the_text(page):
    styles = """table => ["borderBottomWidth", "borderBottomColor", "borderLeftWidth", "fontSize"]
        .map((name) => getComputedStyle(table.querySelector("tbody td"))[name])"""
    frame, table = (
        page.locator(each).first.evaluate(styles) for each in ("table.dataframe", "table.table")
    )
    assert frame == table
    assert page.locator("table.dataframe th").all_inner_texts() == ["rate", "loss (nats)", "what"]


def test_what_sympy_shows_is_typeset_like_a_formula_of_the_text(page):
    centres = []
    for each in (".output.text_latex mjx-container svg", "section > div.math mjx-container svg"):
        box = page.locator(each).last.bounding_box()
        centres.append(box["x"] + box["width"] / 2)
    assert abs(centres[0] - centres[1]) < 2


def test_the_bar_beside_an_output_is_as_long_as_the_output(page):
    one, two = (
        page.locator(".output.stream", has_text=re.compile(text)).bounding_box()["height"]
        for text in ("one line", "two\nlines")
    )
    lines = "pre => parseFloat(getComputedStyle(pre).lineHeight)"
    line = page.locator(".output.stream pre").first.evaluate(lines)
    assert abs(one - line) < 6
    assert abs(two - one - line) < 1


def test_sections_of_sections_are_in_the_list_of_contents(page):
    contents = page.locator(".bd-sidebar-secondary").get_by_text("A third heading")
    assert contents.is_visible()


# ---- copying --------------------------------------------------------------------------------


def copied(page, button) -> str:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button.evaluate("each => each.click()")
    page.wait_for_timeout(100)
    return page.evaluate("() => navigator.clipboard.readText()")


def test_a_copied_example_is_code_alone(open_page):
    page = open_page("book/api.html")
    example = page.locator("div.doctest, div.highlight-python, div.highlight-pycon").first
    code = copied(page, example.locator("button.copybtn"))
    assert ">>>" in example.inner_text()
    assert ">>>" not in code
    compile(code, "copied", "exec")
    lines = [line for line in example.locator("pre").inner_text().splitlines() if line.strip()]
    prompted = [line for line in lines if line.startswith((">>>", "..."))]
    assert len(prompted) < len(lines)  # the example shows an output, which stays on the page
    assert len([line for line in code.splitlines() if line.strip()]) == len(prompted)


def test_a_cell_is_copied_whole_and_an_output_not(page):
    assert not page.locator(".cell_output button.copybtn").count()
    buttons = page.locator(".cell_input button.copybtn")
    assert buttons.count() == page.locator(".cell_input").count()
    assert copied(page, buttons.nth(1)).strip() == sample.FIGURE


# ---- site -----------------------------------------------------------------------------------

ELSEWHERE = ("github.com", "mybinder.org", "colab.research.google.com")


def leading_elsewhere(root) -> set[str]:
    html = (root / PAGE).read_text("utf-8")
    return {site for site in ELSEWHERE if re.search(rf'href="https://{re.escape(site)}', html)}


def test_no_button_leads_to_a_repository_that_is_not_there(html):
    assert not leading_elsewhere(html)


def test_with_a_repository_its_buttons_appear(tmp_path):
    def settle(config: str) -> str:
        config = config.replace("github.com/example/", "github.com/someone/")
        return config.replace("execute_notebooks: cache", 'execute_notebooks: "off"')

    assert leading_elsewhere(sample.build(tmp_path / "book", {}, settle)) == set(ELSEWHERE)


def test_every_icon_is_drawn_and_all_of_them_are_small(page, html):
    marks = page.locator('i[class*="fa-"], span[class*="fa-"]')
    assert not marks.count()
    buttons = page.locator(".bd-header-article :is(a, button):visible")
    assert buttons.count()
    for button in buttons.all():
        assert button.locator("svg.svg-inline--fa:visible").count() == 1
    assert (html / "_static/scripts/fontawesome.js").stat().st_size < 20_000


def test_a_page_says_what_it_is_and_who_made_it(page):
    tag = "each => each.content"
    described = page.locator('meta[name="description"]').evaluate(tag)
    assert described.startswith("How does C10 look?")
    assert page.locator('meta[property="og:description"]').evaluate(tag) == described
    assert page.locator('meta[property="og:title"]').evaluate(tag) == "1. Everything: one of each"
    assert page.title() == "1. Everything: one of each — Dropout, tested"
    foot = page.locator("footer.bd-footer-content").inner_text()
    assert re.search(r"© Copyright \d{4}, the authors of Dropout, tested", foot)
    assert re.search(r"Version \d+\.\d+\.\d+, \d+ \w+ \d{4}", foot)


def test_the_text_does_not_jump_when_the_typeface_arrives(open_page):
    page = open_page("book/api.html")  # without formulas, which move the text as they are typeset
    shift = page.evaluate("""() => new Promise((done) => {
      let sum = 0;
      new PerformanceObserver((list) => {
        for (const each of list.getEntries()) if (!each.hadRecentInput) sum += each.value;
      }).observe({ type: "layout-shift", buffered: true });
      setTimeout(() => done(sum), 1000);
    })""")
    assert shift < 0.1  # what Web Vitals call good


# ---- the library's pages --------------------------------------------------------------------


def test_an_example_comes_first_and_each_parameter_has_a_line(open_page):
    page = open_page("book/api.html")
    entry = page.locator("dl.py.function").first
    assert (
        entry.locator("dd > p, dd > div.doctest, dd > div.highlight-python")
        .nth(1)
        .evaluate("each => each.querySelector('pre')?.textContent.startsWith('>>>') ?? false")
    )
    parameters = entry.locator("dt.sig .dd .sig-param")
    assert parameters.count() >= 7
    tops = [box["y"] for each in parameters.all() if (box := each.bounding_box())]
    assert tops == sorted(set(tops))
    name, kind = (parameters.first.locator(".n").nth(i) for i in (0, 1))
    weight = "each => Number(getComputedStyle(each).fontWeight)"
    assert name.evaluate(weight) > kind.evaluate(weight)


# ---- widths ---------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [PAGE, "book/api.html"])
@pytest.mark.parametrize("width", looks.MAY_SCROLL)
def test_nothing_is_cut_off(open_page, address, width):
    page = open_page(address)
    page.set_viewport_size(SIZES[width])
    page.locator("details.hide").evaluate_all("all => all.forEach((each) => { each.open = true })")
    looks.settle(page)
    assert looks.clipped(page, looks.MAY_SCROLL[width]) == []


def test_code_and_output_of_the_allowed_width_have_their_lines_on_a_desktop(page):
    lines = """pre => {
      const { lineHeight, paddingTop, paddingBottom } = getComputedStyle(pre);
      const text = pre.clientHeight - parseFloat(paddingTop) - parseFloat(paddingBottom);
      return Math.round(text / parseFloat(lineHeight));
    }"""
    code = page.locator(".cell_input pre", has_text="x" * 79)
    printed = page.locator(".cell_output pre", has_text="0123456789" * 7)
    assert code.evaluate(lines) == 2
    assert printed.evaluate(lines) == 1


def test_a_wide_formula_scrolls_on_a_phone_and_not_on_a_desktop(page):
    assert not page.locator("mjx-container.scrolls").count()
    page.set_viewport_size(SIZES[320])
    page.locator("mjx-container.scrolls[tabindex='0']").first.wait_for()


@pytest.mark.parametrize(
    "style", ["overflow: hidden; white-space: pre", "min-width: 1300px", "margin-left: 900px"]
)
def test_what_is_cut_off_is_found(page, style):
    page.locator("article p").first.evaluate(
        "(p, style) => { p.style = style; p.textContent = 'a long line '.repeat(20) }", style
    )
    assert looks.clipped(page)


# ---- paper ----------------------------------------------------------------------------------


@pytest.fixture
def paper(open_page):
    page = open_page(color_scheme="dark")
    page.wait_for_function("() => document.documentElement.dataset.theme === 'dark'")
    looks.onto_paper(page)
    return page


def test_a_dark_page_is_printed_in_dark_ink_on_white(paper):
    for each in ("body", "article", "h1", "article p", "figcaption", "td", ".cell_input pre"):
        element = paper.locator(each).first
        assert element.evaluate(looks.BEHIND) > 0.93, each
        assert element.evaluate(looks.INK) < 0.45, each
    for token in paper.locator(".cell_input:visible pre span[class]").all()[:40]:
        assert token.evaluate(looks.INK) < 0.6, token.inner_text()
    assert paper.locator("figure img").evaluate("img => getComputedStyle(img).filter") == "none"


def test_the_page_is_dark_again_after_printing(paper):
    paper.emulate_media(media="screen", color_scheme="dark")
    paper.wait_for_function("() => document.documentElement.dataset.theme === 'dark'")


def test_paper_shows_the_title_with_its_number_and_no_navigation(paper):
    assert [h1.inner_text().strip() for h1 in paper.locator("h1:visible").all()] == [
        "1. Everything: one of each"
    ]
    assert paper.locator("h1:visible").evaluate("h1 => getComputedStyle(h1).textAlign") in (
        "left",
        "start",
    )
    for each in ("nav", "footer", ".bd-sidebar", ".prev-next-footer", "button", "details.hide"):
        assert not [found for found in paper.locator(each).all() if found.is_visible()], each


def test_nothing_is_cut_off_on_paper(paper):
    assert looks.clipped(paper) == []
    assert not paper.locator("mjx-container.scrolls").count()


def test_formulas_are_no_bolder_on_paper(paper):
    path = paper.locator("mjx-container path").first
    assert path.evaluate("path => getComputedStyle(path).strokeWidth") == "0px"


def test_the_whole_of_a_long_line_is_in_the_pdf(open_page):
    page = open_page(color_scheme="dark")
    pdf = page.pdf(format="A4", margin=dict.fromkeys(("top", "right", "bottom", "left"), "10mm"))
    text = "".join(each.extract_text() for each in PdfReader(io.BytesIO(pdf)).pages)
    text = re.sub(r"\s", "", text)
    assert "x" * 79 in text
    assert ("0123456789" * 7 + "01234567") in text
