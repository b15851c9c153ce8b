"""Rates that cannot act, that act too much, and that act where nothing is trained."""

from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.jit import ScriptModule
from torch.nn.modules.rnn import RNNBase

from dropout.audit.calls import DROP_LAYERS
from dropout.audit.case import CONTAINERS, Case, ancestors, found, frozen, number, rate
from dropout.audit.facts import key
from dropout.audit.finding import Finding
from dropout.layers.base import TORCH_DROPOUTS, Coins

HIGH = 0.8


def declared(model: nn.Module) -> Iterator[tuple[str, nn.Module, float]]:
    """The layers that say they drop, with their rates."""
    for path, layer in model.named_modules():
        if isinstance(layer, Coins):
            p: Any = getattr(layer, layer.settings[0])
        elif isinstance(layer, TORCH_DROPOUTS):
            p = layer.p
        elif isinstance(layer, RNNBase | nn.MultiheadAttention):
            p = layer.dropout
        else:
            continue
        if isinstance(p, int | float) and p > 0:
            yield path, layer, float(p)


def one_recurrent_layer(layer: nn.Module) -> bool:
    """Whether a layer drops between layers of which it has but one."""
    return isinstance(layer, RNNBase) and layer.dropout > 0 and layer.num_layers == 1


def idle_rates(case: Case) -> Iterator[Finding]:
    """Rates that are set and did not act in any training."""
    runs = [run.record for run in case.trainings]
    flags: dict[str, list[bool]] = {}
    for record in runs:
        for path, modes in record.called.items():
            flags.setdefault(path, []).extend(modes)
    modules = dict(case.model.named_modules())
    for path, layer, p in declared(case.model):
        if one_recurrent_layer(layer):
            yield found(
                "idle-rate", path, {"p": p, "num_layers": 1},
                f"dropout={number(p)} acts between the layers of {type(layer).__name__}, which has "
                "one: nothing drops.",
                "certain", "nn.Dropout on its output, or num_layers=2",
            )  # fmt: skip
        elif path not in flags:
            yield from _never_called(case, path, layer, p, flags, modules)
        elif not any(flags[path]) and not _rests(case, path, modules):
            yield found(
                "idle-rate", path, {"p": p, "calls": len(flags[path]), "calls_in_training_mode": 0},
                f"{path} stays in evaluation mode when the model trains: rate {number(p)} drops "
                f"nothing in {len(flags[path])} calls.",
                "likely", "leave its mode to model.train(), or take it out",
            )  # fmt: skip
        elif case.model.training and not layer.training and not _rests(case, path, modules):
            yield found(
                "idle-rate", path, {"p": p, "in_training_mode": False},
                f"{path} is in evaluation mode, the model in training mode: as it is, rate "
                f"{number(p)} drops nothing.",
                "possible", "call model.train() last, after what sets modes",
            )  # fmt: skip
    yield from _hard_wired(case, modules)
    yield from _thrown_away(case)


def _never_called(
    case: Case, path: str, layer: nn.Module, p: float, flags: dict, modules: dict
) -> Iterator[Finding]:
    around = [a for a in ancestors(path) if not isinstance(modules[a], CONTAINERS)]
    if not around:
        return
    whole = around[0] in flags
    if not whole and not any(called.startswith(around[0] + ".") for called in flags):
        return  # nothing of what it belongs to ran
    owner = modules[around[0]]
    outer = [modules[a] for a in around]
    if any(isinstance(m, Coins | ScriptModule) for m in outer):
        return
    for site in case.training.sites:
        inside = not around[0] or (site.place.module + ".").startswith(around[0] + ".")
        if inside and site.p == p and not isinstance(site.place.layer, DROP_LAYERS):
            return  # its rate is read, and given to a function
    yield found(
        "idle-rate", path, {"p": p, "calls": 0},
        f"{path}, rate {number(p)}, was not called once when {around[0] or 'the model'}, a "
        f"{type(owner).__name__}, ran in training on these inputs.",
        "likely" if whole else "possible",
        f"call it in {type(owner).__name__}.forward, or take it out",
    )  # fmt: skip


def _hard_wired(case: Case, modules: dict[str, nn.Module]) -> Iterator[Finding]:
    for site in case.training.sites:
        layer = site.place.layer
        if site.training or not site.p or isinstance(layer, DROP_LAYERS):
            continue
        if isinstance(layer, nn.MultiheadAttention | RNNBase) and not layer.training:
            continue  # told above
        if layer is not None and not layer.training and _rests(case, site.place.module, modules):
            continue
        says = (
            "is told training=False in a module in training mode"
            if layer is None or layer.training
            else "follows a module that stays in evaluation mode when the model trains"
        )
        yield found(
            "idle-rate", site.place, {"p": site.p, "training": False, "call": site.name},
            f"{site.name} at rate {number(site.p)} {says}: it drops nothing.",
            "likely", f"{site.name}(..., training=self.training)",
        )  # fmt: skip


def _thrown_away(case: Case) -> Iterator[Finding]:
    run, record = case.trainings[0], case.training
    if not case.understood(run):
        return
    last_read = {k: i for i, op in enumerate(record.ops) if not op.is_view for k in op.reads}
    last_read |= {key(x): len(record.ops) for x in case.outputs(run)}
    for _, site in case.acting():
        if site.inplace or not site.on_units or not site.outputs or not site.p:
            continue
        if all(last_read.get(k, -1) < site.last for k in site.outputs):
            yield found(
                "idle-rate", site.place, {"p": site.p, "readers": 0, "call": site.name},
                f"nothing reads what {site.name} at rate {number(site.p)} returns: the tensor that "
                "goes on is the one before it.",
                "likely", f"x = {site.name}(x, ...)",
            )  # fmt: skip


def in_frozen(path: str, modules: dict[str, nn.Module]) -> bool:
    """Whether a layer stands in a part with parameters, none of which is trained."""
    for above in (path, *ancestors(path)):
        module = modules.get(above)
        if module is not None and any(True for _ in module.parameters()):
            return frozen(module)
    return False


def _rests(case: Case, path: str, modules: dict[str, nn.Module]) -> bool:
    """Whether a layer stands in a part that is not trained, and so may stay in evaluation mode."""
    return in_frozen(path, modules) or any(case.untrained(p) for p in (path, *ancestors(path)))


def extreme_rates(case: Case) -> Iterator[Finding]:
    """Rates that drop everything, and those that look like the probability to keep."""
    for _, site in case.acting():
        p = rate(site)
        if p is None or p < HIGH:
            continue
        evidence = {"p": p, "call": site.name}
        if p == 1:
            yield found(
                "drops-everything", site.place, evidence,
                f"{site.name} at rate 1 sets everything to 0 in training.",
                "certain", "a rate below 1, such as p=0.5",
            )  # fmt: skip
        elif site.p is not None:
            yield found(
                "keep-for-drop", site.place, evidence,
                f"{site.name} drops {number(100 * p)} % in training and keeps "
                f"{number(100 * (1 - p))} %; p is the probability to drop.",
                "possible", f"p={number(1 - p)}, if {number(p)} is the probability to keep",
            )  # fmt: skip


def frozen_but_dropping(case: Case) -> Iterator[Finding]:
    """Dropout in training in parts none of whose parameters is trained, beside others that are."""
    if frozen(case.model) or not any(True for _ in case.model.parameters()):
        return
    tops: list[str] = []
    for path, module in case.model.named_modules():
        if (frozen(module) or case.untrained(path)) and not any(
            (path + ".").startswith(top + ".") for top in tops
        ):
            tops.append(path)
    for top in tops:
        sites = [s for _, s in case.acting() if (s.place.module + ".").startswith(top + ".")]
        if not sites:
            continue
        module = case.model.get_submodule(top)
        count, rates = _count(module), sorted({round(r, 6) for s in sites if (r := rate(s))})
        names = list(dict.fromkeys(s.place.module for s in sites))
        says = f"all {count} parameters of {top} are frozen"
        if not frozen(module):
            says = f"no gradient reaches the {count} parameters of {top}"
        yield found(
            "frozen-but-dropping", top,
            {"frozen_parameters": count, "dropouts": names, "rates": rates},
            f"{says}, and {len(sites)} dropout"
            f"{'s' if len(sites) > 1 else ''} in it drop in training, at "
            f"{', '.join(map(number, rates)) or 'some rate'}: what is trained on top sees noise.",
            "likely" if frozen(module) else "possible", f"{top}.eval() after each model.train()",
        )  # fmt: skip


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
