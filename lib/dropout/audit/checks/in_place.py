"""Dropout in place, over something that is needed: shown by a run in which it is not in place."""

from collections.abc import Callable, Iterator

from dropout.audit.case import Case, found
from dropout.audit.facts import Site
from dropout.audit.finding import Finding
from dropout.audit.runs import Run, distance, first_line

MEND = "inplace=False"


def in_place(case: Case) -> Iterator[Finding]:
    """Sites in place without which an error goes, an output changes, or the input stays."""
    run = case.trainings[0]
    places = {i: s for i, s in enumerate(run.record.sites) if s.inplace and s.training and s.p != 0}
    if not places:
        return
    known = {i for i, site in places.items() if not site.custom}
    whole = _again(case, frozenset(known)) if known else None
    if run.backward_error is not None or run.error is not None:
        yield from _error(case, run, whole, places, known)
    elif whole is not None and whole.error is None:
        gap, size = distance(run.floats(), whole.floats())
        if gap > 1e-4 * size:

            def differs(other: Run) -> bool:
                return other.error is None and distance(run.floats(), other.floats())[0] > 0

            for i in _which(case, known, differs):
                yield found(
                    "in-place", places[i].place,
                    {"largest_difference": gap, "largest_output": size},
                    "another branch reads the tensor that this drops in place: without that, and "
                    f"with the same masks, the output differs by up to {gap:.3g}.",
                    "certain", MEND,
                )  # fmt: skip
        elif run.changed and not whole.changed:

            def spares(other: Run) -> bool:
                return len(other.changed) < len(run.changed)

            for i in _which(case, known, spares):
                yield found(
                    "in-place", places[i].place, {"inputs_written_over": len(run.changed)},
                    "it drops in the memory of the model's input, so that the caller's tensor has "
                    "changed after a forward.",
                    "certain", MEND,
                )  # fmt: skip


def _error(
    case: Case, run: Run, whole: Run | None, places: dict[int, Site], known: set[int]
) -> Iterator[Finding]:
    text = first_line(run.error or run.backward_error)  # type: ignore[arg-type]
    evidence = {"error": text, "in": "forward" if run.error else "backward"}
    said = f"{evidence['in']} raises: {text}"
    if whole is not None and _fine(whole):
        for i in _which(case, known, _fine):
            yield found("in-place", places[i].place, evidence, said, "certain", MEND)
    elif "inplace" in text or "in-place" in text:
        for i, site in places.items():
            if i not in known:
                mend = "x = x * mask, not x *= mask"
                yield found("in-place", site.place, evidence, said, "likely", mend)


def _which(case: Case, sites: set[int], helps: Callable[[Run], bool]) -> list[int]:
    """The sites each of which alone is to blame; all, where none is."""
    alone = [i for i in sites if helps(_again(case, frozenset({i})))]
    return alone or sorted(sites)


def _again(case: Case, copies: frozenset[int]) -> Run:
    return case.runner.run(True, 0, backward=True, copies=copies)


def _fine(run: Run) -> bool:
    return run.error is None and run.backward_error is None
