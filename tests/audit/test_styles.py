"""Faults are found, and sound models are left in peace, in styles that are seldom met."""

import pytest
import torch
from torch import nn

from dropout.audit import AuditError, audit
from tests.audit.sound import features
from tests.audit.styles import FAULTS, SOUND

pytestmark = pytest.mark.filterwarnings("ignore", "error:the check")


def audited(make, give):
    torch.manual_seed(1)
    given = give()
    return audit(make(), **given) if isinstance(given, dict) else audit(make(), *given)


@pytest.mark.parametrize(("kind", "path", "make", "give"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_found_and_nothing_else(kind, path, make, give):
    findings = audited(make, give)
    assert findings.kinds() == [kind], findings
    assert all(f.module.startswith(path) for f in findings), findings


@pytest.mark.parametrize(("make", "give"), SOUND.values(), ids=SOUND)
def test_a_sound_model_has_no_findings(make, give):
    assert list(audited(make, give)) == []


def test_a_model_without_numbers_is_refused():
    with pytest.raises(AuditError, match="meta device"):
        audit(nn.Linear(3, 3, device="meta"), torch.ones(2, 3, device="meta"))


def test_alpha_dropout_tells_how_much_passes():
    (finding,) = audited(*FAULTS["alpha behind relu"][2:])
    x, keeps = torch.rand(200_000) + 1, nn.AlphaDropout(0.3)
    passes = (keeps(x).mean() / x.mean()).item()
    assert abs(finding.evidence["mean_over_evaluation"] - passes) < 0.02


def test_hiding_numbers_as_a_task_may_be_meant():
    class MaskedAutoencoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(12, 12)

        def forward(self, x):
            return self.body(x * (torch.rand_like(x) > 0.5))

    (finding,) = audit(MaskedAutoencoder(), features(16, 12))
    assert (finding.kind, finding.confidence) == ("drops-in-evaluation", "possible")
