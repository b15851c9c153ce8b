"""What drops in evaluation."""

import re
from collections.abc import Iterator
from typing import Any

from dropout.audit.calls import DROP_LAYERS
from dropout.audit.case import MEANT, Case, found, named_drop, number, rate
from dropout.audit.facts import Site
from dropout.audit.finding import Finding
from dropout.audit.kinds import Confidence
from dropout.audit.runs import equal
from dropout.layers.base import Coins

KIND = "drops-in-evaluation"
UNLESS = "Unless it is Monte Carlo dropout, which means to."
# What hides numbers because that is the task.
TASK = re.compile("masking|masked|mae(?![a-z])|corrupt|denois|diffus", re.IGNORECASE)
ONLY_IN_TRAINING = "drop only `if self.training`"


def drops_in_evaluation(case: Case) -> Iterator[Finding]:
    """What acts after `model.eval()`: the first of these that can be told."""
    for tell in (_sites, _noise, _drawn_elsewhere, _skipped):
        findings = list(tell(case))
        yield from findings
        if findings:
            return


def _apart(case: Case) -> tuple[dict[str, Any], str]:
    """How far two evaluations lie apart, as evidence and in words."""
    gap, size = case.gap
    says = "its two outputs happen to be equal"
    if gap:
        says = f"two evaluations differ by up to {number(gap)}, the largest output is"
        says += f" {number(size)}"
    return {"largest_difference": gap, "largest_output": size}, says


def _sites(case: Case) -> Iterator[Finding]:
    """Dropout that acts."""
    apart, differ = _apart(case)
    for _, site in case.acting(case.evaluation):
        if site.custom and site.mask is not None and bool(site.mask.ne(0).all()):
            continue  # coins are tossed, and all are kept: a keep probability of 1, say
        p, layer = rate(site), site.place.layer
        at = "" if p is None else f" at rate {number(p)}"
        yield found(
            KIND, site.place,
            {"p": p, "call": site.name,
             "module_in_training_mode": None if layer is None else layer.training, **apart},
            f"{_what(site)} drops in evaluation{at}: {differ}. {UNLESS}",
            _confidence(site), _mend(site),
        )  # fmt: skip


def _noise(case: Case) -> Iterator[Finding]:
    """Other random numbers, of code whose names say that it is dropout."""
    used = {index for site in case.evaluation.sites for index in site.draws}
    apart, differ = _apart(case)
    for index, draw in enumerate(case.evaluation.draws if case.gap[0] else ()):
        if index not in used and named_drop(draw.place):
            yield found(
                KIND, draw.place, {"call": draw.name, "numbers": draw.count, **apart},
                f"{draw.name} draws {draw.count} random numbers in evaluation: {differ}. {UNLESS}",
                "likely", ONLY_IN_TRAINING,
            )  # fmt: skip


def _drawn_elsewhere(case: Case) -> Iterator[Finding]:
    """Masks that differ between two evaluations, and that no operator of PyTorch has drawn."""
    first, second = (run.record.foreign for run in case.evaluations)
    apart, differ = _apart(case)
    for (place, mask), (_, other) in zip(first, second, strict=False):
        if not equal(mask, other):
            yield found(
                KIND, place, {"call": "a mask from outside of PyTorch", **apart},
                f"a mask that PyTorch did not draw drops in evaluation: {differ}. {UNLESS}",
                "likely", ONLY_IN_TRAINING,
            )  # fmt: skip


def _skipped(case: Case) -> Iterator[Finding]:
    """Modules that run in one of two evaluations more often than in the other."""
    first, second = (run.record.called for run in case.evaluations)
    others = [path for path in {**first, **second} if first.get(path) != second.get(path)]
    if others and case.gap[0]:
        apart, differ = _apart(case)
        yield found(
            KIND, others[0], {"modules_that_ran_more_often_in_one": others[:9], **apart},
            f"{others[0] or 'the model'} runs more often in one evaluation than in another: "
            f"{differ}.",
            "possible", "skip layers at random only `if self.training`",
        )  # fmt: skip


def left_in_training(case: Case) -> Iterator[Finding]:
    """Layers of the model, as it was given, that are in training mode when it is not."""
    for path, layer in case.model.named_modules():
        if case.model.training or not layer.training or not isinstance(layer, DROP_LAYERS):
            continue
        p = getattr(layer, layer.settings[0] if isinstance(layer, Coins) else "p")
        if p:
            yield found(
                KIND, path, {"module_in_training_mode": True, "p": p},
                f"{path} is in training mode, the model in evaluation mode: as it is, it drops at "
                f"rate {number(p)}. {UNLESS}",
                "possible", "call model.eval() last, after what sets modes",
            )  # fmt: skip


def _what(site: Site) -> str:
    if isinstance(site.place.layer, DROP_LAYERS):
        return site.place.kind
    return "a mask that the code draws" if site.custom else site.name


def _confidence(site: Site) -> Confidence:
    if MEANT.search(site.place.named) or (site.custom and TASK.search(site.place.named)):
        return "possible"
    return "likely" if site.custom and not named_drop(site.place) else "certain"


def _mend(site: Site) -> str:
    layer = site.place.layer
    if isinstance(layer, DROP_LAYERS) and layer.training:
        if site.place.module.endswith("()"):
            return "make the layer in __init__, as an attribute: model.eval() then reaches it"
        return "let model.eval() reach it: no code of the model may set its mode"
    if site.name == "scaled_dot_product_attention":
        return "dropout_p=p if self.training else 0.0"
    return ONLY_IN_TRAINING if site.custom else f"{site.name}(..., training=self.training)"
