"""Each study's small run, done again: does the code still do what made the stored results?"""

import json

import pytest

from dropout.experiments import read
from dropout.experiments.results import FOLDERS, surroundings
from dropout.experiments.study import CHECK, find, names

STORED = [name for name in names() if (FOLDERS[0] / f"{name}.json").is_file()]
SAME = "versions", "machine"
ELSEWHERE = 0.1  # of a number, on another processor: rounding that training has made larger


@pytest.mark.parametrize("name", names())
def test_a_study_has_the_name_of_its_file_and_can_be_planned_and_told(name):
    study = find(name)
    assert study.name == name
    plan = study.plan([])
    assert plan[0] == study.check | CHECK
    assert len({study.key(each, "cpu") for each in plan}) == len(plan) > 1
    assert json.loads(json.dumps(plan)) == plan
    json.dumps(study.summary([]))


@pytest.mark.parametrize("name", STORED)
def test_the_check_of_a_study_gives_the_stored_numbers(name):
    study, stored = find(name), read(name)
    settings = stored["check"]["settings"]
    assert settings == study.check | dict(CHECK)
    assert stored["version"] == study.version
    given = {key: value for key, value in settings.items() if key != "stage"}
    try:
        found = json.loads(json.dumps(study.train(**given, device="cpu")))
    except (ConnectionError, FileNotFoundError) as error:
        pytest.skip(f"the data are missing: {error}")
    here = surroundings()
    if all(here[fact] == stored["provenance"][fact] for fact in SAME):
        assert found == stored["check"]["result"]
    else:
        assert_close(found, stored["check"]["result"])


def assert_close(found, expected):
    """The same shape, and numbers that differ by rounding at most."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_close(found[key], expected[key])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for pair in zip(found, expected, strict=True):
            assert_close(*pair)
    else:
        assert found == pytest.approx(expected, rel=ELSEWHERE, abs=ELSEWHERE)
