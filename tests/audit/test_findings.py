"""Findings as they are read: a sequence, a table, HTML, JSON, an exit status."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from dropout.__main__ import main
from dropout.audit import CONFIDENCE, KINDS, Finding, Findings, audit
from tests.audit.planted import FAULTS, MODELS
from tests.audit.sound import features, mlp

TWO = (
    Finding("keep-for-drop", "a", None, {"p": 0.9}, "It drops 90 %.", "possible", "p=0.1"),
    Finding("reseeds", "", "net.py:3", {"seed": float("nan")}, "a < b", "certain", "take it out"),
)


def faulty():
    return nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Dropout(1.0), nn.Linear(8, 4))


def make_faulty():
    return faulty(), features(8, 12)


def make_sound():
    return mlp(), (), {"input": features(8, 12)}


def make_failing():
    return mlp(), [features(8, 3)]


def make_nothing():
    return 7


def make_error():
    raise KeyError("weights")


def test_they_are_a_sequence_the_certain_ones_first():
    findings = Findings(TWO)
    assert len(findings) == 2
    assert [f.confidence for f in findings] == ["certain", "possible"]
    assert findings[1] is TWO[0]
    assert list(findings[:1]) == [TWO[1]]
    assert findings.kinds() == ["reseeds", "keep-for-drop"]


def test_one_fault_in_one_place_is_told_once():
    assert len(Findings([*TWO, *TWO])) == 2


def test_a_terminal_shows_kind_place_evidence_confidence_and_mend():
    assert repr(Findings(TWO)).splitlines() == [
        "2 findings",
        " 1  reseeds               (the model) (net.py:3)  [certain]",
        "    a < b",
        "    mend: take it out",
        " 2  keep-for-drop         a  [possible]",
        "    It drops 90 %.",
        "    mend: p=0.1",
    ]
    assert repr(Findings([])) == "nothing found"


def test_html_is_a_table_of_escaped_text():
    html = Findings(TWO)._repr_html_()
    assert html.count("<tr") == 3
    assert "a &lt; b" in html
    assert "a < b" not in html
    assert Findings([])._repr_html_() == "<p>nothing found</p>"


def test_json_holds_all_and_is_valid_with_a_nan():
    rows = json.loads(Findings(TWO).to_json())
    assert rows[0]["where"] == "(the model) (net.py:3)"
    assert rows[0]["evidence"] == {"seed": "nan"}
    assert rows[1] == {
        "kind": "keep-for-drop", "module": "a", "source": None, "evidence": {"p": 0.9},
        "sentence": "It drops 90 %.", "confidence": "possible", "mend": "p=0.1", "where": "a",
    }  # fmt: skip


def test_evidence_of_an_audit_is_numbers_that_json_holds():
    torch.manual_seed(1)
    findings = audit(faulty(), features(8, 12))
    assert json.loads(findings.to_json())[0]["evidence"] == {"p": 1.0, "call": "dropout"}
    assert findings[0].where == "2"


@pytest.mark.parametrize(("name", "value"), [("kind", "odd"), ("confidence", "sure")])
def test_other_kinds_and_confidences_are_refused(name, value):
    fields = {**vars(TWO[0]), name: value}
    with pytest.raises(ValueError, match=rf"{name} must be one of .*, got '{value}'"):
        Finding(**fields)


def test_each_kind_of_an_audit_is_planted_in_a_test_and_explained():
    planted = {f.kind for f in FAULTS.values()} | {kind for kind, *_ in MODELS.values()}
    watched = list(KINDS)[list(KINDS).index("same-mask-each-step") :]
    assert planted == KINDS.keys() - set(watched)
    for text in (*KINDS.values(), *CONFIDENCE.values()):
        assert len(text.split()) > 3


def status(*arguments):
    with pytest.raises(SystemExit) as end:
        main(["audit", *arguments])
    return end.value.code


@pytest.fixture
def here(monkeypatch):
    """This module, by a name that can be imported."""
    monkeypatch.setitem(sys.modules, "models_to_audit", sys.modules[__name__])
    monkeypatch.setattr(sys, "path", sys.path[:])
    return "models_to_audit"


def test_the_exit_status_says_whether_there_are_findings(here, capsys, tmp_path):
    file = tmp_path / "findings.json"
    assert status(f"{here}:make_faulty", "--json", str(file)) == 1
    assert re.match(r"1 finding\n 1  drops-everything +2  \[certain\]\n", capsys.readouterr().out)
    assert json.loads(file.read_text("utf-8"))[0]["kind"] == "drops-everything"
    assert status(f"{here}:make_sound", "--json", str(file)) == 0
    assert capsys.readouterr().out == "nothing found\n"
    assert json.loads(file.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("models_to_audit", "is no module:factory"),
        ("no_such_module_is_here:make", "cannot be imported: No module named"),
        ("models_to_audit:make_it", "cannot be imported: .* has no attribute 'make_it'"),
        ("models_to_audit:make_nothing", "must return .*, got int"),
        ("models_to_audit:features.__defaults__", "must be a function of no arguments, got "),
        ("models_to_audit:make_error", r"Traceback(.|\n)*make_error fails: KeyError: 'weights'"),
        ("models_to_audit:make_failing", "'0', a Linear, fails in evaluation: RuntimeError"),
    ],
)
def test_what_cannot_be_audited_ends_with_status_2(here, capsys, factory, message):
    assert status(factory) == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_folder_that_is_not_there_is_named_before_anything_runs(here, capsys, tmp_path):
    assert status(f"{here}:make_sound", "--json", str(tmp_path / "no" / "file")) == 2
    assert "--json: there is no folder" in capsys.readouterr().err


def test_the_page_tells_of_each_kind_and_confidence_in_the_same_words():
    page = (Path(__file__).parents[2] / "book" / "api" / "audit.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `?([\w-]+)`? \| (.+) \|$", page, re.MULTILINE))
    told = {name: text for name, text in rows.items() if name not in ("kind", "confidence")}
    assert told == {**KINDS, **CONFIDENCE}
