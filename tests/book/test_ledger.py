"""Every verdict of the ledger rests on evidence that exists; and the check of that can fail."""

import json
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tests.book.ledger_rules import problems

ROOT = Path(__file__).parents[2]

CHAPTER = new_notebook(
    cells=[
        new_markdown_cell("# One\n\n(derived-one)=\n## Derived\n\nIn symbols."),
        new_code_cell("x = 1"),
        new_code_cell("assert x == 1"),
        new_markdown_cell("(bare)=\nNothing follows."),
        new_markdown_cell("## Elsewhere"),
        new_code_cell("assert True"),
        new_markdown_cell(
            "After {cite}`someone2014`.\n\nClaims settled here: {claim}`C10` {claim}`C11`."
        ),
    ]
)
LEDGER = [
    {
        "id": "C10",
        "source": ["T", "G"],
        "claim": "It holds.",
        "chapter": "01_one",
        "verdict": "holds",
        "because": "It does.",
        "evidence": [
            {"kind": "derived", "at": "01_one#derived-one"},
            {"kind": "sampled", "at": "tests/test_it.py::test_it"},
            {"kind": "trained", "at": "book/results/it.json"},
        ],
    },
    {
        "id": "C11",
        "source": ["M"],
        "claim": "It was so.",
        "chapter": "01_one",
        "verdict": "context",
        "because": "It was.",
        "evidence": [{"kind": "cited", "at": "someone2014"}],
    },
    {"id": "C12", "source": ["A"], "claim": "Who knows?", "verdict": "open"},
]


def write_book(root: Path, ledger: list[dict]) -> None:
    for folder in ("chapters", "book/results", "tests"):
        (root / folder).mkdir(parents=True)
    nbformat.write(CHAPTER, root / "chapters/01_one.ipynb")
    (root / "book/ledger.yml").write_text(yaml.safe_dump(ledger))
    (root / "book/references.bib").write_text("@article{someone2014,\n}\n")
    (root / "tests/test_it.py").write_text("def test_it():\n    assert True\n")
    provenance = {"command": "make", "seeds": [0], "versions": {}}
    (root / "book/results/it.json").write_text(json.dumps({"provenance": provenance}))
    (root / "book/results/bare.json").write_text("{}")


def test_every_claim_rests_on_evidence_that_exists():
    found = problems(ROOT)
    assert not found, "\n".join(found)


def test_a_sound_ledger_has_no_problems(tmp_path):
    write_book(tmp_path, LEDGER)
    assert not problems(tmp_path)


@pytest.mark.parametrize(
    ("claim", "change", "complaint"),
    [
        (0, {"verdict": "true"}, "C10: verdict 'true' is not one of"),
        (0, {"verdict": "open"}, "C10: open, and yet has evidence"),
        (0, {"source": ["X"]}, "C10: source ['X'] is not among"),
        (0, {"chapter": "09_nine"}, "C10: there is no chapter '09_nine'"),
        (0, {"because": ""}, "C10: no reason is given"),
        (0, {"evidence": []}, "C10: no evidence in 01_one"),
        (0, {"id": "C11"}, "C11: numbered more than once"),
        (0, {"id": "C13"}, "C13: the ledger says that 01_one settles it, the chapter does not"),
        (0, {"id": "C13"}, "C10: 01_one says that it settles it, the ledger does not"),
        (1, {"verdict": "holds"}, "C11: no evidence in 01_one"),
    ],
)
def test_a_broken_entry_is_named(tmp_path, claim, change, complaint):
    ledger = deepcopy(LEDGER)
    ledger[claim].update(change)
    write_book(tmp_path, ledger)
    assert any(each.startswith(complaint) for each in problems(tmp_path))


@pytest.mark.parametrize(
    ("kind", "at", "complaint"),
    [
        ("guessed", "01_one#derived-one", "the kind is not one of"),
        ("derived", "01_one#nowhere", "the chapter has no such label"),
        ("derived", "02_two#derived-one", "there is no chapter '02_two'"),
        ("derived", "01_one#bare", "no code cell under the label asserts anything"),
        ("sampled", "tests/test_no.py::test_it", "there is no such test file"),
        ("sampled", "tests/test_it.py::test_no", "the file has no such test"),
        ("trained", "book/results/no.json", "neither chapter#label"),
        (
            "trained",
            "book/results/bare.json",
            "its provenance lacks ['command', 'seeds', 'versions']",
        ),
        ("cited", "nobody1999", "not in book/references.bib"),
    ],
)
def test_a_broken_link_is_named(tmp_path, kind, at, complaint):
    ledger = deepcopy(LEDGER)
    ledger[0]["evidence"].append({"kind": kind, "at": at})
    write_book(tmp_path, ledger)
    (problem,) = problems(tmp_path)
    assert problem.startswith(f"C10: {kind} at {at}: {complaint}")
