"""Formulas that readers type: read by a small grammar, never executed, and evaluated at points.

`book/static/formulas.js` does the same in the page, line for line;
tests/exercises/formula_cases.json holds both to the same values and messages.
"""

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

Values = Mapping[str, float]
Tree = tuple  # ("number", value), ("name", name), ("call", name, part) or (operator, *parts)
LONGEST, DEEPEST, LARGEST_EXPONENT = 200, 40, 64
FUNCTIONS: dict[str, Callable[[float], float]] = {
    "sqrt": math.sqrt, "exp": math.exp, "log": math.log, "ln": math.log, "abs": abs,
    "tanh": math.tanh,
}  # fmt: skip
OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
}  # fmt: skip
SIGNS = {"−": "-", "–": "-", "·": "*", "×": "*", "⋅": "*", "∗": "*", "÷": "/", "∕": "/", ":": "/",
         "^": "**", "²": "**2", "³": "**3", "√": "sqrt ", "π": "pi", "η": "eta", "ρ": "rho",
         "[": "(", "]": ")", "{": "(", "}": ")"}  # fmt: skip
BLANK = " \t\r\n\u00a0\u2009\u202f"
NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
NAME = r"[A-Za-z_\u0370-\u03ff][A-Za-z_0-9\u0370-\u03ff]*"
TOKEN = re.compile(rf"{NUMBER}|{NAME}|\*\*|[-+*/()]")


class FormulaError(ValueError):
    """A formula that cannot be read; the message is for who typed it."""


def tokens(text: str, names: Sequence[str]) -> list[str]:
    """Numbers, names, operators and brackets, with the multiplications that are only meant.

    "2p" is 2*p, "p(1-p)" is p*(1-p), "x y" and "xy" are x*y; only the name of a function is not
    multiplied by the bracket that follows it. Raises FormulaError for anything else in the text.
    """
    for sign, plain in SIGNS.items():
        text = text.replace(sign, plain)
    found: list[str] = []
    place = 0
    while place < len(text):
        if text[place] in BLANK:
            place += 1
            continue
        match = TOKEN.match(text, place)
        if match is None:
            if re.search(r"[0-9],[0-9]", text):
                raise FormulaError("Write numbers with a point, and without commas.")
            if text[place] in "\\$":
                raise FormulaError(
                    "Write it without LaTeX: `a/b` for `\\frac{a}{b}`, `a*b` for `a \\cdot b`, "
                    "and no dollar signs."
                )
            raise FormulaError(
                "A formula may have numbers, names, + - * / ^, brackets and "
                f"{', '.join(FUNCTIONS)}; nothing else."
            )
        before = found[-1] if found else "("
        token, *more = _apart(match[0], names)
        if more and before in ("/", "**"):  # is 1/pq meant as 1/(p*q), or as 1/p*q?
            sign, product = "/" if before == "/" else "^", "*".join([token, *more])
            raise FormulaError(
                f"`{sign}{match[0]}` can be read in two ways: write `{sign}({product})` or "
                f"`{sign}{product}`."
            )
        ends = before == ")" or (_operand(before) and not (before in FUNCTIONS and token == "("))
        starts = token == "(" or (_operand(token) and not (_numeral(token) and _numeral(before)))
        found += ["*", token] if ends and starts else [token]
        for name in more:
            found += ["*", name]
        place = match.end()
    return found


def _apart(token: str, names: Sequence[str]) -> list[str]:
    """The names that are written together in a token: "pq" is p and q, unless it is a name."""
    if token in names or token in FUNCTIONS:
        return [token]
    known = "|".join(sorted(names, key=len, reverse=True))
    return re.findall(known, token) if re.fullmatch(f"(?:{known})+", token) else [token]


def _operand(token: str) -> bool:
    return token not in (*OPERATORS, "**", "(", ")")


def _numeral(token: str) -> bool:
    return token[0] in "0123456789."


def parse(text: str, names: Iterable[str]) -> Tree:
    """The formula's tree. Raises FormulaError unless it has only numbers, the names and `+ - * / ^`
    with brackets and the functions of FUNCTIONS.
    """
    if len(text) > LONGEST:
        raise FormulaError(f"The formula is longer than {LONGEST} characters.")
    names = list(names)
    found = tokens(text.rpartition("=")[2], names)  # "Var = p(1-p)" is meant as p(1-p)
    if not found:
        raise FormulaError("There is no formula yet.")
    reader = _Reader(found, names)
    tree = reader.sum()
    if reader.rest:
        raise FormulaError(UNREADABLE)
    return tree


UNREADABLE = "This is no formula that can be read: is a bracket or an operator missing?"


class _Reader:
    """A formula's tokens, from left to right, as a tree."""

    def __init__(self, found: Sequence[str], names: list[str]):
        self.rest, self.names, self.depth = list(found[::-1]), names, 0

    def next_is(self, *wanted: str) -> bool:
        return bool(self.rest) and self.rest[-1] in wanted

    def sum(self) -> Tree:
        tree = self.product()
        while self.next_is("+", "-"):
            tree = (self.rest.pop(), tree, self.product())
        return tree

    def product(self) -> Tree:
        tree = self.signed()
        while self.next_is("*", "/"):
            tree = (self.rest.pop(), tree, self.signed())
        return tree

    def signed(self) -> Tree:
        """What may have a sign: -p^2 is -(p^2)."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise FormulaError("The formula is nested too deeply.")
        if self.next_is("+", "-"):
            tree: Tree = (f"sign {self.rest.pop()}", self.signed())
        else:
            tree = self.atom()
            if self.next_is("**"):
                tree = (self.rest.pop(), tree, self.signed())
        self.depth -= 1
        return tree

    def atom(self) -> Tree:
        if not self.rest or not (self.rest[-1] == "(" or _operand(self.rest[-1])):
            raise FormulaError(UNREADABLE)
        token = self.rest.pop()
        if token == "(":
            return self.bracketed()
        if _numeral(token):
            return ("number", float(token))
        if token in FUNCTIONS:
            if not self.next_is("("):
                raise FormulaError(f"`{token}` needs its argument in brackets.")
            self.rest.pop()
            return ("call", token, self.bracketed())
        if token not in self.names:
            raise FormulaError(f"There is no `{token}` here: write it in {listed(self.names)}.")
        return ("name", token)

    def bracketed(self) -> Tree:
        tree = self.sum()
        if not self.next_is(")"):
            raise FormulaError(UNREADABLE)
        self.rest.pop()
        return tree


def listed(names: Iterable[str]) -> str:
    """`p`, `q` and `n`."""
    *most, last = [f"`{name}`" for name in names]
    return f"{', '.join(most)} and {last}" if most else last


def evaluate(tree: Tree, values: Values) -> float:
    """The formula's value; nan where it, or a part of it, has none there."""
    try:
        return _evaluate(tree, values)
    except (ZeroDivisionError, ValueError, OverflowError):
        return math.nan


def _evaluate(tree: Tree, values: Values) -> float:
    match tree:
        case ("number", value):
            pass
        case ("name", name):
            value = float(values[name])
        case ("call", name, part):
            value = FUNCTIONS[name](_evaluate(part, values))
        case ("sign +" | "sign -" as sign, part):
            inner = _evaluate(part, values)
            value = -inner if sign == "sign -" else inner
        case ("**", left, right):
            base, exponent = _evaluate(left, values), _evaluate(right, values)
            if abs(exponent) > LARGEST_EXPONENT:
                raise OverflowError
            value = math.pow(base, exponent)
        case (sign, left, right):
            value = OPERATORS[sign](_evaluate(left, values), _evaluate(right, values))
    if not math.isfinite(value):
        raise OverflowError
    return value


def same(a: float, b: float) -> bool:
    """Whether two values of formulas are the same, up to rounding."""
    return abs(a - b) <= 1e-9 * max(1.0, abs(a), abs(b))
