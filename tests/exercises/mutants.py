"""Small changes of a solution, each of which a check must refuse.

    python -m tests.exercises.mutants 03 [04 ...]

lists, for the chapters named, the changes that pass and are not in the exercise's `harmless`.
"""

import ast
import builtins
import sys
from collections.abc import Iterator
from copy import deepcopy

from dropout.exercises import find, ids
from dropout.exercises.forms import Code

SWAPPED_COMPARISONS = {
    ast.Lt: (ast.GtE, ast.LtE), ast.GtE: (ast.Lt, ast.Gt), ast.Gt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Gt, ast.Lt), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,),
    ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
}  # fmt: skip
SWAPPED_OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Div, ast.Mod: ast.FloorDiv,
}  # fmt: skip
SWAPPED_NAMES = {"p": "q", "q": "p"}  # where both are known
RENAMED = {
    "train": "eval", "eval": "train", "min": "max", "max": "min", "zeros": "ones", "ones": "zeros",
    "mean": "sum", "sum": "max", "all": "any", "any": "all", "var": "std", "std": "var",
    "zeros_like": "ones_like", "ones_like": "zeros_like", "rand_like": "randn_like",
    "rand": "randn", "exp": "log", "sqrt": "exp",
}  # fmt: skip


def replacements(node: ast.AST, names: set[str]) -> Iterator[ast.AST]:
    """What may stand in a node's place."""
    match node:
        case ast.Compare(ops=[op]):
            for other in SWAPPED_COMPARISONS.get(type(op), ()):
                yield ast.Compare(node.left, [other()], node.comparators)
        case ast.BinOp(left=ast.Constant(value=1), op=ast.Sub(), right=ast.Name(id="p") as rate):
            yield rate  # the two rates swapped
            yield ast.Constant(1.0)  # no scale, or nothing dropped
        case ast.BinOp(left=left, op=op, right=right):
            if other := SWAPPED_OPERATORS.get(type(op)):
                yield ast.BinOp(left, other(), right)
            if isinstance(op, ast.Mult | ast.Div | ast.Pow):
                yield left  # a factor dropped: the scale, or the mask
            if isinstance(op, ast.Mult):
                yield right
        case ast.Name(id=name, ctx=ast.Load()) if SWAPPED_NAMES.get(name) in names:
            yield ast.Name(SWAPPED_NAMES[name], ast.Load())
        case ast.Name(id="training", ctx=ast.Load()):
            yield ast.Constant(True)
            yield ast.Constant(False)
        case ast.Attribute(attr="training", ctx=ast.Load()):
            yield ast.Constant(True)
            yield ast.Constant(False)
        case ast.Attribute(value=value, attr=name, ctx=ast.Load()) if name in RENAMED:
            yield ast.Attribute(value, RENAMED[name], ast.Load())
        case ast.Name(id=name, ctx=ast.Load()) if name in RENAMED and hasattr(builtins, name):
            yield ast.Name(RENAMED[name], ast.Load())
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.IfExp(test=_, body=body, orelse=orelse):
            yield body
            yield orelse
            yield ast.IfExp(ast.UnaryOp(ast.Not(), node.test), body, orelse)
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            yield from values
        case ast.If(body=body, orelse=orelse):
            yield ast.If(ast.UnaryOp(ast.Not(), node.test), body, orelse)
            yield ast.If(ast.Constant(False), body, orelse)
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.Call(func=ast.Attribute(value=ast.Name(id="random"), attr="random")):
            yield ast.Constant(0.4)  # no coin, or one for all


def mutants(source: str) -> Iterator[tuple[str, str]]:
    """Each changed source, and its name, "old -> new"."""
    tree = ast.parse(source)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    for place, node in enumerate(ast.walk(tree)):
        for other in replacements(node, names):
            changed = _Replace(place, other).apply(tree)
            try:
                text = ast.unparse(ast.fix_missing_locations(changed))
            except ValueError:
                continue
            yield f"{short(node)} -> {short(other)}", text


def short(node: ast.AST) -> str:
    """A piece of source in one line; of a statement its first."""
    return ast.unparse(ast.fix_missing_locations(deepcopy(node))).partition("\n")[0]


class _Replace(ast.NodeTransformer):
    """One node, by its place in a walk, replaced by another."""

    def __init__(self, place: int, other: ast.AST):
        self.place, self.other = place, other

    def apply(self, tree: ast.AST) -> ast.AST:
        tree = deepcopy(tree)
        self.target = list(ast.walk(tree))[self.place]
        return self.visit(tree)

    def visit(self, node: ast.AST) -> ast.AST:
        return deepcopy(self.other) if node is self.target else self.generic_visit(node)


def survivors(exercise: Code) -> list[tuple[str, str]]:
    """The changes of an exercise's solution that its check takes for right, and their sources."""
    found = []
    for name, source in mutants(exercise.code):
        try:
            answer = exercise.made(source)
        except Exception:
            continue  # it does not even run
        if exercise.tried(answer)[0] is None:
            found.append((name, source))
    return found


if __name__ == "__main__":
    for key in ids():
        each = find(key)
        if key[:2] in sys.argv[1:] and isinstance(each, Code):
            print(f"{key} {each.title}: {len(list(mutants(each.code)))} changes")
            for name, source in survivors(each):
                if name not in each.harmless:
                    print(f"  passes: {name}\n" + "    " + source.replace("\n", "\n    "))
