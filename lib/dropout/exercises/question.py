"""A question as a reader meets it: shown, checked, hinted at and solved."""

import re
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from dropout.exercises import state
from dropout.exercises.forms import Code, Exercise, Open, Result
from dropout.exercises.running import line_of

PART = r"\\[a-zA-Z]+|\w|\{[^{}]*\}"  # what a command of TeX takes
PLAIN: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (rf"\\[dt]?frac\s*({PART})\s*({PART})", lambda found: fraction(*found.groups())),
    (r"\\sqrt\{([^{}]*)\}", r"sqrt(\1)"),
    (r"\\(?:mathrm|mathbb|mathbf|boldsymbol|operatorname|text)\{([^{}]*)\}", r"\1"),
    (r"\\(?:tilde|hat|bar|widehat|overline)\s*\{?(\w)\}?", r"\1"),
    (r"\\(?:[,;!: ]|(?:quad|qquad|left|right|big|Big|displaystyle)\b)", " "),
    (r"\\([a-zA-Z]+)", lambda found: sign(found[1])), (r"\\(.)", r"\1"), (r"\$+", ""),
    (r"\*\*([^*]+)\*\*", r"\1"), (r"(?<![\w*])\*([^*\s](?:[^*]*[^*\s])?)\*(?![\w*])", r"\1"),
)  # fmt: skip
SIGNS = {
    "lambda": "λ",
    "cdot": "·", "times": "×", "circ": "∘", "odot": "⊙", "le": "≤", "leq": "≤", "ge": "≥",
    "geq": "≥", "ne": "≠", "approx": "≈", "to": "→", "in": "∈", "sum": "Σ", "prod": "Π",
    "dots": "…", "ldots": "…", "cdots": "…", "infty": "∞", "lVert": "‖", "rVert": "‖", "top": "ᵀ",
    "pm": "±", "partial": "∂", "sim": "~", "propto": "∝", "ell": "l", "mid": "|", "ll": "≪",
}  # fmt: skip


def sign(name: str) -> str:
    """What TeX's command is in plain text: a sign, a Greek letter, or its name."""
    case = "CAPITAL" if name[0].isupper() else "SMALL"
    name = name.removeprefix("var")
    try:
        return SIGNS.get(name) or unicodedata.lookup(f"GREEK {case} LETTER {name}")
    except KeyError:
        return name


def fraction(above: str, below: str) -> str:
    """A fraction in a line, with the brackets that it needs there."""
    parts = [part.strip("{}") for part in (above, below)]
    return "/".join(part if re.fullmatch(r"\\?\w+", part) else f"({part})" for part in parts)


def plain(markdown: str) -> str:
    """Markdown with formulas as a terminal shows it; code stays as it is."""
    parts = re.split(r"(```.*?```|`[^`]*`)", markdown, flags=re.DOTALL)
    for place in range(0, len(parts), 2):
        for pattern, replacement in PLAIN:
            while (text := re.sub(pattern, replacement, parts[place])) != parts[place]:
                parts[place] = text  # and what stood inside of it
    return "".join(parts)


@dataclass(frozen=True)
class Shown:
    """A text in Markdown: rich in a notebook, plain elsewhere."""

    markdown: str

    def __repr__(self) -> str:
        return plain(self.markdown)

    def _repr_markdown_(self) -> str:
        return self.markdown


def show(item: Any) -> None:
    """Show an object below a notebook's cell, or print it."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if hasattr(shell, "kernel"):
        ipython.display.display(item)
    else:
        print(item)


class Question:
    """One exercise in a reader's hands.

    `check(answer)` says whether an answer is right, and else what is wrong with it; `hint()` gives
    the next hint; `solution()` the worked solution. Hints and the solution cost nothing.
    """

    def __init__(self, exercise: Exercise):
        self._exercise = exercise
        self._hints = 0

    def check(self, answer: Any = None) -> Result:
        """Judge an answer: a number, a letter, a formula as text, a function or a class, as the
        question asks.

        The result has `passed`, and a `message` of at most 160 words. Whatever the answer is and
        does, nothing is raised, unless you stop it.
        """
        try:
            result = replace(self._exercise.judge(answer), asked=self._exercise.id)
        except KeyboardInterrupt as error:
            line = line_of(error)
            where = f" in line {line} of your code" if line else ""
            raise KeyboardInterrupt(f"the check was stopped{where}") from None  # and no long trace
        if result.attempted:
            state.record(
                self._exercise.id, attempts=1, passed=result.passed, message=result.message
            )
        return result

    def hint(self) -> Shown:
        """The next hint."""
        hints = self._exercise.hints
        if self._hints == len(hints):
            return Shown("There is no further hint: `q.solution()` shows the solution.")
        self._hints += 1
        state.record(self._exercise.id, hints=1)
        return Shown(f"**Hint {self._hints} of {len(hints)}.** {hints[self._hints - 1]}")

    def solution(self) -> Shown:
        """The worked solution."""
        state.record(self._exercise.id, solution=True)
        return Shown(solution_text(self._exercise))

    def __repr__(self) -> str:
        return plain(self._repr_markdown_())

    def _repr_markdown_(self) -> str:
        return question_text(self._exercise)


def question_text(exercise: Exercise) -> str:
    """The question in Markdown, with how it is answered."""
    parts = [
        f"**Exercise {exercise.id} · {exercise.title}** ({exercise.kind})",
        exercise.question.strip(),
        exercise.how,
        f"*Trains:* {exercise.trains}.",
    ]
    return "\n\n".join(part for part in parts if part)


def solution_text(exercise: Exercise) -> str:
    """The worked solution in Markdown, with its code, or its reference run and rubric."""
    parts = [exercise.solution.strip()]
    if isinstance(exercise, Code):
        parts.append(f"```python\n{exercise.code.strip()}\n```")
    if isinstance(exercise, Open):
        rows = "\n".join(f"- {row}" for row in exercise.rubric)
        parts += [f"Reference: {exercise.reference}", f"A good report has:\n\n{rows}"]
    return "\n\n".join(parts)
