"""Coins that fall as they fell before, or otherwise than they fell before."""

from collections.abc import Iterator

from torch import Tensor

from dropout.audit.case import Case, evidence, found, keyed, rate, same_draws, same_value
from dropout.audit.facts import Draw
from dropout.audit.finding import Finding


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
                "The line is the first that computes after that.",
                "certain", "take the seeding out of forward, or use a torch.Generator",
            )  # fmt: skip
            return


def recomputed_otherwise(case: Case) -> Iterator[Finding]:
    """Draws in backward that the forward did not make, though it made some like them."""
    draws = case.training.draws
    forward = [draw for draw in draws if not draw.backward]
    seen = set()
    for draw in draws:
        if not draw.backward or evidence(draw, None) < 14:
            continue
        alike = [f for f in forward if _alike(f, draw)]
        if not alike or any(same_value(f, draw) for f in alike):
            continue
        line = draw.place.source  # in a function that runs again, no module does
        place = next((f.place for f in alike if line and f.place.source == line), draw.place)
        if (place.module, place.source) in seen:
            continue
        seen.add((place.module, place.source))
        differ = min((_differing(f, draw) for f in alike), default=0)
        yield found(
            "recomputed-otherwise", place,
            {"coins": draw.count, "coins_that_differ": differ},
            f"backward computes this part again and draws {draw.count} coins anew: {differ} of "
            "them fall otherwise than in the forward.",
            "certain", "checkpoint(..., preserve_rng_state=True), the default",
        )  # fmt: skip


def _alike(a: Draw, b: Draw) -> bool:
    if isinstance(a.value, Tensor) and isinstance(b.value, Tensor):
        return a.name == b.name and a.value.shape == b.value.shape
    return a.name == b.name


def _differing(a: Draw, b: Draw) -> int:
    if isinstance(a.value, Tensor) and isinstance(b.value, Tensor):
        return int((a.value != b.value).sum())
    return a.count
