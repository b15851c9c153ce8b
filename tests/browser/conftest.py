"""The browser that the tests of this folder look with."""

import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

from book.pdf import BROWSERS, found, launched
from tests.browser.live import evaluator, opened, written


@pytest.fixture(scope="session")
def browser():
    if found() is None:
        named = os.environ.get("CHROMIUM")
        required = named or os.environ.get("REQUIRE_BROWSER") == "1"
        say = pytest.fail if required else pytest.skip
        sought = named or ", ".join(BROWSERS)
        say(f"no browser found, looked for {sought}; $CHROMIUM can name another")
    with sync_playwright() as playwright:
        browser = launched(playwright)
        yield browser
        browser.close()


@pytest.fixture(params=["node", "chromium"])
def evaluate(request):
    """Evaluates an expression on a live figure's module, in Node where it is found, in Chromium."""
    if request.param == "node":
        if shutil.which("node") is None:
            pytest.skip("no Node")
        return evaluator(None)
    return evaluator(request.getfixturevalue("browser"))


@pytest.fixture
def page(request, browser, tmp_path):
    """A page with the live figure that the test's file is named for; nothing may go wrong in it."""
    name = request.path.stem.removeprefix("test_live_")
    page = opened(browser, written(tmp_path, name))
    yield page
    assert page.errors == []
    page.close()
