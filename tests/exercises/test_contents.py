"""Every exercise of the book: solutions pass, each wrong answer draws its own message."""

import ast
import re
from collections import Counter

import pytest
import sympy as sp
import yaml

from dropout.exercises import find, formulas, ids
from dropout.exercises.forms import MOST_WORDS, Choice, Code, Formula, Number, Open, number
from tests.exercises import cells
from tests.notebooks import normalise

ALL = [find(key) for key in ids()]
CODE = [each for each in ALL if isinstance(each, Code)]
FUNCTIONS = {name: getattr(sp, name, sp.log) for name in formulas.FUNCTIONS} | {"abs": sp.Abs}
BY_KIND = {False: 3, True: 6}  # the smallest gallery, of others and of code


def named(exercises):
    return pytest.mark.parametrize("exercise", exercises, ids=lambda each: each.id)


def gallery(exercise):
    """The wrong answers of an exercise, as `judge` takes them, and what each must be told."""
    if isinstance(exercise, Code):
        return [(exercise.made(source), says) for source, says in exercise.gallery]
    return [(wrong.answer, wrong.says) for wrong in exercise.wrong]


def words(text):
    return len(text.split())


@named(ALL)
def test_the_solution_passes(exercise):
    result = exercise.judge(exercise.right())
    assert result.passed, result.message
    assert words(result.message) <= MOST_WORDS


@named(ALL)
def test_every_wrong_answer_is_told_its_own_message(exercise):
    messages = [says for _, says in gallery(exercise)]
    for answer, says in gallery(exercise):
        result = exercise.judge(answer)
        assert not result.passed, says
        assert [each for each in messages if each in result.message] == [says], result.message
        assert words(result.message) <= MOST_WORDS


@named(ALL)
def test_the_gallery_is_large_enough(exercise):
    least = BY_KIND[isinstance(exercise, Code)]
    if isinstance(exercise, Choice):
        assert {w.answer for w in exercise.wrong} == set(exercise.options) - {exercise.answer}
        least = len(exercise.options) - 1
        assert least >= 2
    assert len(exercise.wrong) >= least


def test_no_two_misconceptions_share_a_message():
    said = Counter(wrong.says for exercise in ALL for wrong in exercise.wrong)
    assert max(said.values()) == 1


@named(CODE)
def test_other_right_answers_pass(exercise):
    assert len(exercise.alike) >= 2
    for source in exercise.alike:
        broken, gap, _, _ = exercise.tried(exercise.made(source))
        assert broken is None, f"{gap}\n{source}"


@named(CODE)
def test_what_a_reader_begins_with_is_no_attempt(exercise):
    statement_by_statement = {}  # as a notebook compiles a cell
    for statement in ast.parse(exercise.given).body:
        code = compile(ast.Module([statement], []), "<cell>", "exec")
        exec(code, statement_by_statement)
    for given in (exercise.made(exercise.given), statement_by_statement[exercise.name]):
        result = exercise.judge(given)
        assert (result.attempted, str(result)) == (False, "Not attempted yet.")


@named([each for each in ALL if isinstance(each, Formula)])
def test_equal_forms_of_a_formula_pass(exercise):
    assert exercise.equal
    for text in exercise.equal:
        assert exercise.judge(text).passed, text


def as_sympy(exercise, text):
    """A formula as SymPy has it, with the exercise's other names replaced by what they are."""
    space = {name: in_domain(name, values) for name, values in exercise.names.items()}
    for name, also in exercise.also.items():
        space[name] = built(formulas.parse(also, exercise.names), space)
    return built(formulas.parse(text, space), space)


def in_domain(name, values):
    """A symbol for what a name may be, so that SymPy knows the signs of 1 - p and k - 1."""
    positive = sp.Symbol(name, positive=True)
    if min(values) <= 0:
        return sp.Symbol(name, real=True)
    return 1 / (1 + positive) if max(values) < 1 else 1 + positive if min(values) > 1 else positive


def built(tree, space):
    match tree:
        case ("number", value):
            return sp.nsimplify(value, rational=True)
        case ("name", name):
            return space[name]
        case ("call", name, part):
            return FUNCTIONS[name](built(part, space))
        case ("sign +" | "sign -" as sign, part):
            return (-1 if sign == "sign -" else 1) * built(part, space)
        case ("**", left, right):
            return built(left, space) ** built(right, space)
        case (sign, left, right):
            return formulas.OPERATORS[sign](built(left, space), built(right, space))


@named([each for each in ALL if isinstance(each, Formula)])
def test_sympy_certifies_what_the_points_decide(exercise):
    """A dozen points decide; for the book's own forms SymPy proves that they decide rightly."""
    answer = as_sympy(exercise, exercise.answer)
    for text in exercise.equal:
        difference = sp.simplify(sp.expand_log(sp.simplify(as_sympy(exercise, text) - answer)))
        assert difference == 0, text
    for wrong in exercise.wrong:
        assert sp.simplify(as_sympy(exercise, wrong.answer) - answer) != 0, wrong.answer


@named([each for each in ALL if isinstance(each, Number)])
def test_wrong_numbers_lie_apart(exercise):
    values = [exercise.answer, *(number(w.answer) for w in exercise.wrong)]
    for k, one in enumerate(values):
        for other in values[k + 1 :]:
            assert not exercise.near(one, other), (one, other)


@named([each for each in ALL if isinstance(each, Number) and each.follows])
def test_what_would_follow_is_said_of_any_number(exercise):
    for value in ("-3", "0.123", "1e6", "7/3"):
        message = exercise.judge(value).message
        assert "{" not in message
        assert "nan" not in message


@named(ALL)
def test_texts_are_there(exercise):
    assert re.fullmatch(r"\d\d\.\d+", exercise.id)
    assert len(exercise.hints) >= 1
    assert exercise.title
    assert exercise.trains
    assert not exercise.trains.endswith(".")
    for text in (exercise.question, exercise.solution, *exercise.hints):
        assert text.count("$") % 2 == 0, text
        # A backslash that Python has read: "\frac" is a form feed and "rac".
        assert not re.search(r"[\a\b\f\v\r\t]", text), text


def test_there_are_enough():
    counted = Counter(each.id[:2] for each in ALL)
    written = {path.name[:2] for path in normalise.ROOT.glob("chapters/*.ipynb")}
    assert set(counted) == written
    assert min(counted.values()) >= 6
    assert len(ALL) >= 60
    assert sum(each.in_page for each in CODE) >= 8


def test_each_part_has_two_open_experiments():
    opened = Counter(each.id[:2] for each in ALL if isinstance(each, Open))
    toc = yaml.safe_load((normalise.ROOT / "_toc.yml").read_text("utf-8"))
    for part in toc["parts"]:
        files = [chapter["file"] for chapter in part["chapters"]]
        numbers = [file.split("/")[1][:2] for file in files if file.startswith("chapters/")]
        assert not numbers or sum(opened[number] for number in numbers) >= 2, part["caption"]


def test_the_exercises_of_a_chapter_are_counted_from_one():
    for chapter in {each.id[:2] for each in ALL}:
        keys = [each.id for each in ALL if each.id[:2] == chapter]
        assert keys == [f"{chapter}.{k}" for k in range(1, len(keys) + 1)]


@pytest.mark.parametrize("number", sorted({each.id[:2] for each in ALL}))
def test_the_chapter_has_the_cells(number):
    path = cells.chapter(number)
    assert cells.with_exercises(path) == path.read_text("utf-8"), (
        "run: python -m tests.exercises.cells"
    )
