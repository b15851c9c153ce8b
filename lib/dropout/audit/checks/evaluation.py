"""What drops in evaluation."""

from collections.abc import Iterator

from dropout.audit.calls import ATTENTION, DROP_LAYERS, RECURRENT
from dropout.audit.case import MEANT, Case, found, named_drop, number, rate
from dropout.audit.facts import Place, Site
from dropout.audit.finding import Finding
from dropout.audit.runs import equal

UNLESS = " Unless it is Monte Carlo dropout, which means to."


def drops_in_evaluation(case: Case) -> Iterator[Finding]:
    """Sites that act after `model.eval()`."""
    gap, size = case.gap
    apart = {"largest_difference": gap, "largest_output": size}
    differ = (
        f"two evaluations differ by up to {number(gap)} where the largest output is {number(size)}"
        if gap else "its two outputs happen to be equal"
    )  # fmt: skip
    seen = False
    for _, site in case.acting(case.evaluation):
        seen = True
        p = rate(site)
        what = _what(site)
        says = f"{what} drops in evaluation{f' at rate {number(p)}' if p is not None else ''}"
        yield found(
            "drops-in-evaluation", site.place,
            {"p": p, "call": site.name, "module_in_training_mode": _in_training(site.place),
             **apart},
            f"{says}: {differ}." + UNLESS,
            _confidence(site), _mend(site),
        )  # fmt: skip
    used = {n for site in case.evaluation.sites for n in site.draws}
    if gap and not seen:
        for index, draw in enumerate(case.evaluation.draws):
            if index not in used and named_drop(draw.place):
                seen = True
                yield found(
                    "drops-in-evaluation", draw.place,
                    {"call": draw.name, "numbers": draw.count, **apart},
                    f"{draw.name} draws {draw.count} random numbers in evaluation: {differ}."
                    + UNLESS,
                    "likely", "draw only `if self.training`",
                )  # fmt: skip
        for place in _drawn_elsewhere(case):
            seen = True
            yield found(
                "drops-in-evaluation", place,
                {"call": "a mask from outside of PyTorch", **apart},
                f"a mask that PyTorch did not draw, as NumPy does, drops in evaluation: {differ}."
                + UNLESS,
                "likely", "drop only `if self.training`",
            )  # fmt: skip
        first, second = (run.record.called for run in case.evaluations)
        other = [p for p in {**first, **second} if first.get(p) != second.get(p)]
        if not seen and other:
            yield found(
                "drops-in-evaluation", other[0],
                {"modules_that_ran_in_one_evaluation_only": other[:9], **apart},
                f"{other[0] or 'the model'} runs in one evaluation and not in another: {differ}.",
                "possible", "skip layers at random only `if self.training`",
            )  # fmt: skip


def _drawn_elsewhere(case: Case) -> list[Place]:
    """Where two evaluations multiplied by masks that differ, and that no operator had made."""
    first, second = (run.record.foreign for run in case.evaluations)
    if len(first) != len(second):
        return []
    pairs = zip(first, second, strict=True)
    return [place for (place, a), (_, b) in pairs if not equal(a, b)]


def left_in_training(case: Case) -> Iterator[Finding]:
    """Layers of the model, as it was given, that are in training mode when it is not."""
    if case.model.training:
        return
    for path, layer in case.model.named_modules():
        if isinstance(layer, DROP_LAYERS) and layer.training and _acts(layer):
            yield found(
                "drops-in-evaluation", path,
                {"module_in_training_mode": True, "p": getattr(layer, "p", None)},
                f"{path} is in training mode, the model in evaluation mode: as it is, it drops at "
                f"rate {getattr(layer, 'p', '?')}." + UNLESS,
                "possible", "call model.eval() last, after what sets modes",
            )  # fmt: skip


def _acts(layer) -> bool:
    return layer.drops() if hasattr(layer, "drops") else layer.p > 0


def _in_training(place: Place) -> bool | None:
    return place.layer.training if place.layer is not None else None


def _what(site: Site) -> str:
    if isinstance(site.place.layer, DROP_LAYERS):
        return site.place.kind
    return "a mask that the code draws" if site.custom else site.name


def _confidence(site: Site):
    if MEANT.search(site.place.named):
        return "possible"
    if site.custom and not named_drop(site.place):
        return "likely"
    return "certain"


def _mend(site: Site) -> str:
    layer = site.place.layer
    if isinstance(layer, DROP_LAYERS) and layer.training:
        if site.place.module.endswith("()"):
            return "make the layer in __init__, as an attribute: model.eval() then reaches it"
        return "leave its mode to model.eval(), which the model's code or an outer list prevents"
    if site.name == "scaled_dot_product_attention":
        return "dropout_p=p if self.training else 0.0"
    if site.custom:
        return "drop only `if self.training`"
    if site.name in (*ATTENTION, *RECURRENT) or not site.custom:
        return f"{site.name}(..., training=self.training)"
    return "drop only `if self.training`"
