"""The code cells of a notebook as statements that can be run, changed and checked one by one."""

import ast
import builtins
import hashlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

from tests.book.ledger_rules import read_labels
from tests.notebooks import normalise
from tests.notebooks.rules import EXERCISE, LIVE


@dataclass(frozen=True)
class Cell:
    """A code cell: its number from 1, the label above it ("" where there is none), tags, source."""

    number: int
    label: str
    tags: frozenset[str]
    source: str


@dataclass
class Checks:
    """What the assertions of a run said: for each, by (cell, count in it), whether it held."""

    held: dict[tuple[int, int], bool] = field(default_factory=dict)

    def __call__(self, cell: int, count: int, holds) -> None:
        self.held[cell, count] = self.held.get((cell, count), True) and bool(holds)


def code_cells(path: Path) -> list[Cell]:
    """The code cells of a notebook, each with the last label before it.

    Without exercises, and without live figures: they set no name and draw no mask.
    """
    found: list[Cell] = []
    labels: list[str] = []
    for cell in normalise.read(path).cells:
        if cell.cell_type == "markdown":
            labels, _ = read_labels(cell.source, labels)
        elif cell.cell_type == "code":
            tags = frozenset(cell.metadata.get("tags", []))
            if tags & {EXERCISE, LIVE}:
                continue
            label = labels[-1] if labels else ""
            found.append(Cell(len(found) + 1, label, tags, cell.source))
    return found


def digest(cells: list[Cell]) -> str:
    """A name for what the cells do: it stays when only comments or the layout change."""
    text = "\n".join(ast.dump(ast.parse(cell.source)) for cell in cells)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def assertions(cell: Cell) -> list[str]:
    """The tests of a cell's assertions, in the order in which they stand."""
    asserts = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Assert)]
    return [ast.unparse(node.test) for node in sorted(asserts, key=lambda node: node.lineno)]


# ---- running ----------------------------------------------------------------------------------


class _Rewrite(ast.NodeTransformer):
    """Assertions become calls, so that all of them are heard; p and n get other values."""

    def __init__(self, cell: Cell, values: Mapping[str, float]):
        asserts = [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Assert)]
        places = sorted((node.lineno, node.col_offset) for node in asserts)
        self.count = {place: k for k, place in enumerate(places)}
        self.cell, self.values = cell, values

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        place = self.count[node.lineno, node.col_offset]
        arguments = [ast.Constant(self.cell.number), ast.Constant(place), node.test]
        call = ast.Call(ast.Name("_check", ast.Load()), arguments, [])
        return ast.copy_location(ast.Expr(call), node)

    def visit_Module(self, node: ast.Module) -> ast.AST:
        for statement in node.body:
            if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
                continue
            name = getattr(statement.targets[0], "id", None)
            if name in self.values and isinstance(statement.value, ast.Constant):
                statement.value = ast.copy_location(
                    ast.Constant(self.values[name]), statement.value
                )
        return self.generic_visit(node)


def run(
    cells: list[Cell],
    *,
    values: Mapping[str, float] | None = None,
    checked: Callable[[Cell], bool] = lambda cell: True,
    checks: Checks | None = None,
) -> Checks:
    """Run cells one after the other in one namespace; what their assertions said.

    `values` are given to names that a cell sets to a number at its top level. The assertions of
    cells that are not `checked` are left out. What the assertions say goes to `checks`, which has
    what came before where a cell raises.
    """
    mpl.use("agg")
    checks, silent = Checks() if checks is None else checks, Checks()
    space = {"__name__": "__main__", "display": lambda *shown: None}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")
        for cell in cells:
            tree = _Rewrite(cell, values or {}).visit(ast.parse(cell.source))
            space["_check"] = checks if checked(cell) else silent
            code = compile(ast.fix_missing_locations(tree), f"cell {cell.number}", "exec")
            try:
                exec(code, space)
            except Exception:
                if "raises-exception" not in cell.tags:
                    raise
            plt.close("all")
    return checks


# ---- what a cell needs ------------------------------------------------------------------------


def _names(source: str) -> tuple[set[str], set[str]]:
    """The names that a cell takes from the cells before it, and those that it sets."""
    needed: set[str] = set()
    stored: set[str] = set()
    for statement in ast.parse(source).body:
        loads, stores = _statement_names(statement)
        needed |= loads - stored
        stored |= stores
    return needed - set(dir(builtins)), stored


def _statement_names(statement: ast.AST) -> tuple[set[str], set[str]]:
    loads: set[str] = set()
    stores: set[str] = set()
    inner: set[str] = set()  # the names of functions' arguments and comprehensions' variables
    for node in ast.walk(statement):
        match node:
            case ast.Name(ctx=ast.Store()):
                stores.add(node.id)
            case ast.Name():
                loads.add(node.id)
            case ast.FunctionDef() | ast.ClassDef():
                stores.add(node.name)
            case ast.arg():
                inner.add(node.arg)
            case ast.comprehension():
                inner |= {n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)}
            case ast.alias():
                stores.add((node.asname or node.name).split(".")[0])
            case ast.AugAssign(target=ast.Name() as target):
                loads.add(target.id)
            case ast.Attribute(ctx=ast.Store()) | ast.Subscript(ctx=ast.Store()):
                root = node
                while isinstance(root, ast.Attribute | ast.Subscript):
                    root = root.value
                if isinstance(root, ast.Name):  # a change to what a name holds
                    stores.add(root.id)
                    loads.add(root.id)
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        inner |= stores - {statement.name}
        stores = {statement.name}
    return loads - inner, stores - inner


def unused_imports(cells: list[Cell]) -> set[str]:
    """The names that cells import and none of them uses."""
    trees = [ast.parse(cell.source) for cell in cells]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    imported = {
        (alias.asname or alias.name).split(".")[0]
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    return imported - {node.id for node in nodes if isinstance(node, ast.Name)}


def slice_for(cells: list[Cell], *wanted: Cell) -> list[Cell]:
    """Some cells and, in order, the earlier ones that each needs, by the names that it uses."""
    kept = {cell.number for each in wanted for cell in _needed(cells, each)}
    return [cell for cell in cells if cell.number in kept]


def _needed(cells: list[Cell], wanted: Cell) -> list[Cell]:
    kept = [wanted]
    needed, _ = _names(wanted.source)
    for cell in reversed(cells[: wanted.number - 1]):
        loads, stores = _names(cell.source)
        if needed & stores:
            kept.append(cell)
            needed = (needed - stores) | loads
    return kept


def with_change(cell: Cell, old: str, new: str) -> Cell:
    """The cell with one piece of its source replaced. Raises ValueError unless it stands there."""
    if old not in cell.source:
        raise ValueError(f"cell {cell.number} does not hold {old!r}:\n{cell.source}")
    return replace(cell, source=cell.source.replace(old, new))
