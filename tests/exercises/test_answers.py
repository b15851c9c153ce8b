"""Answers of every kind: what they are told, and that the notebook lives on."""

import contextlib
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch

from dropout.exercises import find, forms, running
from dropout.exercises.forms import MOST_WORDS, Code
from dropout.exercises.probes import Broken
from tests.exercises.test_contents import ALL, CODE, named

LIMIT = 0.3


def never_ends(*args):
    while True:
        pass


def swallows(*args):
    while True:
        try:
            count = 0
            while True:
                count += 1
        except:  # noqa: E722
            pass


def sleeps(*args):
    time.sleep(1000)


def raises(*args):
    return [][3]


def recurses(*args):
    return recurses(*args)


def exits(*args):
    sys.exit("enough")


def gives_none(*args):
    print("a line" * 1000)


def gives_text(*args):
    return "abc"


def yields(*args):
    yield 1


def asks_for_a_gpu(*args):
    return torch.zeros(3).to("cuda")


def long_words(*args):
    raise ValueError("word " * 5000)


FUNCTIONS = (raises, recurses, exits, gives_none, gives_text, yields, long_words)
OTHERS = (5, "abc", [1.0], {}, object(), float, np.zeros(3), torch.zeros(2, 2), b"x", print, 1j)

TEXTS = ("", " ", "__import__('os').system('echo ran')", "9**9**9", "(" * 5000, "\0", float("nan"))


@named(ALL)
def test_whatever_is_given_is_answered_in_words(exercise, capfd):
    before = random.getstate(), torch.get_rng_state()
    for answer in (*OTHERS, *FUNCTIONS, *TEXTS):
        result = exercise.judge(answer)
        assert not result.passed, answer
        assert result.message
        assert len(result.message.split()) <= MOST_WORDS
        assert "Traceback" not in result.message
    assert capfd.readouterr() == ("", ""), "an answer printed"
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


@named(ALL)
def test_no_answer_is_no_attempt(exercise):
    for answer in (None, ...):
        assert str(exercise.judge(answer)) == "Not attempted yet."


@pytest.fixture
def quick(monkeypatch) -> Code:
    """Exercise 03.6 with a short time limit."""
    exercise = find("03.6")
    monkeypatch.setitem(exercise.__dict__, "seconds", LIMIT)
    return exercise


@pytest.mark.parametrize("answer", [never_ends, sleeps, swallows])
def test_what_never_ends_is_stopped(quick, answer):
    begin, handler = time.monotonic(), signal.getsignal(signal.SIGALRM)
    message = quick.judge(answer).message
    assert "does not end within 0.3 seconds" in message
    assert time.monotonic() - begin < 20 * LIMIT
    assert signal.getsignal(signal.SIGALRM) is handler
    time.sleep(2 * running.AGAIN)  # nothing rings after the check


@pytest.mark.parametrize("answer", [never_ends])
def test_in_another_thread_too(quick, answer):
    said = []

    def check():
        said.append(quick.judge(answer).message)
        time.sleep(2 * running.AGAIN)  # nothing is thrown after the check
        said.append("lives")

    thread = threading.Thread(target=check)
    thread.start()
    thread.join(60)
    assert "does not end within 0.3 seconds" in said[0]
    assert said[1:] == ["lives"]


PROFILED = """
import sys, threading, time
from dropout.exercises import running

def never():
    while True:
        pass

def stopped():
    for body in (never, lambda: None, lambda: time.sleep(0.05)):
        try:
            running.limited(body, 0.05)
        except running.TimeUp:
            pass

thread = threading.Thread(target=stopped)
thread.start()
thread.join()
sys.setprofile(lambda *event: None)
print(sum(map(int, "12")))
"""


def test_a_stop_in_another_thread_leaves_nothing_pending():
    # An exception that Python is never rid of has it wait for ever under a profiler.
    done = subprocess.run([sys.executable, "-c", PROFILED], capture_output=True, timeout=120)
    assert done.stdout == b"3\n", done.stderr


def test_what_swallows_every_error_is_stopped_once_it_listens(quick):
    def stubborn(x, p):
        for _ in range(3):
            try:
                while True:
                    pass
            except BaseException as error:
                kept = error
        raise kept

    assert "does not end" in quick.judge(stubborn).message


def test_an_alarm_at_the_very_end_is_not_heard_later():
    handler = signal.getsignal(signal.SIGALRM)
    for _ in range(1000):
        with contextlib.suppress(running.TimeUp):
            running.limited(lambda: time.sleep(0.0004), 0.0005)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is handler


def test_an_alarm_that_another_thread_hands_on_is_not_heard_later(monkeypatch):
    """It may come while the handler that was there before is put back."""
    handler, put_back = signal.getsignal(signal.SIGALRM), signal.signal

    def late(number, action):
        if action is handler:
            signal.raise_signal(signal.SIGALRM)
        return put_back(number, action)

    monkeypatch.setattr(signal, "signal", late)
    assert running.limited(lambda: "done", 10) == "done"
    assert signal.getsignal(signal.SIGALRM) is handler


def test_the_line_of_an_error_is_the_readers_own(quick):
    source = "def dropout(x, p):\n    q = 1 - p\n    return x[len(x)] / q\n"
    message = quick.judge(forms.defined(source, "dropout")).message
    assert "IndexError" in message
    assert "in line 3 of your code" in message


@pytest.mark.parametrize("part", ["self.p = p", "self.p = torch.nn.Parameter(torch.ones(1))"])
def test_a_module_that_is_not_begun(part):
    source = (
        "import torch\nclass Dropout(torch.nn.Module):\n"
        f"    def __init__(self, p):\n        {part}\n    def forward(self, x):\n        return x\n"
    )
    message = find("03.9").judge(forms.defined(source, "Dropout")).message
    assert "Next: begin `__init__` with `super().__init__()`." in message


def test_a_class_in_place_of_a_function(quick):
    assert "this is the class `Linear`: write" in quick.judge(torch.nn.Linear).message


def test_a_changed_input_is_seen(quick):
    def dropout(x, p):
        for k in range(len(x)):
            x[k] = 0.0
        return x

    assert "changes its input" in quick.judge(dropout).message


def test_a_gpu_is_not_needed(quick):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert "asks for a GPU" in quick.judge(asks_for_a_gpu).message


def test_global_generators_go_on_as_if_nothing_had_been(quick):
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    torch.manual_seed(3)
    wanted = np.random.rand(), random.random(), torch.rand(1).item()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    torch.manual_seed(3)
    quick.judge(lambda x, p: torch.manual_seed(0) and x)
    assert (np.random.rand(), random.random(), torch.rand(1).item()) == wanted  # noqa: NPY002


@named([each for each in CODE if each.takes == "lists"])
def test_a_solution_may_be_any_callable(exercise):
    class Wrapped:
        def __init__(self, function):
            self.function = function

        def __call__(self, *args):
            return self.function(*args)

    assert exercise.judge(Wrapped(exercise.right())).passed


def test_broken_carries_gap_and_step():
    with pytest.raises(Broken) as caught:
        running.run(lambda: 1 / 0, None, 1.0, 0)
    gap, step = caught.value.args
    assert "ZeroDivisionError" in gap
    assert step
