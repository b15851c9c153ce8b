"""What dropout lets through on average, against evaluation: where that can be read exactly.

A mask multiplies by two values, 0 and c, so its mean is c times the share that is kept. Products
with plain numbers that stand only in training, or only in evaluation, belong to it. Together they
must be 1.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from math import isclose, prod

from dropout.audit.case import Case, by_row, found, named_drop, number
from dropout.audit.facts import Site
from dropout.audit.finding import Finding
from dropout.audit.record import Record
from dropout.audit.runs import equal

PASSES = 8
TOLERANCE = 0.02
ERRORS = 6  # standard errors: chance goes beyond them once in 5e8 sites
OWN = "masked_scale", "multiply"  # operators of this library, whose layers know their scale
# What is dropped whole, and without a scale.
TOKENS = re.compile("word|token|edge|node|modal|cond|label|sensor|input", re.IGNORECASE)
Group = tuple[str, str | None, float]
ALPHA = -1.7580993408473766  # what alpha dropout puts where it drops, before it shifts and scales


def wrong_scales(case: Case) -> Iterator[Finding]:
    """Masks of the model's own whose mean is not 1, and PyTorch's that are scaled once more."""
    if case.scripted:
        return  # whose operators stand at no place
    always = {_place(site) for _, site in case.acting(case.evaluation)}
    owners: dict[str, list[Site]] = {}
    for _, site in case.acting():
        if _place(site) not in always and site.on_units and not site.integers:
            owners.setdefault(site.place.owner, []).append(site)
    for owner, sites in owners.items():
        factors = [_only(run.record, case.evaluation, owner) for run in case.trainings]
        if not isclose(*factors, rel_tol=1e-6):
            continue  # the masks themselves say what to divide by
        groups = {_group(site) for site in sites if site.custom}
        for group in groups:
            yield from _by_hand(case, group, factors[0], alone=len(groups) == 1)
        if not groups:
            yield from _once_more(sites, factors[0])


def _only(training: Record, evaluation: Record, owner: str) -> float:
    """The product of the plain factors in training that evaluation has not, over the reverse."""
    more, less = (
        Counter(
            round(op.factor, 9)
            for op in record.ops
            if op.factor is not None and op.site is None and op.place and op.place.owner == owner
        )
        for record in (training, evaluation)
    )
    return prod(f**n for f, n in (more - less).items()) / prod(
        f**n for f, n in (less - more).items()
    )


def _by_hand(case: Case, group: Group, factor: float, alone: bool) -> Iterator[Finding]:
    """The mean of masks of one place and one value, times the factor that belongs to them."""
    runs = [
        [s for s in run.record.sites if s.custom and _group(s) == group]
        for run in case.repeated(PASSES)
    ]
    sites = runs[0]
    if {len(run) for run in runs} != {len(sites)} or not (alone or isclose(factor, 1)):
        return
    if _mixes(sites):
        return
    shares = [_share_kept(several) for several in zip(*runs, strict=True)]
    if not all(0 < share < 1 for share, _ in shares) or not _meant_for_dropout(case, sites[0]):
        return
    count = len(sites)
    mean = abs(prod(group[2] * share for share, _ in shares) * factor) ** (1 / count)
    relative = sum((1 - share) / (share * coins) for share, coins in shares) ** 0.5 / count
    error = mean * relative
    if abs(mean - 1) <= max(TOLERANCE, ERRORS * error):
        return
    kept = sum(share for share, _ in shares) / count
    yield found(
        "wrong-scale", sites[0].place,
        {"mean_over_evaluation": mean, "standard_error": error, "kept": kept,
         "factor": mean / kept, "coins": sum(coins for _, coins in shares)},
        f"{number(100 * kept)} % pass in training, times {number(mean / kept)}: on average "
        f"{number(mean)} ± {number(error)} of what passes in evaluation.",
        "likely" if named_drop(sites[0].place) and _each_its_coin(sites[0]) else "possible",
        f"multiply by 1/(1 - p) in training, once: {number(1 / kept)}",
    )  # fmt: skip


def _mixes(sites: Sequence[Site]) -> bool:
    """Whether a mask and its complement are at work, as where zoneout keeps old or new numbers."""
    first: dict[tuple[int, ...], Site] = {}
    for site in sites:
        other = first.setdefault(tuple(site.draws), site)
        if site.mask is not None and other.mask is not None and not equal(site.mask, other.mask):
            return True
    return False


def _share_kept(sites: Sequence[Site]) -> tuple[float, int]:
    masks = [site.mask for site in sites if site.mask is not None]
    coins = sum(mask.numel() for mask in masks)
    return sum(float(mask.ne(0).sum()) for mask in masks) / max(coins, 1), coins


def _meant_for_dropout(case: Case, site: Site) -> bool:
    """Whether a mask is that of dropout, rather than one that hides or corrupts inputs."""
    hides_input = site.input in case.training.given
    if named_drop(site.place):
        whole = TOKENS.search(site.place.named) or hides_input
        return _each_its_coin(site) or not whole
    plain = not site.chosen and not site.on_parameter and not by_row(site, case.training)
    return plain and not hides_input and _each_its_coin(site)


def _each_its_coin(site: Site) -> bool:
    """Whether each number of an example has its own coin, perhaps shared by examples."""
    if site.mask is None:
        return False
    return site.mask.numel() in (prod(site.shape), prod(site.shape[1:]), site.shape[-1])


def _once_more(sites: list[Site], factor: float) -> Iterator[Finding]:
    """PyTorch's dropout scales by itself: a factor q or 1/q of one mode only is one too many."""
    for site in sites:
        q = 1 - (site.p or 0.0)
        powers = (q, 1 / q, q**2, q**-2) if 0 < q < 1 else ()
        if site.name in OWN or not any(isclose(factor, power, rel_tol=1e-6) for power in powers):
            continue
        yield found(
            "wrong-scale", site.place,
            {"mean_over_evaluation": factor, "p": site.p},
            f"{site.name} scales by 1/(1 - p) itself, and the code once more: what passes in "
            f"training is on average {number(factor)} of what passes in evaluation.",
            "likely", "take the factor out",
        )  # fmt: skip
        return


def _place(site: Site) -> tuple[str, str | None]:
    return site.place.module, site.place.source


def _group(site: Site) -> Group:
    """What sites of one place and one value have in common."""
    value = 0.0 if site.mask is None else float(site.mask.max())
    return *_place(site), round(value, 4)


def not_normal(case: Case) -> Iterator[Finding]:
    """Alpha dropout, which keeps a mean of 0, of numbers none of which is below 0."""
    for _, site in case.acting():
        if site.lowest is None or site.lowest < 0 or not site.p or site.p >= 1:
            continue
        factor = ((1 - site.p) / (1 + site.p * ALPHA**2)) ** 0.5
        yield found(
            "wrong-scale", site.place,
            {"p": site.p, "lowest_input": site.lowest, "mean_over_evaluation": factor},
            f"{site.name} keeps a mean of 0 and a variance of 1, and no number here is below 0: on "
            f"average {number(factor)} of what passes in evaluation passes in training.",
            "likely", "nn.Dropout; AlphaDropout belongs behind nn.SELU",
        )  # fmt: skip
