"""What is wrong with the dropout in this model? `audit` runs it, `Watch` looks on at training."""

import warnings
from typing import Any

import torch
from torch import nn

from dropout.audit.case import Case
from dropout.audit.checks import CHECKS, Check
from dropout.audit.checks.in_place import in_place
from dropout.audit.finding import Finding, Findings
from dropout.audit.kinds import CONFIDENCE, KINDS
from dropout.audit.runs import AuditError, Runner, random_state_kept, required
from dropout.audit.watch import Watch

__all__ = ["CONFIDENCE", "KINDS", "AuditError", "Finding", "Findings", "Watch", "audit"]


def audit(model: nn.Module, *inputs: Any, **keywords: Any) -> Findings:
    """What is wrong with the dropout in a model: what runs of `model(*inputs, **keywords)` show.

    Each finding has a `kind` (`KINDS` lists and explains them), a place (`where`: the path of a
    module, and the line of code that calls the dropout, if one does), `evidence` in numbers and a
    `sentence` made of them, a `confidence` (`CONFIDENCE`) and what mends it (`mend`). Show them,
    read them as a sequence, or store them with `to_json()`.

    >>> from torch import nn, ones, sin, arange
    >>> model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.2), nn.Dropout(0.5))
    >>> findings = audit(model, sin(arange(32.0)).reshape(8, 4))
    >>> findings
    1 finding
     1  dropped-twice         2  [certain]
        1 (rate 0.2) and this (rate 0.5) drop the same numbers with nothing between: together 0.6.
        mend: keep one of them, at p=0.6 if that is what you want
    >>> findings[0].evidence["joint_rate"]
    0.6

    The model runs some ten times, on a batch of some 8 to 64 examples that it is used for, and its
    source is not needed. A copy of it runs, on copies of the inputs: parameters, gradients,
    buffers, modes, hooks and generators stay as they are. The copy takes the memory of the model
    again, and every intermediate result is kept while one forward lasts. Objects other than
    modules, tensors and plain containers are shared with the copy.

    What is measured in samples is reported beyond five standard errors, and masks are called equal
    where chance would make them so less than once in a million. Where two designs cannot be told
    apart, as forgotten and wanted dropout in evaluation, the sentence says so.

    Raises TypeError for what is no module, and AuditError, which names what failed, for a model
    that fails in evaluation or in training.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    runner = Runner(model, inputs, keywords)
    with random_state_kept(model), torch.inference_mode(False):
        evaluations = [required(runner.run(False, seed), "in evaluation") for seed in (0, 1)]
        first = runner.run(True, 0, backward=True)
        if first.error is not None:
            findings = list(in_place(Case(model, runner, evaluations, [first])))
            if not findings:
                required(first, "in training")
            return Findings(findings)
        second = required(runner.run(True, 1), "in training")
        case = Case(model, runner, evaluations, [first, second])
        return Findings(finding for check in CHECKS for finding in _findings(check, case))


def _findings(check: Check, case: Case) -> list[Finding]:
    """What one check finds; one that fails is told of, and does not take the others with it."""
    try:
        return list(check(case))
    except AuditError:
        raise
    except Exception as error:
        warnings.warn(f"the check {check.__name__} failed: {error!r}", RuntimeWarning, stacklevel=3)
        return []
