"""Every question leads to a passage that shows its answer; and the check of that can fail."""

import re
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tests.book import question_rules

ROOT = Path(__file__).parents[2]

PRINTED = [new_output("stream", text="share 0.184 of 1,000\n")]
CHAPTER = new_notebook(
    cells=[
        new_markdown_cell(
            "# One\n\n```{prf:proof}\nClear.\n```\n\n(whole)=\n## A section\n\nIt is 12."
        ),
        new_markdown_cell("(inside)=\nAnd so."),
        new_code_cell("share = 0.184\nassert share", outputs=PRINTED),
        new_markdown_cell("(bare)=\nNothing follows, in 77 words."),
        new_code_cell("x = 1"),
        new_markdown_cell("## Another\n\n99"),
        new_code_cell("assert True"),
    ]
)
QUESTIONS = [
    {
        "id": "one",
        "ask": "How large is the share?",
        "answer": "It is 18 % of 1,000 at $p = 0.3$, or 0.18. Set `p=5`.",
        "at": "01_one#inside",
        "group": "shares",
    },
    {
        "id": "two",
        "ask": "What is it then?",
        "answer": "It is 12, by the page.",
        "at": ["01_one#whole", "book/page#part"],
        "group": "shares",
    },
]


def write_book(root: Path, questions: list[dict]) -> None:
    for folder in ("chapters", "book"):
        (root / folder).mkdir(parents=True)
    nbformat.write(CHAPTER, root / "chapters/01_one.ipynb")
    (root / "book/questions.yml").write_text(yaml.safe_dump(questions))
    (root / "book/questions.md").write_text("# Questions\n\n```{questions} shares\n```\n")
    (root / "book/page.md").write_text("# Page\n\n(part)=\n## Part\n\nText.\n\n(line)=\nMore.\n")


def test_every_question_leads_to_what_shows_its_answer():
    found = question_rules.problems(ROOT)
    assert not found, "\n".join(found)


def test_sound_questions_have_no_problems(tmp_path):
    write_book(tmp_path, QUESTIONS)
    assert not question_rules.problems(tmp_path)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"group": "numbers"}, "one: no group 'numbers' on the page"),
        ({"source": ["Q1"]}, "one: has ['answer', 'ask', 'at', 'group', 'id', 'source'], not"),
        ({"ask": "How large\nis it?"}, "one: asks in more than a line"),
        ({"ask": "What is it, then?"}, "one: the same question as two"),
        ({"id": "two"}, "two: twice"),
        ({"answer": "No. No. No."}, "one: answers in 3 words and 3 sentences"),
        ({"answer": "no " * 61 + "."}, "one: answers in 62 words and 1 sentences"),
        ({"answer": "It is 19 %."}, "one: 19 stands nowhere in 01_one#inside"),
        ({"answer": "It is 0.183."}, "one: 0.183 stands nowhere in 01_one#inside"),
        ({"answer": "It is 12."}, "one: 12 stands nowhere in 01_one#inside"),
        ({"at": "02_two#inside"}, "one: 02_two#inside: there is no such page"),
        ({"at": "01_one#nowhere"}, "one: 01_one#nowhere: the page has no such label"),
        ({"at": "01_one#bare"}, "one: 01_one#bare: no code cell asserts anything, and"),
        ({"at": "book/page#line"}, "one: book/page#line: the label is not that of a section"),
    ],
)
def test_a_broken_question_is_named(tmp_path, change, complaint):
    questions = deepcopy(QUESTIONS)
    questions[0].update(change)
    write_book(tmp_path, questions)
    found = question_rules.problems(tmp_path)
    assert any(each.startswith(complaint) for each in found), found


def test_a_group_without_questions_is_named(tmp_path):
    write_book(tmp_path, [])
    assert question_rules.problems(tmp_path) == ["shares: no question"]


def test_a_passage_ends_where_the_next_begins(tmp_path):
    write_book(tmp_path, QUESTIONS)
    chapter = tmp_path / "chapters/01_one.ipynb"
    whole, inside = (question_rules.passage(chapter, label) for label in ("whole", "inside"))
    assert (whole.is_section, inside.is_section) == (True, False)
    assert [each in whole.text for each in ("12", "0.184", "77", "99")] == [True] * 3 + [False]
    assert [each in inside.text for each in ("12", "0.184", "77")] == [False, True, False]


def test_a_figure_that_is_off_by_one_in_its_last_place_is_mostly_noticed():
    """The power of the check: numbers nearby could stand in the passage for another reason."""
    entries = yaml.safe_load((ROOT / "book/questions.yml").read_text("utf-8"))
    noticed = []
    for entry in entries:
        places = entry["at"] if isinstance(entry["at"], list) else [entry["at"]]
        shown = [question_rules.passage_at(place, ROOT) for place in places]
        text = "\n".join(each.text for each in shown if not isinstance(each, str))
        answer = question_rules.FORMULA_OR_CODE.sub(" ", entry["answer"])
        for match in question_rules.NUMBER.finditer(answer):
            for step in (-1, 1):
                wrong = answer[: match.start()] + off_by(match[0], step) + answer[match.end() :]
                noticed.append(bool(question_rules.unseen(wrong, text)))
    assert sum(noticed) > 0.65 * len(noticed)


def off_by(written: str, step: int) -> str:
    decimals = len(written.partition(".")[2])
    value = float(re.sub(",", "", written)) + step * 10**-decimals
    return f"{abs(value):.{decimals}f}"
