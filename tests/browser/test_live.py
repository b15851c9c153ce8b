"""Every live figure: alive from disk, legible, usable by keys, still where no script runs."""

import gzip
import re
from pathlib import Path

import pytest

from dropout.figures.widgets import HERE, live, names
from tests.browser.accessible import serious_violations
from tests.browser.live import opened, written
from tests.browser.looks import settle
from tests.browser.stills import still

pytestmark = pytest.mark.unchecked
figures = pytest.mark.parametrize("name", names())
LOOKS = [(390, "dark"), (760, "light")]
SHEET = Path(__file__).parents[2] / "_build" / "live"  # pictures of all, to look at after a test


@figures
def test_its_own_code_is_small(name):
    assert len(gzip.compress((HERE / f"{name}.js").read_bytes())) < 25_000


@figures
def test_its_still_picture_is_its_default_state(browser, tmp_path, name):
    """`python -m tests.browser.stills` draws it."""
    stored = ((HERE / "stills" / f"{name}.{kind}").read_text("utf-8") for kind in ("html", "txt"))
    assert tuple(stored) == still(browser, name, tmp_path)


@figures
@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_it_fits_and_is_accessible(browser, tmp_path, name, width, theme):
    page = opened(browser, written(tmp_path, name, theme), width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert serious_violations(page) == []
    small = """() => [...document.querySelectorAll(".live svg text")].filter((text) => {
      const {a, b} = text.getCTM();
      const size = parseFloat(getComputedStyle(text).fontSize) * Math.hypot(a, b);
      return text.textContent.trim() && size < 9.5;
    }).map((text) => text.textContent)"""
    assert page.evaluate(small) == []
    assert page.errors == []
    SHEET.mkdir(parents=True, exist_ok=True)
    page.locator("figure.live").screenshot(path=SHEET / f"{name}-{width}-{theme}.png")
    page.close()


@figures
@pytest.mark.parametrize("width", [390, 760])
def test_nothing_jumps_when_it_comes_to_life(browser, tmp_path, name, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.add_init_script("""window.shifted = 0;
      new PerformanceObserver((list) => list.getEntries().forEach((e) => window.shifted += e.value))
        .observe({type: "layout-shift", buffered: true});""")
    page.goto(written(tmp_path, name).as_uri())
    page.locator("figure.live[data-live=on]").wait_for()
    page.wait_for_timeout(500)
    assert page.evaluate("window.shifted") == 0
    page.close()


@figures
def test_every_control_is_reached_by_keys_and_is_heard(browser, tmp_path, name):
    page = opened(browser, written(tmp_path, name))
    for slider in page.get_by_role("slider").all():
        assert slider.get_attribute("aria-valuetext")
        before = slider.input_value()
        slider.focus()
        for key in ("ArrowRight", "ArrowLeft"):
            page.keyboard.press(key)
            if slider.input_value() != before:
                break
        assert slider.input_value() != before
    for button in page.locator(".live-choice button").all():
        button.focus()
        page.keyboard.press("Enter")
        assert button.get_attribute("aria-pressed") == "true"
    for box in page.get_by_role("checkbox").all():
        before = box.is_checked()
        box.focus()
        page.keyboard.press("Space")
        assert box.is_checked() != before
    assert page.locator(".live [role=status]").count()
    page.get_by_role("button", name="Reset").click()
    settle(page)
    assert page.evaluate("Object.keys(localStorage).length") == 0
    assert page.errors == []
    page.close()


@figures
def test_a_link_keeps_its_state_and_no_link_breaks_it(browser, tmp_path, name):
    """Each control at its end, and at values that it cannot have."""
    path = written(tmp_path, name)
    page = opened(browser, path)
    controls = page.evaluate(
        "async (source) => (await import('data:text/javascript;charset=utf-8,' "
        "+ encodeURIComponent(source))).controls",
        (HERE / f"{name}.js").read_text("utf-8"),
    )
    page.close()
    ends = {"range": "max", "count": "value", "check": "value"}
    last = {
        c["key"]: list(c["options"])[-1] if c["type"] == "choice" else c[ends[c["type"]]]
        for c in controls
    }
    for value in ("1e99", "-1e99", "x", "0.12345"):
        link = "&".join(f"{c['key']}={value}" for c in controls) + "&unknown=1"
        page = opened(browser, path, link=f"#{name}:{link}")
        assert page.errors == []
        assert not re.search(r"NaN|undefined|Infinity", page.locator(".live").inner_text())
        assert "NaN" not in page.locator(".live-stage").inner_html()
        page.close()
    link = "&".join(f"{key}={str(value).lower()}" for key, value in last.items())
    page = opened(browser, path, link=f"#{name}:{link}")
    for control in controls:
        if control["type"] == "choice":
            pressed = page.get_by_role("group", name=control["label"], exact=True)
            found = pressed.locator("[aria-pressed=true]").get_attribute("data-value")
            assert found == last[control["key"]]
    assert page.errors == []
    page.close()


@figures
def test_it_follows_the_window_and_the_theme(browser, tmp_path, name):
    page = opened(browser, written(tmp_path, name), width=1280)
    page.set_viewport_size({"width": 390, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    colour = "title => getComputedStyle(title).color"
    before = page.locator(".live-title").evaluate(colour)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    assert page.locator(".live-title").evaluate(colour) != before
    assert page.errors == []
    page.close()


@figures
def test_without_scripts_a_picture_and_a_sentence_stand(browser, tmp_path, name):
    page = opened(browser, written(tmp_path, name), java_script_enabled=False)
    assert page.locator(".live-panel, .live-canvas").first.is_visible()
    assert len(page.locator(".live-words").inner_text()) > 40
    assert not page.locator(".live-controls").is_visible()
    page.close()


@figures
def test_print_leaves_the_controls_out(browser, tmp_path, name):
    page = opened(browser, written(tmp_path, name))
    page.emulate_media(media="print")
    assert not page.locator(".live-controls").is_visible()
    assert page.locator(".live-panel, .live-canvas").first.is_visible()
    page.close()


def twice(folder: Path, name: str) -> Path:
    """A file with a figure and its copy."""
    path = written(folder, name)
    text = path.read_text("utf-8").replace("<p>Below.</p>", live(name).html())
    path.write_text(text, "utf-8")
    return path


@figures
def test_it_can_be_shown_twice_in_one_page(browser, tmp_path, name):
    page = browser.new_page()
    page.goto(twice(tmp_path, name).as_uri())
    page.locator("figure.live[data-live=on]").nth(1).wait_for()
    page.close()


def rates(page) -> list[str]:
    """What the sliders of the rate are at, of each copy, after a frame."""
    page.locator("figure.live[data-live=on]").first.wait_for()
    settle(page)
    return [each.input_value() for each in page.get_by_role("slider", name="rate p").all()]


@pytest.fixture
def thinned(browser, tmp_path):
    """A page with a figure, which keeps what is copied in `copied`."""
    page = opened(browser, written(tmp_path, "thinned"))
    page.evaluate("""() => Object.defineProperty(navigator, "clipboard", {
      value: {writeText: async (text) => { window.copied = text; }}, configurable: true})""")
    yield page
    assert page.errors == []
    page.close()


def test_two_copies_keep_states_of_their_own(browser, tmp_path):
    page = browser.new_page()
    page.goto(twice(tmp_path, "thinned").as_uri())
    page.locator("figure.live[data-live=on]").nth(1).wait_for()
    for slider, key in zip(page.get_by_role("slider").all(), ("Home", "End"), strict=True):
        slider.press(key)
    assert rates(page) == ["0", "0.95"]
    page.reload()
    page.locator("figure.live[data-live=on]").nth(1).wait_for()
    assert rates(page) == ["0", "0.95"]
    page.get_by_role("button", name="Reset").first.click()
    assert rates(page) == ["0.5", "0.95"]
    page.close()


def test_a_link_gives_the_state_that_it_was_copied_from_and_not_that_of_last_time(thinned):
    link = thinned.get_by_role("button", name="Copy a link to this")
    thinned.get_by_role("button", name="eval()").click()
    link.click()
    thinned.get_by_role("button", name="Copied").wait_for()
    copied, address = thinned.evaluate("[window.copied, location.href]")
    assert copied == f"{address}#thinned:mode=eval"
    thinned.get_by_role("slider").press("Home")
    link.wait_for()  # what was copied is no longer what is shown
    assert rates(thinned) == ["0"]
    thinned.goto("about:blank")
    thinned.goto(copied)
    thinned.locator(".live-said", has_text="9 of 9 units stay").wait_for()
    assert rates(thinned) == ["0.5"]


def test_a_link_stays_in_the_address_until_a_control_is_changed(thinned):
    address = thinned.url
    thinned.goto("about:blank")
    thinned.goto(f"{address}#thinned:p=0.2&unknown=1")
    assert rates(thinned) == ["0.2"]
    assert thinned.url == f"{address}#thinned:p=0.2&unknown=1"
    thinned.get_by_role("slider").press("Home")
    assert thinned.url == address
    thinned.reload()
    assert rates(thinned) == ["0"]


def test_a_state_is_kept_before_a_frame_is_drawn(thinned):
    kept = thinned.get_by_role("slider").evaluate("""(slider) => {
      slider.value = 0;
      slider.dispatchEvent(new Event("input", {bubbles: true}));
      return Object.values(localStorage).map(JSON.parse);
    }""")
    assert kept == [{"p": 0}]


def test_where_nothing_may_be_copied_the_link_is_in_the_address(thinned):
    thinned.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(); }")
    address = thinned.url
    thinned.get_by_role("slider").press("Home")
    thinned.get_by_role("button", name="Copy a link to this").click()
    thinned.get_by_role("button", name="It is in the address").wait_for()
    assert thinned.url == f"{address}#thinned:p=0"


def test_a_link_followed_in_the_page_begins_anew(thinned):
    """A link to something else changes nothing; the link stays in the address."""
    thinned.get_by_role("slider").press("Home")
    thinned.evaluate("location.hash = '#ridge:p=0.9'")
    assert rates(thinned) == ["0"]
    thinned.evaluate("location.hash = '#thinned:mode=eval'")
    thinned.locator(".live-said", has_text="9 of 9 units stay").wait_for()
    assert rates(thinned) == ["0.5"]
    assert thinned.url.endswith("#thinned:mode=eval")


def test_a_link_followed_in_the_page_takes_guesses_away(browser, tmp_path):
    page = opened(browser, written(tmp_path, "ridge"))
    page.get_by_role("spinbutton").fill("30")
    page.keyboard.press("Enter")
    page.locator(".live-told", has_text="You said 30 %").wait_for()
    page.evaluate("location.hash = '#ridge:p=0.2'")
    page.locator(".live-said", has_text="At p = 0.20").wait_for()
    assert (
        page.locator(".live-told").inner_text()
        == page.get_by_role("spinbutton").input_value()
        == ""
    )
    page.close()


def test_a_page_that_a_link_opens_shows_the_figure(browser, tmp_path):
    path = written(tmp_path, "thinned")
    text = path.read_text("utf-8").replace("<h1>", '<div style="height: 3000px"></div><h1>')
    path.write_text(text, "utf-8")
    page = opened(browser, path, link="#thinned:p=0.2")
    assert page.locator("svg").first.evaluate("(svg) => svg.getBoundingClientRect().top") < 900
    page.goto("about:blank")
    page.goto(path.as_uri())
    page.locator("figure.live[data-live=on]").wait_for()
    assert page.evaluate("scrollY") == 0
    page.close()


def test_a_figure_that_is_gone_follows_no_link(thinned):
    thinned.evaluate("""() => {
      window.moved = 0;
      Element.prototype.scrollIntoView = () => window.moved++;
      const figure = document.querySelector("figure.live"), place = figure.parentNode;
      figure.remove();
      window.back = () => place.append(figure);
    }""")
    thinned.evaluate("location.hash = '#thinned:p=0.2'")
    settle(thinned)
    thinned.evaluate("back()")
    thinned.evaluate("location.hash = '#thinned:p=0.3'")
    settle(thinned)
    assert thinned.evaluate("moved") == 0
    assert rates(thinned) == ["0.5"]


def test_the_status_is_silent_in_a_drag_and_then_tells_the_last_sentence(thinned):
    """A reader of the screen would read each of thirty sentences."""
    thinned.evaluate("""() => {
      window.heard = [];
      const status = document.querySelector(".live-heard");
      new MutationObserver(() => window.heard.push(status.textContent))
        .observe(status, {childList: true, characterData: true, subtree: true});
    }""")
    box = thinned.get_by_role("slider").bounding_box()
    thinned.mouse.move(box["x"] + 2, box["y"] + box["height"] / 2)
    thinned.mouse.down()
    for k in range(20):
        thinned.mouse.move(box["x"] + 2 + 4 * k, box["y"] + box["height"] / 2)
        thinned.wait_for_timeout(40)
    assert thinned.evaluate("heard") == []
    thinned.mouse.up()
    thinned.wait_for_timeout(700)
    assert thinned.evaluate("heard") == [thinned.locator(".live-said").inner_text()]
    assert not thinned.locator("output").count()  # which would be heard as well
    assert thinned.locator(".live-heard").bounding_box()["width"] == 1


def test_a_control_that_there_is_not_leaves_the_still_picture(browser, tmp_path):
    page = browser.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(written(tmp_path, "thinned", rate=0.2).as_uri())
    page.wait_for_timeout(300)
    assert [each.split(": ")[-1] for each in errors] == [
        "no control rate; there are p, step, example, mode, net"
    ]
    assert page.locator(".live-panel").first.is_visible()
    assert page.locator("figure.live[data-live=on]").count() == 0
    page.close()


def test_the_contact_sheet_has_every_figure_in_every_look():
    """index.html in _build/live: what `test_it_fits` saw."""
    SHEET.mkdir(parents=True, exist_ok=True)
    rows = [
        f"<h2>{name}</h2>"
        + "".join(f'<img src="{name}-{width}-{theme}.png" alt="">' for width, theme in LOOKS)
        for name in names()
    ]
    (SHEET / "index.html").write_text("<!doctype html>" + "".join(rows), "utf-8")
    assert len(rows) == 12


def test_an_unknown_figure_is_told_the_known_ones():
    with pytest.raises(ValueError, match=r"no live figure 'thined'; there are .*thinned"):
        live("thined")
    with pytest.raises(TypeError, match="p must be a number, a word or a truth value, got None"):
        live("thinned", p=None)


def test_no_tag_in_a_state_ends_the_script():
    assert "</script><b>" not in live("thinned", net="</script><b>").html()
