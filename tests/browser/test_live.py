"""Every live figure: alive from disk, legible, usable by keys, still where no script runs."""

import gzip
import re
from pathlib import Path

import pytest

from dropout.figures.widgets import HERE, live, names
from tests.browser.accessible import serious_violations
from tests.browser.live import opened, written
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
    assert (HERE / "stills" / f"{name}.html").read_text("utf-8") == still(browser, name, tmp_path)


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
def test_nothing_jumps_when_it_comes_to_life(browser, tmp_path, name):
    page = browser.new_page(viewport={"width": 760, "height": 900})
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
    page.wait_for_timeout(100)
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
        if control["type"] == "choice" and not control.get("hidden"):
            pressed = page.get_by_role("group", name=control["label"], exact=True)
            found = pressed.locator("[aria-pressed=true]").get_attribute("data-value")
            assert found == last[control["key"]]
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


@figures
def test_it_can_be_shown_twice_in_one_page(browser, tmp_path, name):
    path = written(tmp_path, name)
    text = path.read_text("utf-8").replace("<p>Below.</p>", live(name)._repr_html_())
    path.write_text(text, "utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    page.locator("figure.live[data-live=on]").nth(1).wait_for()
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
    assert "</script><b>" not in live("thinned", net="</script><b>")._repr_html_()
