"""Dropout where it does harm: before batch norms, softmaxes and outputs, and after itself."""

from collections.abc import Iterator

from dropout.audit.case import Case, by_row, found, named_drop, number, rate, source
from dropout.audit.facts import Op, Site, key
from dropout.audit.finding import Finding
from dropout.audit.operators import SOFTMAX
from dropout.audit.record import Record
from dropout.audit.runs import required
from dropout.audit.tree import dense
from dropout.layers.base import Coins

SHIFT = 1.1  # of variances, training over evaluation; what is smaller is not reported
PASSES = 8
LINEAR = {
    "addmm", "mm", "bmm", "baddbmm", "convolution", "mkldnn_convolution", "linear", "matmul", "mv",
    "addmv", "dot",
}  # fmt: skip
KEEPS_ZEROS = {"relu", "relu_", "clamp_min", "clamp_min_", "leaky_relu", "leaky_relu_"}
SCALING = {"mul", "div", "mul_", "div_", "neg"}


def before_batch_norm(case: Case) -> Iterator[Finding]:
    """Batch norms whose input has a larger variance with dropout below them than without."""
    record = case.training
    below = {
        i: nearest for i, norm in enumerate(record.norms)
        if norm.training and norm.tracks and norm.examples > 1
        and (nearest := _nearest(record, norm.made_by)) is not None
    }  # fmt: skip
    if not below:
        return
    plain = required(case.runner.run(True, off=True), "in training").record.norms
    passes = [run.record.norms for run in case.repeated(PASSES)]
    if any(len(norms) != len(plain) for norms in passes):
        return
    for i, index in below.items():
        site = record.sites[index]
        clean = plain[i].variance
        ratios = [norms[i].variance / clean for norms in passes if clean > 0]
        if not ratios:
            continue
        mean = sum(ratios) / len(ratios)
        error = (sum((r - mean) ** 2 for r in ratios) / (PASSES - 1) / PASSES) ** 0.5
        if not mean - 5 * error > SHIFT:
            continue
        norm = record.norms[i].place.module
        yield found(
            "before-batch-norm", site.place,
            {"batch_norm": norm, "training_over_evaluation": mean, "standard_error": error,
             "passes": PASSES, "p": rate(site)},
            f"with dropout, the input of {norm or 'the batch norm'} has {number(mean)} ± "
            f"{number(error)} times the variance that it has without: its running variance is too "
            "large in evaluation by that.",
            "certain", f"drop behind the last batch norm, not before {norm or 'one'}",
        )  # fmt: skip


def _nearest(record: Record, start: int | None) -> int | None:
    """The last dropout of single numbers or channels below an operator and above a batch norm."""
    waiting, seen, best = [start], set(), -1
    while waiting:
        index = waiting.pop()
        if index is None or index in seen:
            continue
        seen.add(index)
        op = record.ops[index]
        if op.norm:
            continue
        if op.site is not None and index > best:
            site = record.sites[op.site]
            if site.acts and not site.on_constant and not by_row(site, record):
                best = index
        waiting += op.made_by
    return record.ops[best].site if best >= 0 else None


def dropped_twice(case: Case) -> Iterator[Finding]:
    """Two dropouts in a row."""
    record = case.training
    for _, site in case.acting():
        _, before = source(record, site.made_by, lambda op: op.name in KEEPS_ZEROS)
        if before is None or not site.on_units or site.on_parameter:
            continue
        first = record.sites[before]
        if not first.acts or first.on_constant or not first.on_units or first is site:
            continue
        if by_row(first, record) != by_row(site, record):
            continue  # as stochastic depth of a branch that ends in dropout
        p, r = rate(first), rate(site)
        if not p or not r:
            continue
        joint = 1 - (1 - p) * (1 - r)
        name = first.place.module or first.place.source or first.name
        yield found(
            "dropped-twice", site.place,
            {"rates": [p, r], "joint_rate": joint, "first": name},
            f"{name} (rate {number(p)}) and this (rate {number(r)}) drop the same numbers with "
            f"nothing between: together {number(joint)}.",
            "certain", f"keep one of them, at p={number(joint)} if that is what you want",
        )  # fmt: skip


def before_softmax(case: Case) -> Iterator[Finding]:
    """Dropout of what goes into a softmax."""
    record = case.training
    for at, op in enumerate(record.ops):
        if op.site is not None or not op.made_by:
            continue
        if op.name not in SOFTMAX and not (op.name == "exp" and _divided(record, at)):
            continue
        _, index = source(record, op.made_by[0], _scales)
        site = None if index is None else record.sites[index]
        if site is None or not _on_scores(site, record):
            continue
        line = op.place.source if op.place is not None else None
        p = rate(site)
        yield found(
            "before-softmax", site.place,
            {"p": p, "softmax": line or op.name, "numbers": op.sizes[0]},
            f"dropout sets {number(100 * p) if p else 'some'} % of the {op.sizes[0]} scores that "
            f"enter {op.name}{f' ({line})' if line else ''} to 0, which is a score like others, "
            "and multiplies the rest.",
            "likely", "drop what the last layer reads, or the weights after the softmax",
        )  # fmt: skip


def _divided(record: Record, exp: int) -> bool:
    """Whether powers are added up and divided by a sum: a softmax that is written out."""
    return {"sum", "div"} <= {op.name for op in record.ops[exp:] if exp in op.made_by}


def _scales(op: Op) -> bool:
    """Whether an operator scales scores, shifts them, or hides some."""
    if op.name in SCALING:
        return op.factor is not None or op.name == "neg"
    if op.name in ("add", "add_", "sub", "sub_"):
        return len(op.sizes) == 1 or min(op.sizes) < max(op.sizes)
    return op.name in ("masked_fill", "masked_fill_", "where")


def _adds_a_bias(op: Op) -> bool:
    return op.name in ("add", "add_") and len(op.sizes) == 2 and min(op.sizes) < max(op.sizes)


def _on_scores(site: Site, record: Record) -> bool:
    return (
        site.acts and site.on_units and not site.on_constant and not site.on_parameter
        and not by_row(site, record) and (not site.custom or named_drop(site.place))
    )  # fmt: skip


def on_output(case: Case) -> Iterator[Finding]:
    """Dropout of what a last layer gives, where that is the output."""
    run, record = case.trainings[0], case.training
    if isinstance(case.model, Coins):
        return
    layers = sum(op.name in LINEAR and op.site is None for op in record.ops)
    for x in case.outputs(run):
        value = record.values.get(key(x))
        if value is None or not dense(x) or any(x.shape == given.shape for given in run.inputs[:1]):
            continue
        _, index = source(record, value.producer, lambda op: op.name in ("sigmoid", "neg"))
        site = None if index is None else record.sites[index]
        if site is None or not _on_scores(site, record):
            continue
        made, above = source(record, site.made_by, _adds_a_bias)
        if made is not None and above is None and record.ops[made].name in SOFTMAX:
            if any(k in op.reads for k in site.outputs for op in record.ops[site.last :]):
                continue  # weights, which are also returned
            made, above = source(record, made, lambda op: op.name in SOFTMAX or _adds_a_bias(op))
        if made is None or above is not None or record.ops[made].name not in LINEAR:
            continue
        share, p = float(x.detach().eq(0).double().mean()), rate(site)
        yield found(
            "on-output", site.place,
            {"p": p, "outputs_that_are_0": share, "shape": list(x.shape)},
            f"dropout at rate {number(p) if p else '?'} is the last thing before the output, of "
            f"shape {tuple(x.shape)}: in training {number(100 * share)} % of it is 0.",
            "likely" if layers > 1 else "possible", "drop what the last layer reads instead",
        )  # fmt: skip
