"""The browser that the tests of this folder look with."""

import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser():
    named = os.environ.get("CHROMIUM")
    sought = [named] if named else BROWSERS
    path = next(filter(None, map(shutil.which, sought)), None)
    if path is None:
        required = named or os.environ.get("REQUIRE_BROWSER") == "1"
        say = pytest.fail if required else pytest.skip
        say(f"no browser found, looked for {', '.join(sought)}; $CHROMIUM can name another")
    with sync_playwright() as playwright:
        # Chromium refuses to run its sandbox as root.
        args = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=path, args=args)
        yield browser
        browser.close()
