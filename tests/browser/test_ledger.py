"""The ledger: an overview with a dot for each claim, filters, and links that say their claim."""

from pathlib import Path

import pytest
import yaml

from tests.browser.book import HTML, PAGES, needs_book, parsed

LEDGER = yaml.safe_load((Path(__file__).parents[2] / "book/ledger.yml").read_text("utf-8"))
PAGE = "book/ledger.html"

pytestmark = needs_book


SHOWN = """rows => rows.filter((row) => row.offsetParent)
    .map((row) => row.querySelector(".claim-id").textContent)"""


def shown(page) -> list[str]:
    return page.eval_on_selector_all(".claim", SHOWN)


@pytest.fixture
def page(browser):
    page = browser.new_page()
    page.goto(f"{HTML.as_uri()}/{PAGE}")
    yield page
    page.close()


def test_every_claim_has_a_dot_that_leads_to_its_row(page):
    for entry in LEDGER:
        anchor = f"claim-{entry['id'].lower()}"
        dot = page.locator(f'.claim-strip a[href="#{anchor}"]')
        assert dot.get_attribute("title").startswith(f"{entry['id']}, {entry['verdict']}: ")
        assert page.locator(f"#{anchor}").count() == 1


@pytest.mark.parametrize("verdict", sorted({entry["verdict"] for entry in LEDGER}))
def test_a_filter_shows_the_claims_with_one_verdict(page, verdict):
    wanted = [entry["id"] for entry in LEDGER if entry["verdict"] == verdict]
    page.locator(f'.claim-filters button[data-verdict="{verdict.replace(" ", "-")}"]').click()
    assert shown(page) == wanted
    page.locator('.claim-filters button[data-verdict=""]').click()
    assert len(shown(page)) == len(LEDGER)


def test_a_row_is_marked_on_arrival(page):
    colour = "row => getComputedStyle(row).backgroundColor"
    row = page.locator("#claim-c10")
    before = row.evaluate(colour)
    page.locator('.claim-strip a[href="#claim-c10"]').click()
    assert row.evaluate(colour) != before


@pytest.mark.parametrize("name", [name for name in PAGES if name.startswith("chapters/")])
def test_links_to_claims_say_the_claim(name):
    links = parsed(HTML / name).select('a[href*="ledger.html#claim-"]')
    verdicts = {entry["id"]: entry["verdict"] for entry in LEDGER}
    settled_here = [each for each in LEDGER if f"chapters/{each.get('chapter')}.html" == name]
    assert links or not settled_here
    for link in links:
        assert link["title"].startswith(verdicts[link.text.strip()] + ": ")
