"""Coins that fall as they fell before, or otherwise than they fell before."""

from collections.abc import Iterator

from torch import Tensor

from dropout.audit.case import Case, evidence, found, keyed, rate, same_draws, same_value
from dropout.audit.facts import Draw, Place
from dropout.audit.finding import Finding
from dropout.audit.kinds import Confidence
from dropout.audit.runs import equal

SCALE = 0.2  # how far the mean of a mask that dropout would draw may be from 1


def same_masks(case: Case) -> Iterator[Finding]:
    """Sites that drop the same in two trainings from different seeds."""
    first, second = (run.record for run in case.trainings)
    for a, b in case.twins:
        if not a.acts or a.on_constant or keyed(a):
            continue
        draws = [first.draws[i] for i in a.draws], [second.draws[i] for i in b.draws]
        if same_draws(*draws, a.p):
            count = sum(draw.count for draw in draws[0])
            yield found(
                "same-mask", a.place,
                {"passes": 2, "coins": count, "coins_that_differ": 0, "p": rate(a)},
                f"two passes in training, from different seeds, toss the same {count} coins: one "
                "network is trained, not many.",
                "certain", "set no seed in forward; seed once, before training",
            )  # fmt: skip


def fixed_masks(case: Case) -> Iterator[Finding]:
    """Masks of training alone, scaled as dropout scales them, that nothing draws."""
    evaluated = {_spot(place) for place, _ in case.evaluation.foreign}
    first, second = (run.record.foreign for run in case.trainings)
    for (place, mask), (_, other) in zip(first, second, strict=False):
        share, value = float(mask.ne(0).double().mean()), float(mask.max())
        scaled = 0 < share < 1 < value and abs(value * share - 1) < SCALE
        if scaled and _spot(place) not in evaluated and equal(mask, other):
            why = "two passes in training multiply by the same mask, which nothing draws"
            yield _kept(place, mask, "likely", why)


def kept_masks(case: Case) -> Iterator[Finding]:
    """Masks that are drawn in the first training of a model, and kept for the next."""
    drawn = [site for site in case.training.sites if site.custom and site.mask is not None]
    for place, mask in case.again.foreign if drawn else ():
        if any(_spot(s.place) == _spot(place) and _is(s.mask, mask) for s in drawn):
            why = "a second pass in training multiplies by the mask of the first, which it has kept"
            yield _kept(place, mask, "possible", f"{why}; unless something clears it between")


def _kept(place: Place, mask: Tensor, confidence: Confidence, why: str) -> Finding:
    return found(
        "same-mask", place,
        {"passes": 2, "coins": mask.numel(), "coins_that_differ": 0,
         "p": float(mask.eq(0).double().mean())},
        f"{why}: {mask.numel()} coins fall alike.",
        confidence, "draw the mask in each forward",
    )  # fmt: skip


def _is(mask: Tensor | None, other: Tensor) -> bool:
    """Whether two masks are one, of enough coins that it is no chance."""
    return mask is not None and mask.numel() > 40 and equal(mask, other)


def _spot(place: Place) -> tuple[str, str | None]:
    return place.module, place.source


def reseeds(case: Case) -> Iterator[Finding]:
    """A forward after which the global generator has another seed."""
    for what, run in (("training", case.trainings[0]), ("evaluation", case.evaluations[0])):
        if run.reseeds:
            place = run.record.reseeded or ""
            yield found(
                "reseeds", place,
                {"mode": what, "seed": run.record.seed_now},
                f"a forward in {what} leaves PyTorch's global generator seeded with "
                f"{run.record.seed_now}: all that draws after it repeats. "
                "The line is the first that computes or calls a module after that.",
                "certain", "take the seeding out of forward, or use a torch.Generator",
            )  # fmt: skip
            return
    for what, runs in (("training", case.trainings), ("evaluation", case.evaluations)):
        for whose, state in runs[0].others.items():
            if state == runs[1].others[whose]:
                yield found(
                    "reseeds", "", {"mode": what, "generator": whose},
                    f"two forwards in {what} that begin in different states of {whose}'s global "
                    "generator leave it in the same: all that draws after them repeats.",
                    "certain", "take the seeding out of forward, or use a generator of its own",
                )  # fmt: skip
                return


def recomputed_otherwise(case: Case) -> Iterator[Finding]:
    """Draws in backward that the forward did not make, though it made some like them."""
    draws = case.training.draws
    forward = [draw for draw in draws if not draw.backward]
    seen, otherwise = set(), list[Draw]()
    for draw in draws:
        if not draw.backward or evidence(draw, None) < 14:
            continue
        alike = [f for f in forward if _alike(f, draw)]
        if not alike or any(_same(f, draw) for f in (*alike, *otherwise)):
            continue
        if not isinstance(draw.value, Tensor):
            otherwise.append(draw)  # which its own gradient draws once more, elsewhere
        line = draw.place.source  # in a function that runs again, no module does
        place = next((f.place for f in alike if line and f.place.source == line), draw.place)
        if (place.module, place.source) in seen:
            continue
        seen.add((place.module, place.source))
        if isinstance(draw.value, Tensor):
            differ = min(_differing(f, draw) for f in alike)
            yield _otherwise(place, draw.count, differ, PRESERVES)
        else:
            seed, stream, step = draw.value[:3]
            yield found(
                "recomputed-otherwise", place,
                {"seed": seed % 2**64, "stream": stream, "step": step},
                "backward computes this part again and drops by a seed, stream or step by which "
                "the forward has not dropped.",
                "certain", f"{PRESERVES}, without a generator of its own; or a key",
            )  # fmt: skip
    for place, mask in case.training.foreign_again:
        before = [(p, m) for p, m in case.training.foreign
                  if p.source == place.source and m.shape == mask.shape]  # fmt: skip
        if before and mask.numel() > 40 and not any(equal(m, mask) for _, m in before):
            differ = min(int((m != mask).sum()) for _, m in before)
            yield _otherwise(before[0][0], mask.numel(), differ, KEEPS)


PRESERVES = "checkpoint(..., preserve_rng_state=True), the default"
KEEPS = "draw with PyTorch's global generator, whose state a checkpoint keeps, or outside of it"


def _otherwise(place: Place, coins: int, differ: int, mend: str) -> Finding:
    return found(
        "recomputed-otherwise", place, {"coins": coins, "coins_that_differ": differ},
        f"backward computes this part again and draws {coins} coins anew: {differ} of them fall "
        "otherwise than in the forward.",
        "certain", mend,
    )  # fmt: skip


def _alike(a: Draw, b: Draw) -> bool:
    if isinstance(a.value, Tensor) and isinstance(b.value, Tensor):
        return a.name == b.name and a.value.shape == b.value.shape
    return a.name == b.name


def _same(a: Draw, b: Draw) -> bool:
    """Whether two draws toss the same coins: this library's own, by seed, stream and step."""
    if isinstance(a.value, Tensor) or isinstance(b.value, Tensor):
        return same_value(a, b)
    return a.value[:3] == b.value[:3]


def _differing(a: Draw, b: Draw) -> int:
    return int((a.value != b.value).sum())
