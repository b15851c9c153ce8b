"""Follow every link of the questions page to a passage that shows what the answer says."""

import re
from difflib import SequenceMatcher
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import nbformat
import yaml

from tests.book.ledger_rules import ASSERT, HEADING, TARGET

FIELDS = {"id", "ask", "answer", "at", "group"}
MOST_WORDS, MOST_SENTENCES, MOST_ALIKE = 60, 2, 0.85
DIRECTIVE = re.compile(r"^```\{questions\} (.+)$", re.MULTILINE)
FORMULA_OR_CODE = re.compile(r"\$[^$]*\$|`[^`]*`")
NUMBER = re.compile(r"(?<![\w.])(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d+)?(?![\w])")
PERCENT = re.compile(r"\s*(?:%|per cent|percent)")


class Passage(NamedTuple):
    """What stands between a label and the end of what it labels."""

    text: str  # Markdown, code, outputs
    asserts: bool  # whether a code cell in it asserts anything
    cites: bool
    is_section: bool  # whether the label stands right above a heading


def passage(path: Path, label: str) -> Passage | None:
    """What a label leads to: a section if it stands above a heading, else up to the next label."""
    parts = None  # None before the label
    level, pending, asserts = None, False, False  # the heading's; only labels since the label
    for is_code, line in lines(path):
        depth = line.index(" ") if not is_code and HEADING.match(line) else None
        target = None if is_code else TARGET.fullmatch(line)
        if parts is None:
            if target and target[1] == label:
                parts, pending = [], True
            continue
        if pending:
            level = depth or level
        elif (depth and depth <= (level or depth)) or (target and not level):
            break
        pending &= bool(target) or not line
        asserts |= is_code and bool(ASSERT.match(line))
        parts.append(line)
    if parts is None:
        return None
    text = "\n".join(parts)
    return Passage(text, asserts, "{cite" in text, bool(level))


def lines(path: Path):
    """The page's lines in order, and whether each is code: of a cell, printed, or fenced."""
    if path.suffix == ".md":
        yield from lines_of(path.read_text("utf-8"))
        return
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            yield from lines_of(cell.source)
            continue
        yield from ((True, line) for line in cell.source.splitlines())
        for output in cell.outputs:
            text = output.get("text") or output.get("data", {}).get("text/plain", "")
            yield from ((True, f"> {line}") for line in text.splitlines())  # asserts nothing


def lines_of(markdown: str):
    fences = []  # of each that is open, whether what is in it is text
    for line in map(str.strip, markdown.splitlines()):
        info = line.strip("`")
        if line.startswith("```") and (info or not fences):
            fences.append("{prf:" in info or "{admonition}" in info)
        elif line.startswith("```"):
            fences.pop()
        yield not all(fences), line


def problems(root: Path) -> list[str]:
    """What is wrong with book/questions.yml, in words that name the question; [] if all is well."""
    entries = yaml.safe_load((root / "book/questions.yml").read_text("utf-8"))
    groups = DIRECTIVE.findall((root / "book/questions.md").read_text("utf-8"))
    found = [f"{group}: no question" for group in groups if group not in of(entries, "group")]
    found += [f"{group}: twice on the page" for group in set(groups) if groups.count(group) > 1]
    names = of(entries, "id")
    found += [f"{name}: twice" for name in sorted({n for n in names if names.count(n) > 1})]
    for entry in entries:
        found += [f"{entry.get('id')}: {what}" for what in entry_problems(entry, groups, root)]
    for one, other in combinations(entries, 2):
        if alike(one["ask"], other["ask"]) > MOST_ALIKE:
            found.append(f"{one['id']}: the same question as {other['id']}")
    return found


def of(entries: list[dict], field: str) -> list[str]:
    return [entry.get(field) for entry in entries]


def alike(one: str, other: str) -> float:
    words = [re.findall(r"\w+", text.casefold()) for text in (one, other)]
    return SequenceMatcher(None, *words, autojunk=False).ratio()


def entry_problems(entry: dict, groups: list[str], root: Path) -> list[str]:
    if entry.keys() != FIELDS:
        return [f"has {sorted(entry)}, not {sorted(FIELDS)}"]
    found = [] if entry["group"] in groups else [f"no group {entry['group']!r} on the page"]
    if "\n" in entry["ask"].strip():
        found.append("asks in more than a line")
    words, sentences = len(entry["answer"].split()), sentences_of(entry["answer"])
    if words > MOST_WORDS or sentences > MOST_SENTENCES:
        found.append(f"answers in {words} words and {sentences} sentences")
    places = entry["at"] if isinstance(entry["at"], list) else [entry["at"]]
    shown = {place: passage_at(place, root) for place in places}
    found += [f"{place}: {what}" for place, what in shown.items() if isinstance(what, str)]
    sound = [what for what in shown.values() if isinstance(what, Passage)]
    if sound and not any(shows(what, place) for place, what in shown.items()):
        found.append(f"{', '.join(places)}: no code cell asserts anything, and no source is cited")
    text = "\n".join(what.text for what in sound)
    missing = unseen(entry["answer"], text) if text else []
    return found + [f"{number} stands nowhere in {', '.join(places)}" for number in missing]


def sentences_of(answer: str) -> int:
    return len(re.findall(r"[.?!](?=\s|$)", FORMULA_OR_CODE.sub("x", answer.strip())))


def passage_at(place: str, root: Path) -> Passage | str:
    """What a place page#label leads to, or what is wrong with it."""
    page, _, label = place.partition("#")
    folder = "" if page.startswith("book/") else "chapters/"
    paths = [root / f"{folder}{page}.{suffix}" for suffix in ("ipynb", "md")]
    path = next(filter(Path.is_file, paths), None)
    if path is None:
        return "there is no such page"
    found = passage(path, label)
    if found is None:
        return "the page has no such label"
    return found if folder or found.is_section else "the label is not that of a section"


def shows(what: Passage | str, place: str) -> bool:
    """Whether a passage shows anything: by an assertion, or by a source; other pages have tests."""
    return isinstance(what, Passage) and (what.asserts or what.cites or place.startswith("book/"))


def unseen(answer: str, text: str) -> list[str]:
    """The answer's figures, outside of formulas and code, that the text does not show.

    A figure is shown by a number that rounds to it, or by a share that does if it is a percentage.
    """
    known = [value for _, value, _ in numbers(text)]
    return [
        written
        for written, value, percent in numbers(FORMULA_OR_CODE.sub(" ", answer))
        if not any(rounds_to(each, value, written) for each in known)
        and not (percent and any(rounds_to(100 * each, value, written) for each in known))
    ]


def numbers(text: str) -> list[tuple[str, float, bool]]:
    """Each number of a text: as written, its value, and whether it is a percentage."""
    return [
        (match[0], float(match[0].replace(",", "")), bool(PERCENT.match(text, match.end())))
        for match in NUMBER.finditer(text)
    ]


def rounds_to(value: float, rounded: float, written: str) -> bool:
    decimals = len(written.partition(".")[2])
    return abs(value - rounded) <= 0.5 * 10**-decimals * (1 + 1e-9)
