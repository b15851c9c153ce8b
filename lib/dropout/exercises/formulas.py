"""Formulas that readers type: parsed from an allow-list, never executed, and evaluated at points.

`book/static/exercises.js` does the same in the page; tests/exercises/formula_cases.json holds both
to the same verdicts and messages.
"""

import ast
import math
import re
from collections.abc import Callable, Iterable, Mapping

Values = Mapping[str, float]
LONGEST, DEEPEST, LARGEST_EXPONENT = 200, 40, 64
FUNCTIONS: dict[str, Callable[[float], float]] = {
    "sqrt": math.sqrt, "exp": math.exp, "log": math.log, "ln": math.log, "abs": abs,
    "tanh": math.tanh,
}  # fmt: skip
OPERATORS: dict[type, Callable[[float, float], float]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
}
SIGNS = {"−": "-", "–": "-", "·": "*", "×": "*", "⋅": "*", "÷": "/", "^": "**", "²": "**2",
         "³": "**3", "√": "sqrt"}  # fmt: skip


class FormulaError(ValueError):
    """A formula that cannot be read; the message is for who typed it."""


def normal(text: str, names: Iterable[str]) -> str:
    """The formula with ASCII signs, and with the multiplications that are only meant.

    "2p" is 2*p, "p(1-p)" is p*(1-p), "x y" is x*y.
    """
    for sign, plain in SIGNS.items():
        text = text.replace(sign, plain)
    text = " ".join(text.split())
    callable_names = "|".join(FUNCTIONS)
    text = re.sub(r"(?<![\w.])(\d+\.?\d*|\.\d+)\s*(?=[^\W\d]|\()", r"\1*", text)
    text = re.sub(r"\)\s*(?=[\w(.])", ")*", text)
    # Before a name a space or a bracket means times, unless that name is a function's.
    text = re.sub(rf"\b(?!(?:{callable_names})\b)([^\W\d]\w*)\s*\(", r"\1*(", text)
    text = re.sub(rf"\b(?!(?:{callable_names})\b)([^\W\d]\w*) (?=[\w(])", r"\1*", text)
    return re.sub(rf"\b({callable_names}) \(", r"\1(", text)


def parse(text: str, names: Iterable[str]) -> ast.expr:
    """The formula's tree. Raises FormulaError unless it has only numbers, the names and `+ - * / ^`
    with brackets and the functions of FUNCTIONS.
    """
    names = list(names)
    if not text.strip():
        raise FormulaError("There is no formula yet.")
    if len(text) > LONGEST:
        raise FormulaError(f"The formula is longer than {LONGEST} characters.")
    right_side = text.rpartition("=")[2]  # "Var = p(1-p)" is meant as p(1-p)
    try:
        tree = ast.parse(normal(right_side, names), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise FormulaError(f"`{text.strip()}` is no formula that can be read.") from None
    _allow(tree, names, 0)
    return tree


def _allow(node: ast.AST, names: list[str], depth: int) -> None:
    if depth > DEEPEST:
        raise FormulaError("The formula is nested too deeply.")
    match node:
        case ast.Constant(value=value) if type(value) in (int, float):
            return
        case ast.Name(id=name):
            if name in FUNCTIONS:
                raise FormulaError(f"`{name}` needs its argument in brackets.")
            if name not in names:
                raise FormulaError(f"There is no `{name}` here: write it in {listed(names)}.")
            return
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            parts: list[ast.AST] = [operand]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in (*OPERATORS, ast.Pow):
            parts = [left, right]
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]):
            if name not in FUNCTIONS:
                raise FormulaError(f"There is no function `{name}` here.")
            parts = [argument]
        case _:
            raise FormulaError(
                "A formula may have numbers, names, + - * / ^, brackets and "
                f"{', '.join(FUNCTIONS)}; nothing else."
            )
    for part in parts:
        _allow(part, names, depth + 1)


def listed(names: Iterable[str]) -> str:
    """`p`, `q` and `n`."""
    *most, last = [f"`{name}`" for name in names]
    return f"{', '.join(most)} and {last}" if most else last


def evaluate(node: ast.AST, values: Values) -> float:
    """The formula's value; nan where it has none there."""
    try:
        value = _evaluate(node, values)
    except (ZeroDivisionError, ValueError, OverflowError):
        return math.nan
    return value if math.isfinite(value) else math.nan


def _evaluate(node: ast.AST, values: Values) -> float:
    match node:
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.Name(id=name):
            return float(values[name])
        case ast.UnaryOp(op=op, operand=operand):
            inner = _evaluate(operand, values)
            return -inner if isinstance(op, ast.USub) else inner
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            base, exponent = _evaluate(left, values), _evaluate(right, values)
            if abs(exponent) > LARGEST_EXPONENT or (base < 0 and exponent % 1):
                return math.nan
            return math.pow(base, exponent)
        case ast.BinOp(left=left, op=op, right=right):
            return OPERATORS[type(op)](_evaluate(left, values), _evaluate(right, values))
        case ast.Call(func=ast.Name(id=name), args=[argument]):
            return FUNCTIONS[name](_evaluate(argument, values))
    raise AssertionError(f"{node} was not allowed")


def same(a: float, b: float) -> bool:
    """Whether two values of formulas are the same, up to rounding."""
    return abs(a - b) <= 1e-9 * max(1.0, abs(a), abs(b))
