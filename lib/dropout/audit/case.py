"""What the checks look at: the runs of one model, and questions about what dropped in them."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import log, prod
from typing import Any

from torch import Tensor, nn
from torch.jit import ScriptModule

from dropout.audit.facts import Draw, Op, Place, Site
from dropout.audit.finding import Finding
from dropout.audit.kinds import Confidence
from dropout.audit.operators import COPIES
from dropout.audit.record import Record
from dropout.audit.runs import Run, Runner, distance, equal, required, rows_doubled
from dropout.audit.tree import leaves, tensors
from dropout.layers.base import Coins

PASS_AGAIN = 99  # its seed
CHANCE = 1e-6  # how often what is called a fact may come about by chance, in one site
MEANT = re.compile(r"(?<![a-z])mc(?![a-z])|MC|[Mm]onte|[Bb]ayes|[Aa]lways")
# A name of dropout, and not of rain, of a background or of a menu.
DROP = re.compile("(?<!rain)(?<!back)(?<!tear)(?<!dew)(?<!snow)drop(?!let|down)", re.IGNORECASE)
CONTAINERS = nn.ModuleList, nn.ModuleDict


@dataclass
class Case:
    """A model and its runs: two in evaluation, two in training that begin from other seeds."""

    model: nn.Module
    runner: Runner
    evaluations: list[Run]
    trainings: list[Run]
    more: list[Run] = field(default_factory=list)

    @property
    def training(self) -> Record:
        return self.trainings[0].record

    @property
    def evaluation(self) -> Record:
        return self.evaluations[0].record

    @cached_property
    def gap(self) -> tuple[float, float]:
        """How far the outputs of two evaluations lie apart, and how large they are."""
        first, second = self.evaluations
        return distance(first.floats(), second.floats())

    def acting(self, record: Record | None = None) -> Iterator[tuple[int, Site]]:
        """The sites in training that dropped something, with their numbers."""
        for number, site in enumerate((record or self.training).sites):
            if site.acts and not site.on_constant:
                yield number, site

    @cached_property
    def scripted(self) -> bool:
        """Whether a part is compiled by TorchScript."""
        return any(isinstance(m, ScriptModule) for m in self.model.modules())

    @cached_property
    def twins(self) -> list[tuple[Site, Site]]:
        """The sites of the two trainings, in pairs, where they ran alike."""
        return pairs(self.training, self.trainings[1].record)

    @cached_property
    def doubled(self) -> dict[int, Site]:
        """The sites of a training on every example twice, by the number of those they are."""
        run = self._doubled(1 if self.batch_axes == [1] else 0, True, False)
        if run is None or run.error is not None:
            return {}
        found = {id(a): b for a, b in pairs(self.training, run.record)}
        sites = enumerate(self.training.sites)
        return {number: found[id(site)] for number, site in sites if id(site) in found}

    @cached_property
    def batch_axes(self) -> list[int]:
        """The axes of the inputs along which the model takes each part by itself: 0, 1 or both."""
        plain = self.runner.run(False, off=True)
        if plain.error is not None:
            return []
        axes = []
        for axis in (0, 1):
            run = self._doubled(axis, False, True)
            if run is not None and run.error is None and _twice(plain, run):
                axes.append(axis)
        return axes

    def _doubled(self, axis: int, training: bool, off: bool) -> Run | None:
        arguments = rows_doubled(self.runner.arguments, axis)
        return arguments and self.runner.run(training, arguments=arguments, off=off)

    def batch_axis(self, number: int) -> int | None:
        """The axis of a site's input along which the examples lie: that which grows with them."""
        site, other = self.training.sites[number], self.doubled.get(number)
        if other is None or len(other.shape) != len(site.shape):
            return None
        grown = [a for a, (n, m) in enumerate(zip(site.shape, other.shape, strict=True)) if n != m]
        return grown[0] if len(grown) == 1 else None

    def repeated(self, count: int) -> list[Run]:
        """As many trainings, from other seeds each."""
        while len(self.more) < count - 2:
            self.more.append(required(self.runner.run(True, 2 + len(self.more)), "in training"))
        return (self.trainings + self.more)[:count]

    @cached_property
    def again(self) -> Record:
        """A second training of one copy of the model, which keeps what it has kept."""
        return self.runner.run(True, PASS_AGAIN, copy=self.trainings[0].model).record

    def untrained(self, path: str) -> bool:
        """Whether no gradient reaches a part with parameters, and one reaches others."""
        part = self._reached.get(path)
        return part is False and True in self._reached.values()

    @cached_property
    def _reached(self) -> dict[str, bool]:
        """By path of a part with parameters: whether a gradient has reached one of them."""
        run = self.trainings[0]
        if run.backward_error is not None or not self.understood(run):
            return {}
        return {
            path: any(p.grad is not None for p in module.parameters())
            for path, module in run.model.named_modules()
            if any(True for _ in module.parameters())
        }

    def outputs(self, run: Run) -> list[Tensor]:
        return tensors(run.outputs)

    def understood(self, run: Run) -> bool:
        """Whether the outputs hold nothing but tensors and plain values."""
        plain = Tensor | int | float | str | bool | None
        return all(isinstance(leaf, plain) for leaf in leaves(run.outputs))


def pairs(a: Record, b: Record) -> list[tuple[Site, Site]]:
    """The sites of two records that are one: same name and place, called as often before."""
    seen: Counter = Counter()
    known = {}
    for site in a.sites:
        mark = _mark(site)
        known[mark, seen[mark]] = site
        seen[mark] += 1
    seen.clear()
    found = []
    for site in b.sites:
        mark = _mark(site)
        if (first := known.get((mark, seen[mark]))) is not None:
            found.append((first, site))
        seen[mark] += 1
    return found


def _mark(site: Site) -> tuple:
    return site.name, site.place.module, site.place.source


def _twice(plain: Run, doubled: Run) -> bool:
    """Whether the outputs for every example twice are, twice, those for the examples."""
    found = False
    for x, y in zip(plain.floats(), doubled.floats(), strict=False):
        if x.dim() != y.dim():
            return False
        grown = [a for a, (n, m) in enumerate(zip(x.shape, y.shape, strict=True)) if n != m]
        if not grown:
            continue
        if len(grown) > 1 or y.shape[grown[0]] != 2 * x.shape[grown[0]]:
            return False
        for half in y.chunk(2, grown[0]):
            gap, size = distance([x], [half])
            if gap > 1e-3 * size + 1e-6:
                return False
        found = True
    return found


# --- Coins ---------------------------------------------------------------------------------------


def coin_shape(site: Site, record: Record) -> tuple[int, ...] | None:
    """The shape of a site's coins, where they are one mask."""
    if site.mask is not None:
        return tuple(site.mask.shape)
    for number in site.draws:
        value = record.draws[number].value
        if isinstance(value, tuple) and isinstance(value[-2], tuple):
            return value[-2]
    return None


def by_row(site: Site, record: Record) -> bool:
    """Whether a site drops whole examples, or its input as a whole, as stochastic depth does."""
    shape, rank = coin_shape(site, record), len(site.shape)
    if shape is None or rank < 2 or prod(site.shape[1:]) == 1:
        return False
    return prod(((1,) * (rank - len(shape)) + shape)[1:]) == 1


def same_draws(a: Sequence[Draw], b: Sequence[Draw], p: float | None) -> bool:
    """Whether two series of draws are equal, and so many that it is no chance."""
    if not a or len(a) != len(b):
        return False
    for x, y in zip(a, b, strict=True):
        if not same_value(x, y):
            return False
    return sum(evidence(x, p) for x in a) > -log(CHANCE)


def same_value(x: Draw, y: Draw) -> bool:
    if isinstance(x.value, Tensor) and isinstance(y.value, Tensor):
        return x.name == y.name and equal(x.value, y.value)
    return not isinstance(x.value, Tensor) and x.value == y.value


def evidence(draw: Draw, p: float | None) -> float:
    """How much an equal second draw says, in nats: minus the logarithm of its chance."""
    if draw.name.startswith("bernoulli") and isinstance(draw.value, Tensor):
        share = float(draw.value.ne(0).double().mean()) if p is None else p
        share = min(max(share, 0.02), 0.98)
        return -draw.count * log(share**2 + (1 - share) ** 2)
    return draw.count * 0.7


def rate(site: Site) -> float | None:
    """The rate of a site: the one it is told, or the share of zeros in its mask."""
    if site.p is not None:
        return site.p
    if site.mask is not None and site.mask.numel() >= 16:
        return float(site.mask.eq(0).double().mean())
    return None


# --- What stands before what ---------------------------------------------------------------------


def source(
    record: Record, index: int | None, more: Callable[[Op], bool] = lambda op: False
) -> tuple[int | None, int | None]:
    """The operator that made a number, and its site, past those that only pass it on.

    Passing on is copying, and what `more` allows.
    """
    while index is not None:
        op = record.ops[index]
        if op.site is not None:
            return index, op.site
        if not (op.name in COPIES or more(op)) or not op.made_by:
            return index, None
        largest = max(range(len(op.sizes)), key=op.sizes.__getitem__)
        index = op.made_by[largest]
    return None, None


def found(
    kind: str,
    place: Place | str,
    evidence: Mapping[str, Any],
    sentence: str,
    confidence: Confidence,
    mend: str,
) -> Finding:
    """A finding at a place, or at a module of this path."""
    module, line = (place, None) if isinstance(place, str) else (place.module, place.source)
    return Finding(kind, module, line, dict(evidence), sentence, confidence, mend)


def number(x: float) -> str:
    """A number as a sentence has it."""
    return f"{x:.3g}"


def frozen(module: nn.Module) -> bool:
    """Whether a module has parameters, and none is trained."""
    flags = [p.requires_grad for p in module.parameters()]
    return bool(flags) and not any(flags)


def ancestors(path: str) -> Iterator[str]:
    """The paths of the modules around one, from within."""
    while path:
        path = path.rpartition(".")[0]
        yield path


def keyed(site: Site) -> bool:
    """Whether the user names the mask, by a key or by hand."""
    layer = site.place.layer
    return site.keyed or (isinstance(layer, Coins) and layer.key is not None)


def named_drop(place: Place) -> bool:
    return DROP.search(place.named) is not None
