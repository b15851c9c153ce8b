"""Follow every link of the claims ledger to something that exists and checks something."""

import ast
import json
import re
from pathlib import Path

import nbformat
import yaml

VERDICTS = {"holds", "holds if", "overstated", "wrong as written", "context", "open"}
KINDS = {"derived", "enumerated", "sampled", "trained", "cited"}
SOURCES = {"T", "A", "M", "G"}
PROVENANCE = {"command", "seeds", "versions"}

TARGET = re.compile(r"\(([\w.-]+)\)=")
HEADING = re.compile(r"#{1,6} ")
ASSERT = re.compile(r"^\s*assert\b", re.MULTILINE)
SETTLED_HERE = re.compile(r"^\W*Claims settled here:(.*)$", re.MULTILINE)
CLAIM_ROLE = re.compile(r"\{claim\}`([^`]+)`")


class Chapter:
    """A notebook, as far as the ledger asks: its labels' code, its text, the claims it settles."""

    def __init__(self, path: Path):
        self.code_after: dict[str, list[str]] = {}
        self.text = ""
        labels: list[str] = []
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                for label in labels:
                    self.code_after[label].append(cell.source)
            elif cell.cell_type == "markdown":
                self.text += cell.source + "\n"
                labels, found = read_labels(cell.source, labels)
                self.code_after |= {label: [] for label in found}
        self.settles = {
            claim for line in SETTLED_HERE.findall(self.text) for claim in CLAIM_ROLE.findall(line)
        }


def read_labels(markdown: str, labels: list[str]) -> tuple[list[str], list[str]]:
    """The labels that hold at the end of a cell, given those at its start; and all that it sets."""
    follows_label = fenced = False
    found = []
    for line in filter(None, map(str.strip, markdown.splitlines())):
        if line.startswith("```"):
            fenced = not fenced
        label = None if fenced else TARGET.fullmatch(line)
        if label:
            found.append(label[1])
            labels = [*labels, label[1]] if follows_label else [label[1]]
        elif HEADING.match(line) and not fenced and not follows_label:
            labels = []
        follows_label = bool(label)
    return labels, found


def problems(root: Path) -> list[str]:
    """What is wrong with book/ledger.yml, in words that name the claim; [] if all is well."""
    entries = yaml.safe_load((root / "book/ledger.yml").read_text("utf-8"))
    chapters = {path.stem: Chapter(path) for path in sorted((root / "chapters").glob("*.ipynb"))}
    ids = [entry["id"] for entry in entries]
    found = [
        f"{twice}: numbered more than once"
        for twice in sorted({i for i in ids if ids.count(i) > 1})
    ]
    for entry in entries:
        found += [f"{entry['id']}: {what}" for what in entry_problems(entry, chapters, root)]
    settled_in = {
        name: {entry["id"] for entry in entries if settled(entry) and entry.get("chapter") == name}
        for name in chapters
    }
    for name, chapter in chapters.items():
        found += [
            f"{claim}: {name} says that it settles it, the ledger does not"
            for claim in sorted(chapter.settles - settled_in[name])
        ]
        found += [
            f"{claim}: the ledger says that {name} settles it, the chapter does not"
            for claim in sorted(settled_in[name] - chapter.settles)
        ]
    return found


def settled(entry: dict) -> bool:
    return entry["verdict"] != "open"


def entry_problems(entry: dict, chapters: dict[str, Chapter], root: Path) -> list[str]:
    evidence = entry.get("evidence", [])
    found = []
    if not entry["source"] or not set(entry["source"]) <= SOURCES:
        found.append(f"source {entry['source']} is not among {sorted(SOURCES)}")
    if entry["verdict"] not in VERDICTS:
        found.append(f"verdict {entry['verdict']!r} is not one of {sorted(VERDICTS)}")
    if not settled(entry):
        return found + (["open, and yet has evidence"] if evidence else [])
    name = entry.get("chapter")
    if name not in chapters:
        return [*found, f"there is no chapter {name!r}"]
    if not entry.get("because"):
        found.append("no reason is given")
    if not any(is_in_chapter(item, name, chapters[name], entry["verdict"]) for item in evidence):
        found.append(f"no evidence in {name}")
    for item in evidence:
        problem = evidence_problem(item["kind"], item["at"], chapters, root)
        found += [f"{item['kind']} at {item['at']}: {problem}"] if problem else []
    return found


def is_in_chapter(item: dict, name: str, chapter: Chapter, verdict: str) -> bool:
    """Whether the chapter itself shows it; for context, citing the source is showing it."""
    if item["kind"] == "cited":
        return verdict == "context" and item["at"] in chapter.text
    return item["at"].startswith(f"{name}#")


def evidence_problem(kind: str, at: str, chapters: dict[str, Chapter], root: Path) -> str | None:
    if kind not in KINDS:
        return f"the kind is not one of {sorted(KINDS)}"
    if kind == "cited":
        bibliography = (root / "book/references.bib").read_text("utf-8")
        cited = re.search(rf"^@\w+\{{\s*{re.escape(at)}\s*,", bibliography, re.MULTILINE)
        return None if cited else "not in book/references.bib"
    if "#" in at:
        return label_problem(*at.split("#", 1), chapters)
    if "::" in at:
        return test_problem(*at.split("::", 1), root)
    return result_problem(at, root)


def label_problem(name: str, label: str, chapters: dict[str, Chapter]) -> str | None:
    if name not in chapters:
        return f"there is no chapter {name!r}"
    if label not in chapters[name].code_after:
        return "the chapter has no such label"
    if not any(ASSERT.search(code) for code in chapters[name].code_after[label]):
        return "no code cell under the label asserts anything"
    return None


def test_problem(file: str, test: str, root: Path) -> str | None:
    path = root / file
    if not file.startswith("tests/") or not path.is_file():
        return "there is no such test file"
    tree = ast.parse(path.read_text("utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return None if test in names else "the file has no such test"


def result_problem(at: str, root: Path) -> str | None:
    path = root / at
    if not re.fullmatch(r"book/results/[\w.-]+\.json", at) or not path.is_file():
        return "neither chapter#label, tests/file.py::test nor a file book/results/*.json"
    missing = PROVENANCE - json.loads(path.read_text("utf-8")).get("provenance", {}).keys()
    return f"its provenance lacks {sorted(missing)}" if missing else None
