"""The kinds of exercises: what one is made of, and how an answer to it is judged.

Each chapter's exercises are a list of these, in a file of their own (`chapter_03.py` for chapter
03). An entry holds all there is to say of an exercise: the question, how an answer is checked, a
ladder of hints, a worked solution, and a gallery of wrong answers with the message each must draw.
"""

import ast
import dis
import functools
import inspect
import math
import random
import re
import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from dropout.exercises import formulas, probes, running
from dropout.exercises.probes import shown

MOST_WORDS = 160  # of a message
KEY = 20260114  # where the global generators begin in a check
RATES = (0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95)  # where formulas are tried
COINS = 4  # sets of coins that the gallery of a question on code is tried with


@dataclass(frozen=True)
class Result:
    """What `check` says of an answer.

    - `passed`: Whether the answer is right.
    - `message`: What it is told, in Markdown.
    - `attempted`: Whether there was an answer.
    - `asked`: Which exercise asks, "03.2": in a notebook, `q` may be an earlier one.
    """

    passed: bool
    message: str
    attempted: bool = True
    asked: str = ""

    @property
    def head(self) -> str:
        """The verdict, before the message."""
        verdict = "Right." if self.passed else "Not yet."
        return f"{self.asked}: {verdict.lower()}" if self.asked else verdict

    def __repr__(self) -> str:
        return f"{self.head}\n\n{self.message}".rstrip() if self.attempted else self.message

    def _repr_markdown_(self) -> str:
        return f"**{self.head}** {self.message}".rstrip() if self.attempted else self.message


@dataclass(frozen=True)
class Wrong:
    """A wrong answer that people give, and what it is told."""

    answer: Any
    says: str


@dataclass(frozen=True)
class Slip:
    """A wrong answer to a question on code: the solution with one piece replaced by another."""

    old: str
    new: str
    says: str


@dataclass(frozen=True, kw_only=True)
class Exercise(ABC):
    """What exercises of all kinds have.

    - `id`: Chapter and number in it, "03.2".
    - `title`: A few words.
    - `trains`: What it is good for, after "Trains ".
    - `question`: Markdown, with formulas between dollars.
    - `hints`: A ladder: each rung says a little more; the last leaves only the doing.
    - `solution`: The worked solution, in Markdown. For code, what there is to say of it.
    - `wrong`: The gallery: wrong answers, each with its own message.
    - `after`: What is said after "Right.".
    - `reveals`: For a prediction: the name of the figure, or the label of the section, that
      settles it, which the page shows once the reader has committed.
    """

    id: str
    title: str
    trains: str
    question: str
    hints: Sequence[str]
    solution: str
    wrong: Sequence[Wrong] = ()
    after: str = ""
    reveals: str = ""

    kind: ClassVar[str]

    def judge(self, answer: Any) -> Result:
        """What an answer is told. Raises nothing, whatever the answer is."""
        if answer is None or answer is ...:
            return NOT_ATTEMPTED
        try:
            return self._judge(answer)
        except formulas.FormulaError as error:
            return Result(False, str(error))

    @abstractmethod
    def _judge(self, answer: Any) -> Result: ...

    @abstractmethod
    def right(self) -> Any:
        """An answer that is right, as `check` takes it."""

    @property
    @abstractmethod
    def how(self) -> str:
        """How it is answered, in Markdown."""

    @property
    def start(self) -> str:
        """The source of the notebook's cell for an answer, before there is one."""
        return "answer = ...\nq.check(answer)"


NOT_ATTEMPTED = Result(False, "Not attempted yet.", attempted=False)
MORE = "Next: take a hint, `q.hint()`."
NO_NUMBER = (
    "This is no number: write one with a point, without commas and without a unit, such as "
    "`0.25`, `2/3`, `50%` or `ln(2)`."
)
ROUNDED = 0.03  # so near, a number may be the right one with too few digits
CLOSE = "Next: it is within 3% of the answer; if you have rounded, give more digits."


def number(answer: Any) -> float:
    """The number that a reader gives, as a number of any library or a text such as "2/3".

    Raises FormulaError, with words for the reader, where it is none.
    """
    if isinstance(answer, str):
        text = answer.strip()
        if not text:
            raise formulas.FormulaError("There is no number yet.")
        try:
            tree = formulas.parse(text.rstrip("%"), ["pi", "e"])
        except formulas.FormulaError:
            raise formulas.FormulaError(NO_NUMBER) from None
        value = formulas.evaluate(tree, {"pi": math.pi, "e": math.e})
        value /= 100 if text.endswith("%") else 1
    else:
        try:
            if isinstance(answer, bool):
                raise TypeError
            value = float(answer)
        except (TypeError, ValueError, RuntimeError, OverflowError):
            raise formulas.FormulaError(
                f"A number is asked for, and this is {running.a(answer)}."
            ) from None
    if not math.isfinite(value):
        raise formulas.FormulaError("A finite number is asked for.")
    return value


@dataclass(frozen=True, kw_only=True)
class Number(Exercise):
    """A question whose answer is a number.

    - `answer`: The number.
    - `within`: How far off an answer may be, relative to it (absolute where it is 0).
    - `follows`: What would follow from the reader's number, and cannot be: a sentence in which
      {formulas} of `answer` stand. It is the gap that a wrong answer is shown.
    - `unit`: What the number counts, or "".
    """

    answer: float
    within: float = 0.01
    follows: str = ""
    unit: str = ""

    kind: ClassVar[str] = "a number"

    @property
    def how(self) -> str:
        unit = f", {self.unit}" if self.unit else ""
        return f'A number{unit}; a text such as `"2/3"` will do.'

    def right(self) -> float:
        return self.answer

    @functools.cached_property
    def known(self) -> list[Wrong]:
        """The gallery, and what may happen to any number: its sign, or per cent for a share."""
        answer = self.answer
        slips = [Wrong(-answer, "Its size is right; look at its sign.")] if answer else []
        if 0 < abs(answer) <= 1:
            slips.append(Wrong(100 * answer, "A share is asked for, and this is per cent of it."))
        return [*self.wrong, *slips]

    @property
    def gap(self) -> str:
        """What is said of every wrong number, with formulas of it."""
        return self.follows

    def near(self, value: float, wanted: float) -> bool:
        return abs(value - wanted) <= self.within * (abs(wanted) or 1.0)

    def _judge(self, answer: Any) -> Result:
        value = number(answer)
        if self.near(value, self.answer):
            return Result(True, self.after)
        wrong = next((w for w in self.known if self.near(value, number(w.answer))), None)
        gap = filled(self.gap, {"answer": value})
        if self.reveals:
            gap = f"You said {shown(value)}; it is {shown(self.answer)}.\n\n{gap}".strip()
            return Result(False, f"{gap}\n\n{wrong.says}" if wrong else gap)
        size = "large" if value > self.answer else "small"
        gap = gap or f"{shown(value)} is too {size}."
        rounded = self.within < ROUNDED and abs(value - self.answer) <= ROUNDED * abs(self.answer)
        says = wrong.says if wrong else CLOSE if rounded else MORE
        return Result(False, f"{gap}\n\n{says}")


def filled(text: str, values: Mapping[str, float]) -> str:
    """A text with its {formulas} replaced by their values."""

    def value(match: re.Match[str]) -> str:
        tree = formulas.parse(match[1], values)
        return shown(formulas.evaluate(tree, values))

    return re.sub(r"\{([^{}]*)\}", value, text)


@dataclass(frozen=True, kw_only=True)
class Choice(Exercise):
    """A question with options, one of them right.

    - `options`: The options by letter; each wrong one has its entry in the gallery.
    - `answer`: The letter of the right one.
    """

    options: Mapping[str, str]
    answer: str

    kind: ClassVar[str] = "a choice"

    @property
    def how(self) -> str:
        rows = "\n".join(f"- **{letter}**: {text}" for letter, text in self.options.items())
        return f'{rows}\n\nThe letter, as text: `"{next(iter(self.options))}"`.'

    def right(self) -> str:
        return self.answer

    def _judge(self, answer: Any) -> Result:
        text = str(answer).strip().lower()
        letter = text.strip("()[]. :'\"")
        by_text = {option.lower(): key for key, option in self.options.items()}
        letter = by_text.get(text, letter)
        if not isinstance(answer, str) or letter not in self.options:
            return Result(False, f"Choose one of {formulas.listed(self.options)}, as text.")
        if letter == self.answer:
            return Result(True, self.after)
        wrong = next(w for w in self.wrong if w.answer == letter)
        if self.reveals:
            return Result(False, f"You said {letter}; it is {self.answer}.\n\n{wrong.says}")
        return Result(False, wrong.says)


@dataclass(frozen=True, kw_only=True)
class Formula(Exercise):
    """A question whose answer is a formula; every equal form passes.

    - `answer`: The formula.
    - `names`: The values that each name of it is tried at, a dozen or so; a name with fewer goes
      through them again, in another order.
    - `also`: What else a reader may write, and what it stands for: {"q": "1 - p"}.
    - `equal`: Other forms of the answer, which must pass.
    """

    answer: str
    names: Mapping[str, Sequence[float]]
    also: Mapping[str, str] = field(default_factory=dict)
    equal: Sequence[str] = ()

    kind: ClassVar[str] = "a formula"

    @property
    def how(self) -> str:
        also = "".join(f"; `{name}` stands for `{text}`" for name, text in self.also.items())
        return f"A formula in {formulas.listed(self.names)}, as text{also}."

    def right(self) -> str:
        return self.answer

    @functools.cached_property
    def points(self) -> list[dict[str, float]]:
        """Where formulas are compared, with the values of what else may be written."""
        count = max(12, *(len(values) for values in self.names.values()))
        columns = {
            name: spread(values, count, place)
            for place, (name, values) in enumerate(self.names.items())
        }
        points = []
        for k in range(count):
            point = {name: column[k] for name, column in columns.items()}
            for name, text in self.also.items():
                point[name] = formulas.evaluate(formulas.parse(text, self.names), point)
            points.append(point)
        return points

    def values(self, text: str) -> list[float]:
        tree = formulas.parse(text, [*self.names, *self.also])
        return [formulas.evaluate(tree, point) for point in self.points]

    def _judge(self, answer: Any) -> Result:
        if not isinstance(answer, str):
            if type(answer).__module__.partition(".")[0] != "sympy" and not isinstance(
                answer, int | float
            ):
                return Result(
                    False, f"A formula is asked for, as text, and this is {running.a(answer)}."
                )
            answer = str(answer)
        found, wanted = self.values(answer), self.values(self.answer)
        if all(map(formulas.same, found, wanted)):
            return Result(True, self.after)
        k = next(
            k for k, pair in enumerate(zip(found, wanted, strict=True)) if not formulas.same(*pair)
        )
        place = ", ".join(f"{name} = {shown(self.points[k][name])}" for name in self.names)
        yours = "has no value" if math.isnan(found[k]) else f"is {shown(found[k])}"
        gap = f"At {place} yours {yours}; {shown(wanted[k])} is wanted."
        for wrong in self.wrong:
            if all(map(_same_or_undefined, found, self.values(wrong.answer))):
                return Result(False, f"{gap}\n\n{wrong.says}")
        return Result(False, f"{gap}\n\n{MORE}")


def spread(values: Sequence[float], count: int, place: int) -> list[float]:
    """Some values again and again, in another order each time, and at another place.

    So no two names run in step, whatever the numbers of their values. The first stays the first,
    and those of place 0 come in order to begin with.
    """
    order = random.Random(place)
    found = list(map(float, values[:1] if place else values))
    while len(found) < count:
        again = list(map(float, values))
        order.shuffle(again)
        found += again
    return found[:count]


def _same_or_undefined(a: float, b: float) -> bool:
    return formulas.same(a, b) or (math.isnan(a) and math.isnan(b))


@dataclass(frozen=True, kw_only=True)
class Open(Number):
    """An experiment of the reader's own: its number is compared with a reference run.

    `answer` and `within` are the reference result and how far repetitions of it lie from each
    other.

    - `reference`: The reference run: its conditions and its result.
    - `rubric`: What a good report of it has, a line each.
    """

    reference: str
    rubric: Sequence[str]

    @property
    def gap(self) -> str:
        low, high = sorted((self.answer * (1 - self.within), self.answer * (1 + self.within)))
        return self.follows or (
            f"You found {{answer}}; repetitions of the reference run lie between {shown(low)} and "
            f"{shown(high)}."
        )

    kind: ClassVar[str] = "an experiment"


Check = Callable[[Any], Iterator[tuple[str, bool, str, str, str]]]


@dataclass(frozen=True, kw_only=True)
class Code(Exercise):
    """A question whose answer is code: a function, a class or a module.

    - `given`: The source that the reader begins with; its last function or class is the answer.
    - `code`: The solution's source.
    - `check`: The properties of an answer, in order (see `dropout.exercises.probes`).
    - `alike`: Other right answers, of another style, as sources.
    - `wrong`: The gallery: a Slip for the solution with a piece replaced, a Wrong for a whole
      source.
    - `takes`: "lists": the check calls the answer on lists, whatever it was written for;
      "object": the check gets the answer itself.
    - `in_page`: Whether it runs in the page too; its check then runs on lists under MicroPython.
    - `seconds`: The time limit of a check.
    - `power`: What a statistical property of the check would find, and how surely.
    - `harmless`: Small changes of the solution, "old -> new", that leave it right, and why. The
      tests make every such change by a table of operators, and all others must be refused.
    """

    given: str
    code: str
    check: Check
    alike: Sequence[str] = ()
    wrong: Sequence[Wrong | Slip] = ()  # type: ignore[assignment]
    takes: str = "lists"
    in_page: bool = False
    seconds: float = 5.0
    power: str = ""
    harmless: Mapping[str, str] = field(default_factory=dict)

    kind: ClassVar[str] = "code"

    @functools.cached_property
    def name(self) -> str:
        """The name of the function or class that is asked for."""
        return last_definition(self.given)

    @property
    def how(self) -> str:
        return ""

    @property
    def start(self) -> str:
        return f"{self.given.strip()}\n\n\nq.check({self.name})"

    def right(self) -> Any:
        return self.made(self.code)

    def made(self, source: str) -> Any:
        """The function or class that a source defines."""
        return defined(source, self.name)

    @functools.cached_property
    def gallery(self) -> list[tuple[str, str]]:
        """The source of each wrong answer, and what it is told."""
        found = []
        for entry in self.wrong:
            if isinstance(entry, Wrong):
                found.append((entry.answer, entry.says))
                continue
            if entry.old not in self.code:
                raise ValueError(f"{self.id}: the solution does not hold {entry.old!r}")
            found.append((self.code.replace(entry.old, entry.new), entry.says))
        return found

    @functools.cached_property
    def misconceptions(self) -> dict[str, str]:
        """What is said for the first property that breaks, by how it breaks: from the gallery.

        It may break in another way with other coins, so each entry is tried with some more.
        """
        known: dict[str, str] = {}
        raised = set()
        for key in range(KEY, KEY + COINS):
            for source, says in self.gallery:
                if source not in raised:
                    broken, *_ = self.tried(self.made(source), key)
                    if broken is not None:
                        known.setdefault(broken, says)
                    if broken is None or broken.startswith("\n"):  # an error has no coins
                        raised.add(source)
        return known

    def tried(self, answer: Any, key: int = KEY) -> tuple[str | None, str, list[str], str]:
        """What `probes.judge` says of an answer, whatever the answer does."""
        watched = running.Alike(answer, self.name) if self.takes == "lists" else answer
        try:
            return running.run(
                lambda: probes.judge(self.check, watched), watched, self.seconds, key
            )
        except probes.Broken as broken:
            gap, step = broken.args
            return f"\n{gap}", gap, [], step

    def _judge(self, answer: Any) -> Result:
        if self.takes == "lists" and (not callable(answer) or isinstance(answer, type)):
            return Result(
                False,
                f"The function `{self.name}` itself is asked for, and this is "
                f"{running.a(answer)}: write `q.check({self.name})`.",
            )
        if fingerprint(answer) == fingerprint(self.made(self.given)):
            return NOT_ATTEMPTED
        broken, gap, held, step = self.tried(answer)
        if broken is None:
            return Result(True, f"{probes.compose('', '', held, '')}\n\n{self.after}".strip())
        return Result(False, probes.compose(gap, self.misconceptions.get(broken), held, step))


def last_definition(source: str) -> str:
    """The name of the last function or class of a source."""
    names = [
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]
    return names[-1]


def defined(source: str, name: str) -> Any:
    """What a source defines under a name."""
    space: dict[str, Any] = {"__name__": "answer"}
    exec(compile(source.strip() + "\n", "<answer>", "exec"), space)
    return space[name]


SAME = {"LOAD_METHOD": "LOAD_ATTR"}  # which of the two depends on what else is compiled with it
IDLE = {"CACHE", "EXTENDED_ARG", "NOP", "PRECALL", "PUSH_NULL", "RESUME"}


def fingerprint(answer: Any) -> Any:
    """What tells whether code was changed: comments, layout and the way of compiling do not."""
    answer = inspect.unwrap(answer) if callable(answer) else answer
    if isinstance(answer, types.CodeType):
        steps = [step for step in dis.get_instructions(answer) if step.opname not in IDLE]
        return [
            (SAME.get(step.opname, step.opname), fingerprint(_argument(step))) for step in steps
        ]
    if isinstance(answer, type):
        functions = {k: v for k, v in vars(answer).items() if isinstance(v, types.FunctionType)}
        return {name: fingerprint(function) for name, function in functions.items()}
    return fingerprint(answer.__code__) if hasattr(answer, "__code__") else repr(answer)


def _argument(step: dis.Instruction) -> Any:
    return None if step.opcode in dis.hasjrel or step.opcode in dis.hasjabs else step.argval


def source_of(check: Check) -> str:
    """A check's source with what it needs of its own file, as the page runs it."""
    space, known = check.__globals__, set(vars(probes))
    found: dict[str, str] = {}

    def gather(name: str, value: Any) -> None:
        if name in found or (name in known and getattr(probes, name) is value):
            return
        found[name] = ""  # so that two functions that call each other end
        if isinstance(value, types.ModuleType):
            text = f"import {value.__name__} as {name}"
        elif isinstance(value, types.FunctionType | type) and value.__module__ == check.__module__:
            for needed in names_in(value):
                if needed in space:
                    gather(needed, space[needed])
            text = inspect.getsource(value)
        elif isinstance(value, types.FunctionType | types.BuiltinFunctionType | type):
            text = f"from {value.__module__} import {value.__name__} as {name}"
        else:
            text = f"{name} = {value!r}"
        del found[name]
        found[name] = text

    gather(check.__name__, check)
    return "\n".join(found.values())


def names_in(value: Any) -> list[str]:
    """The global names and attributes that a function or a class names, nested functions too."""
    if isinstance(value, types.CodeType):
        inner = [name for const in value.co_consts for name in names_in(const)]
        return [*value.co_names, *inner]
    if isinstance(value, type):
        return [name for part in vars(value).values() for name in names_in(part)]
    return names_in(value.__code__) if hasattr(value, "__code__") else []
