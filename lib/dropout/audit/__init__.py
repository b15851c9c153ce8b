"""What is wrong with the dropout in this model?

`audit` runs a model in both modes and tells what it found, `Watch` looks on while one is trained.
"""

from typing import Any

from torch import nn

from dropout.audit.case import Case
from dropout.audit.checks import CHECKS
from dropout.audit.checks.in_place import in_place
from dropout.audit.finding import Finding, Findings
from dropout.audit.kinds import CONFIDENCE, KINDS
from dropout.audit.runs import AuditError, Runner, random_state_kept, required

__all__ = ["CONFIDENCE", "KINDS", "AuditError", "Finding", "Findings", "audit"]


def audit(model: nn.Module, *inputs: Any, **keywords: Any) -> Findings:
    """What is wrong with the dropout in a model, seen in runs of `model(*inputs, **keywords)`.

    >>> model = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.BatchNorm1d(8))
    >>> findings = audit(model, torch.randn(64, 8))
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    runner = Runner(model, inputs, keywords)
    with random_state_kept(model):
        evaluations = [required(runner.run(False, seed), "in evaluation") for seed in (0, 1)]
        first = runner.run(True, 0, backward=True)
        if first.error is not None:
            findings = list(in_place(Case(model, runner, evaluations, [first])))
            if not findings:
                required(first, "in training")
            return Findings(findings)
        second = required(runner.run(True, 1), "in training")
        case = Case(model, runner, evaluations, [first, second])
        return Findings(finding for check in CHECKS for finding in check(case))
