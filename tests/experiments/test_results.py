"""Stored results: written in one step, with provenance, and read through the package."""

import pytest

from dropout.experiments import read, results, write


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FOLDERS", (tmp_path,))
    return tmp_path


def test_what_is_written_is_read(folder):
    write("study", "make study", [1, 2], losses={"a": [0.5]})
    found = read("study")
    assert found["losses"] == {"a": [0.5]}
    assert found["provenance"]["command"] == "make study"
    assert found["provenance"]["seeds"] == [1, 2]
    assert {"python", "numpy", "scipy", "torch"} <= found["provenance"]["versions"].keys()
    assert [path.name for path in folder.iterdir()] == ["study.json"]


def test_an_unknown_study_is_refused_with_the_known_ones(folder):
    write("study", "make study", [])
    with pytest.raises(FileNotFoundError, match=r"'studdy'; there are study"):
        read("studdy")


def test_the_book_results_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read("enumeration")["units"] == 20
