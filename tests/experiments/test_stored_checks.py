"""Each study's small run, done again: does the code still do what made the stored results?"""

import json

import pytest

from dropout.experiments import read
from dropout.experiments.results import FOLDERS
from dropout.experiments.study import CHECK, find, names

STORED = [name for name in names() if (FOLDERS[0] / f"{name}.json").is_file()]
# On another processor sums round otherwise, and training makes that larger: on a GPU the networks
# differed by up to 2 %, and by .0007 of a small loss. Counts change by whole ones and are left out.
RELATIVE, OF_ERRORS, OF_OTHERS = 0.03, 0.1, 0.001
COUNTED = {"wrong", "pictures", "activations", "means"}


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
    assert_close(found, stored["check"]["result"])


def assert_close(found, expected, name=""):
    """The same shape, and numbers that differ by rounding at most; an error is in %."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected.keys() - COUNTED:
            assert_close(found[key], expected[key], name if key in ("mean", "sd") else key)
    elif isinstance(expected, list):
        for pair in zip(found, expected, strict=True):
            assert_close(*pair, name)
    elif expected is None:
        assert found is None, name
    else:
        within = OF_ERRORS if name == "error" else OF_OTHERS
        assert found == pytest.approx(expected, rel=RELATIVE, abs=within), name
