"""Does this environment hold the versions that the book was printed with?"""

import re
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.conftest import REQUIREMENTS, differences_from_pins

ROOT = REQUIREMENTS.parent
SET_UP_BY_MAKE = Path(sys.prefix, "requirements.txt").exists()


def test_versions_are_the_pinned_ones():
    found = differences_from_pins(REQUIREMENTS.read_text())
    if found and not SET_UP_BY_MAKE:
        pytest.skip("not the environment that make sets up: " + ", ".join(found))
    assert not found


def test_another_version_and_a_missing_package_are_told():
    here = version("numpy")
    assert differences_from_pins(f"numpy=={here}  # arrays") == []
    assert differences_from_pins("numpy==0.1\nno-such-package==2\n") == [
        f"numpy {here} (pinned 0.1)",
        "no-such-package missing (pinned 2)",
    ]


def test_another_build_of_a_release_is_the_release(monkeypatch):
    monkeypatch.setattr("tests.conftest.version", lambda name: "2.13.0+cpu")
    assert differences_from_pins("torch==2.13.0") == []
    assert differences_from_pins("torch==2.13.1") == ["torch 2.13.0+cpu (pinned 2.13.1)"]


def test_every_requirement_is_an_exact_pin_that_any_platform_can_install():
    lines = [line.split("#")[0].strip() for line in REQUIREMENTS.read_text().splitlines()]
    *pins, package = filter(None, lines)
    assert package == "-e ."
    for pin in pins:
        assert re.fullmatch(r"[\w.-]+==[\w.]+(; sys_platform == \"linux\")?", pin)
        assert not re.match(r"nvidia|cuda|pywin|appnope|colorama", pin)
