"""What dropout lets through on average, against evaluation: where that can be read exactly.

A mask multiplies by two values, 0 and c, so its mean is c times the share that is kept. Products
with plain numbers that stand only in training, or only in evaluation, belong to it. Together they
must be 1.
"""

from collections import Counter
from collections.abc import Iterator
from math import prod

from dropout.audit.case import Case, by_row, found, named_drop, number
from dropout.audit.finding import Finding
from dropout.audit.record import OWN, Record, Site

PASSES = 8
TOLERANCE = 0.02


def wrong_scales(case: Case) -> Iterator[Finding]:
    """Masks of the model's own whose mean is not 1, and PyTorch's that are scaled once more."""
    owners: dict[str, list[Site]] = {}
    always = {_mark(site) for _, site in case.acting(case.evaluation)}
    for _, site in case.acting():
        if (
            _mark(site) not in always
            and site.on_units
            and site.name not in OWN
            and not (site.custom and site.on_parameter and not named_drop(site.place))
        ):
            owners.setdefault(site.place.owner, []).append(site)
    for owner, sites in owners.items():
        factor = _only(case.training, case.evaluation, owner)
        custom = [site for site in sites if site.custom]
        if custom:
            yield from _by_hand(case, custom, factor)
        else:
            yield from _twice(sites, factor)


def _only(training: Record, evaluation: Record, owner: str) -> float:
    """The product of the plain factors in training that evaluation has not, over the reverse."""
    counts = []
    for record in (training, evaluation):
        found_ = (
            round(op.factor, 9) for op in record.ops
            if op.factor is not None and op.site is None and op.place and op.place.owner == owner
        )  # fmt: skip
        counts.append(Counter(found_))
    more, less = counts[0] - counts[1], counts[1] - counts[0]
    return prod(f**n for f, n in more.items()) / prod(f**n for f, n in less.items())


def _by_hand(case: Case, sites: list[Site], factor: float) -> Iterator[Finding]:
    if len(set(map(_group, sites))) > 1:
        factor = 1.0 if abs(factor - 1) < 1e-9 else float("nan")  # whose it is cannot be told
    for group in dict.fromkeys(map(_group, sites)):
        here = [s for s in sites if _group(s) == group]
        masks = [
            s.mask.double() for run in case.repeated(PASSES) for s in run.record.sites
            if s.custom and s.mask is not None and _group(s) == group
        ]  # fmt: skip
        coins = sum(m.numel() for m in masks)
        kept = sum(float(m.ne(0).sum()) for m in masks) / max(coins, 1)
        if not 0 < kept < 1:
            continue
        c = group[2]
        each = abs(factor) ** (1 / len(here))
        mean = c * kept * each
        error = c * each * (kept * (1 - kept) / coins) ** 0.5
        if not abs(mean - 1) > max(TOLERANCE, 6 * error):
            continue
        if not named_drop(here[0].place) and (here[0].chosen or not _for_each(here[0])):
            continue  # hides parts of the input, as augmentation does
        if by_row(here[0], case.training) and not named_drop(here[0].place):
            continue
        yield found(
            "wrong-scale", here[0].place,
            {"mean_over_evaluation": mean, "standard_error": error, "kept": kept,
             "factor": c * each, "coins": coins},
            f"{number(100 * kept)} % pass in training, times {number(c * each)}: on average "
            f"{number(mean)} ± {number(error)} of what passes in evaluation.",
            "likely" if named_drop(here[0].place) else "possible",
            f"multiply by 1/(1 - p) in training, once: {number(1 / kept)}",
        )  # fmt: skip


def _mark(site: Site) -> tuple[str, str | None]:
    return site.place.module, site.place.source


def _group(site: Site) -> tuple[str, str | None, float]:
    """Sites of one place and one factor."""
    largest = 0.0 if site.mask is None else float(site.mask.max())
    return site.place.module, site.place.source, round(largest, 4)


def _for_each(site: Site) -> bool:
    """Whether each number has its own coin, or each channel of an example."""
    return site.mask is not None and site.mask.numel() * 64 >= _size(site) > 1


def _size(site: Site) -> int:
    return prod(site.shape)


def _twice(sites: list[Site], factor: float) -> Iterator[Finding]:
    """PyTorch's dropout scales by itself: a factor q or 1/q of one mode only is one too many."""
    for site in sites:
        q = 1 - (site.p or 0.0)
        if not 0 < q < 1:
            continue
        for power in (1, -1, 2, -2):
            if abs(factor - q**power) < 1e-6 * q**power and abs(factor - 1) > 1e-3:
                yield found(
                    "wrong-scale", site.place,
                    {"mean_over_evaluation": factor, "p": site.p},
                    f"{site.name} scales by 1/(1 - p) itself, and the code once more: what passes "
                    f"in training is on average {number(factor)} of what passes in evaluation.",
                    "likely", "take the factor out",
                )  # fmt: skip
                return
