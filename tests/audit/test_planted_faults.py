"""An audit finds each planted fault, by its kind and in its place, and nothing else."""

import pytest
import torch

from dropout.audit import audit
from tests.audit.planted import FAULTS, MODELS, STYLES

pytestmark = pytest.mark.filterwarnings("ignore", "error:the check")
PLANTED = [
    (fault, style)
    for fault, f in FAULTS.items()
    for style, s in STYLES.items()
    if f.rank in (None, s.rank)
]


@pytest.mark.parametrize(("fault", "style"), PLANTED)
def test_a_planted_fault_is_found_in_its_place_and_nothing_else(fault, style):
    torch.manual_seed(1)
    fault, style = FAULTS[fault], STYLES[style]
    model = style.make(fault.make())
    findings = audit(model, *style.give(), **style.keywords)
    assert [f.kind for f in findings] == [fault.kind, *fault.also], findings
    for finding in findings:
        assert finding.module.startswith(f"{style.path}.{fault.inner}".rstrip(".")), findings


@pytest.mark.parametrize(("kind", "path", "give", "make"), MODELS.values(), ids=MODELS)
def test_a_fault_of_a_model_is_found_in_its_place_and_nothing_else(kind, path, give, make):
    torch.manual_seed(1)
    findings = audit(make(), *give())
    assert [(f.kind, f.module) for f in findings] == [(kind, path if path != "0" else "")]


def test_there_are_enough():
    assert len(PLANTED) + len(MODELS) >= 180
