"""The questions page: a box that filters as one types, links that show what was filtered."""

from pathlib import Path

import pytest
import yaml

from tests.browser.book import HTML, needs_book

QUESTIONS = yaml.safe_load((Path(__file__).parents[2] / "book/questions.yml").read_text("utf-8"))
PAGE = f"{HTML.as_uri()}/book/questions.html"
SHOWN = "rows => rows.filter((row) => row.offsetParent).length"

pytestmark = needs_book


@pytest.fixture
def page(browser):
    page = browser.new_page()
    page.goto(PAGE)
    yield page
    page.close()


def shown(page) -> int:
    return page.eval_on_selector_all(".question", SHOWN)


def test_every_question_is_there_under_an_anchor_of_its_own(page):
    for entry in QUESTIONS:
        link = page.locator(f'a.headerlink[href="#question-{entry["id"]}"]')
        assert link.count() == page.locator(f"#question-{entry['id']}").count() == 1


def test_links_say_to_which_section_of_which_page_they_lead(page):
    texts = page.locator(".question-shown a").all_inner_texts()
    assert len(texts) >= len(QUESTIONS)
    assert all(": " in text for text in texts), texts


def test_without_scripts_every_question_is_seen(browser):
    page = browser.new_page(java_script_enabled=False)
    page.goto(PAGE)
    visible = [row.is_visible() for row in page.locator(".question").all()]
    assert visible == [True] * len(QUESTIONS)
    assert page.locator(".question-filter").count() == 0
    page.close()


def test_the_box_filters_by_all_words_as_one_types(page):
    box, status = page.get_by_label("Search the questions"), page.get_by_role("status")
    assert shown(page) == len(QUESTIONS)
    box.press_sequentially("batchnorm order")
    found = [row for row in page.locator(".question").all() if row.is_visible()]
    assert 0 < len(found) < 10
    assert all("batch norm" in row.inner_text().lower() for row in found)
    assert status.inner_text() == f"{len(found)} of {len(QUESTIONS)} questions"
    headings = page.eval_on_selector_all("section section > h2", SHOWN)
    assert headings <= len(found)
    box.press_sequentially(" zzz")
    assert shown(page) == 0
    assert status.inner_text().startswith("No question")
    box.press("Escape")
    assert shown(page) == len(QUESTIONS)


def test_a_link_shows_its_question_whatever_was_filtered(page):
    box = page.get_by_label("Search the questions")
    box.fill("zzz")
    anchor = f"question-{QUESTIONS[-1]['id']}"
    page.evaluate("anchor => { location.hash = anchor; }", anchor)
    page.wait_for_function("id => document.getElementById(id).offsetParent", arg=anchor)
    assert shown(page) == len(QUESTIONS)
    assert (
        page.locator(f"#{anchor}").evaluate("row => Math.abs(row.getBoundingClientRect().top)")
        < 700
    )
