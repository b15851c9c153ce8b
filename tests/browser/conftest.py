"""The browser that the tests of this folder look with."""

import os
import shutil

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from tests.browser.live import evaluator

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def found() -> str | None:
    """Where the browser is that $CHROMIUM names, or the first of its usual names."""
    named = os.environ.get("CHROMIUM")
    return next(filter(None, map(shutil.which, [named] if named else BROWSERS)), None)


def launched(playwright: Playwright) -> Browser:
    """The browser, started. Chromium refuses to run its sandbox as root."""
    args = ["--no-sandbox"] if os.geteuid() == 0 else []
    return playwright.chromium.launch(executable_path=found(), args=args)


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
