"""A question as a reader sees it: in a terminal, in a notebook."""

import re
import subprocess
import sys

import pytest

from dropout import exercises
from dropout.exercises import exercise, find, ids
from dropout.exercises.forms import defined
from dropout.exercises.question import Question, plain, question_text, solution_text
from tests.exercises.test_contents import ALL, named

NOTEBOOK = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance(colors="NoColor")
shell.kernel = True
shown = []
shell.display_pub.publish = lambda data, **rest: shown.append(sorted(data))
shell.run_cell("from dropout.exercises import exercise; q = exercise('03.1')")
print(shown)
"""


def test_in_a_terminal_the_question_is_printed(capsys):
    q = exercise("03.2")
    printed = capsys.readouterr().out
    assert printed.startswith("Exercise 03.2 · The glossary's 2.0 (a number)")
    assert printed.strip() == repr(q)


def test_in_a_notebook_it_is_rich():
    done = subprocess.run([sys.executable, "-c", NOTEBOOK], capture_output=True, text=True)
    assert done.stdout.strip().endswith("[['text/markdown', 'text/plain']]"), done.stderr


def test_a_name_that_is_none():
    with pytest.raises(ValueError, match=r"no exercise '03\.99'; chapter 03 has 03\.1 to 03\.\d+$"):
        exercise("03.99")
    with pytest.raises(ValueError, match=r"no exercise '99\.1'; there are those of chapters 01,"):
        exercise("99.1")


@pytest.mark.parametrize("key", [3.1, 3, None, ["03.1"]])
def test_a_name_is_a_text(key):
    """As a number, 3.10 would be 3.1."""
    with pytest.raises(ValueError, match=r'a text, such as "03\.2", not by'):
        exercise(key)


@pytest.mark.parametrize("key", ["3.10", " 03.10 "])
def test_a_name_as_people_write_it(key):
    assert find(key).id == "03.10"


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        (r"$\frac14$ of **all**", "1/4 of all"),
        (r"$\frac{m}{q}\,x$ and $\frac1{16}$", "m/q x and 1/16"),
        (r"$\frac{p x^2}{1-p}$", "(p x^2)/(1-p)"),
        (r"$h \cdot w \le 3$ and *one*", "h · w ≤ 3 and one"),
        ("a * b * c and 2**3", "a * b * c and 2**3"),
        (r"$\sqrt{pq}$, $\mathbb{E}[m]$", "sqrt(pq), E[m]"),
        ("`x_1 * y`", "`x_1 * y`"),
    ],
)
def test_formulas_in_plain_text(markdown, text):
    assert plain(markdown) == text


@named(ALL)
def test_plain_texts_have_no_markup_left(exercise):
    for text in (question_text(exercise), solution_text(exercise), *exercise.hints):
        without_code = re.sub(r"```.*?```|`[^`]*`", "", plain(text), flags=re.DOTALL)
        assert "\\" not in without_code, without_code
        assert "$" not in without_code
        assert "frac" not in without_code


def test_ids_are_in_order():
    keys = ids()
    assert keys == sorted(keys, key=lambda key: tuple(map(int, key.split("."))))
    assert all(find(key).id == key for key in keys)
    assert exercises.__all__


def test_a_result_shows_itself():
    q = Question(find("03.1"))
    assert repr(q.check(8)).startswith("03.1: right.")
    assert repr(q.check(6)).startswith("03.1: not yet.\n\n")
    assert q.check(6)._repr_markdown_().startswith("**03.1: not yet.** ")
    assert repr(find("03.1").judge(6)).startswith("Not yet.\n\n")


def test_a_check_that_is_stopped_says_where():
    source = "def dropout(x, p):\n    raise KeyboardInterrupt  # the stop button\n"
    with pytest.raises(KeyboardInterrupt, match=r"stopped in line 2 of your code$") as stopped:
        Question(find("03.6")).check(defined(source, "dropout"))
    assert len(stopped.traceback) == 2  # this cell and `check`
