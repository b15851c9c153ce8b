"""What goes wrong with dropout in a training loop, which no single forward shows."""

import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.overrides import TorchFunctionMode

from dropout.audit import calls
from dropout.audit.checks.rates import declared, in_frozen, one_recurrent_layer
from dropout.audit.finding import Finding, Findings
from dropout.audit.kinds import Confidence
from dropout.audit.tree import tensors
from dropout.layers.base import Coins
from dropout.seeding import content
from dropout.torch_private import graph_task, uncompiled

COMPARED = 8  # forwards in training that the ranks of torch.distributed compare
LOOKED_INTO = 2  # forwards in training in which calls of functions are read


@dataclass
class Forward:
    """One forward of the model: in which mode, and from which random numbers."""

    training: bool
    gradients: bool
    generators: bytes
    keys: dict[str, Any]
    inputs: bytes = b""
    drew: bool = False
    backward: bool = False

    @property
    def drops(self) -> bool:
        return self.drew or bool(self.keys)


@dataclass
class Sources:
    """How often something dropped in training with gradients, and from how many sources."""

    forwards: int = 0
    seen: set[int] = field(default_factory=set)  # in 64 bits each: there may be millions

    def note(self, source: bytes) -> None:
        self.forwards += 1
        self.seen.add(int.from_bytes(source[:8], "little"))

    @property
    def repeats(self) -> int:
        return self.forwards - len(self.seen)


@dataclass
class Rate:
    """A layer that says it drops: how often it was called, and how often in training mode."""

    layer: nn.Module
    p: float
    calls: int = 0
    in_training: int = 0


class Watch:
    """Looks on while a model is trained, and tells in `findings` what went wrong.

    Steps that drop the same, since a seed or a key is set in the loop; processes of
    torch.distributed that do; forwards without gradients in which dropout acts, as in a validation
    that forgot `model.eval()`; steps of an optimizer on gradients of a model in evaluation mode;
    rates that never acted. The model is not changed, and hooks are taken off at the end. Of a
    compiled model the layers are not looked at, so that idle rates are not found.

    Every forward of the model counts, not those of its parts, nor what a checkpoint around the
    model computes again in backward. To see whether two steps drop the same, the states of the
    generators are compared, not masks: that costs some microseconds, and what it calls equal is
    equal. On several processes the first forwards are compared at the end of the block, which all
    processes have to reach (`ranks=False`: they are not). Where it ends in an error they are not.

    >>> model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
    >>> with Watch(model) as watch:
    ...     for step in range(3):
    ...         _ = torch.manual_seed(0)
    ...         model(torch.ones(2, 4)).sum().backward()
    >>> watch.findings.kinds()
    ['same-mask-each-step']
    """

    def __init__(self, model: nn.Module, *, ranks: bool = True) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
        self.model, self.ranks = model, ranks
        self._plain = uncompiled(model)
        rates = {path: Rate(layer, p) for path, layer, p in declared(self._plain)}
        self._may_drop = bool(rates)
        self._rates = rates if self._plain is model else {}  # whose hooks the compiler would meet
        self._passed: set[float] = set()  # rates that are given to functions
        self._first: list[Forward] = []  # in training, to be compared between ranks
        self._trained = self._without = self._dropping = self._steps = self._in_evaluation = 0
        self._drawn_from: dict[str | None, Sources] = {}  # by path; None: of the generators
        self._since_step: deque[Forward] = deque(maxlen=1024)
        self._alike: dict[str, list[int]] = {}
        self._exits = ExitStack()
        self._looking: _Rates | None = None
        self._now: Forward | None = None
        self._inside = 0

    def __enter__(self) -> "Watch":
        add: Callable[[Any], Any] = self._exits.enter_context
        try:
            add(self.model.register_forward_pre_hook(self._begin, prepend=True, with_kwargs=True))
            add(self.model.register_forward_hook(self._end, always_call=True))
            for rate in self._rates.values():
                add(rate.layer.register_forward_pre_hook(partial(self._called, rate)))
                add(rate.layer.register_forward_hook(self._left, always_call=True))
            add(register_optimizer_step_post_hook(self._step))
        except BaseException:
            self._exits.close()
            raise
        return self

    def __exit__(self, kind: type | None, *_: Any) -> None:
        self._exits.close()
        if kind is None and self.ranks and _several():
            self._alike = _compared(self._first)

    # --- Hooks -----------------------------------------------------------------------------------

    def _begin(self, _model: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        if graph_task() != -1:  # a checkpoint computes again what has been counted
            return
        forward = Forward(
            self.model.training,
            torch.is_grad_enabled(),
            self._generators(),
            {
                path: (layer.key, layer.rows if layer.batch_axis is not None else "all")
                for path, layer in self._plain.named_modules()
                if isinstance(layer, Coins) and layer.training and layer.key and layer.drops()
            },
        )
        self._now = forward
        if not forward.training:
            return
        if len(self._first) < COMPARED:
            self._first.append(forward)
            if self.ranks and _several():
                digest = sha256(b"".join(map(content, tensors((args, kwargs)))))
                forward.inputs = digest.digest()
        if len(self._first) <= LOOKED_INTO and self._plain is self.model:
            self._looking = _Rates(self)
            self._looking.__enter__()

    def _end(self, _model: nn.Module, _args: Any, output: Any) -> None:
        if self._looking is not None:
            self._looking.__exit__(None, None, None)
            self._looking = None
        forward, self._now, self._inside = self._now, None, 0
        if forward is None:
            return
        forward.drew = self._generators() != forward.generators
        self._trained += forward.training and sys.exc_info()[0] is None
        if not forward.gradients:
            self._without += 1
            self._dropping += forward.training and forward.drops
            return
        if forward.training:
            self._note_drawn_from(forward)

        def reached(_gradient: Tensor) -> None:
            forward.backward = True

        for x in tensors(output):
            if x.grad_fn is not None:
                x.register_hook(reached)
        self._since_step.append(forward)

    def _note_drawn_from(self, forward: Forward) -> None:
        if forward.drew:
            self._drawn_from.setdefault(None, Sources()).note(forward.generators)
        for path, key in forward.keys.items():
            self._drawn_from.setdefault(path, Sources()).note(sha256(repr(key).encode()).digest())

    def _called(self, rate: Rate, layer: nn.Module, _args: Any) -> None:
        rate.calls += 1
        rate.in_training += layer.training
        self._inside += 1

    def _left(self, *_: Any) -> None:
        self._inside -= 1

    def _step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        own = {id(p) for p in self.model.parameters()}
        if not any(id(p) in own for group in optimizer.param_groups for p in group["params"]):
            return
        used = [f for f in self._since_step if f.backward]
        self._since_step.clear()
        if used:
            self._steps += 1
            self._in_evaluation += not any(f.training or f.drops for f in used)

    def _generators(self) -> bytes:
        """What settles the next random numbers of the generators that the model may draw from."""
        states = [torch.default_generator.get_state()]
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            devices = {p.device.index for p in self.model.parameters() if p.device.type == "cuda"}
            states += [torch.cuda.get_rng_state(device) for device in sorted(devices)]
        for layer in self._plain.modules():
            states += [
                value.get_state() for value in vars(layer).values()
                if isinstance(value, torch.Generator)
            ]  # fmt: skip
        return sha256(b"".join(map(content, states))).digest()

    # --- What it tells ---------------------------------------------------------------------------

    @property
    def findings(self) -> Findings:
        """What has been found so far."""
        return Findings(
            [*self._same_steps(), *self._same_ranks(), *self._wrong_modes(), *self._idle()]
        )

    def _same_steps(self) -> Iterator[Finding]:
        for path, sources in self._drawn_from.items():
            if not sources.repeats:
                continue
            times, many = sources.forwards, len(sources.seen)
            if path is None:
                yield _finding(
                    "same-mask-each-step", "",
                    {"forwards": times, "states_of_the_generator": many},
                    f"{times} forwards in training began in {many} states of the generator: "
                    f"{sources.repeats} dropped what another one had dropped.",
                    "certain", "set the seed once, before the loop",
                )  # fmt: skip
            else:
                yield _finding(
                    "same-mask-each-step", path, {"forwards": times, "keys": many},
                    f"{path or 'the model'} dropped by {many} keys in {times} forwards in "
                    "training: the same again and again.",
                    "certain", "dropout.seeding.set_step(model, step) before each step",
                )  # fmt: skip

    def _same_ranks(self) -> Iterator[Finding]:
        for path, ranks in self._alike.items():
            yield _finding(
                "same-mask-on-ranks",
                path,
                {"ranks": ranks, "forwards_compared": COMPARED},
                f"{path or 'what draws from the global generator'} dropped the same on ranks "
                f"{', '.join(map(str, ranks))}, whose inputs differ.",
                "certain",
                "torch.manual_seed(1000 * seed + rank), or dropout.seeding.set_step with rows",
            )

    def _wrong_modes(self) -> Iterator[Finding]:
        if self._dropping:
            yield _finding(
                "evaluates-in-training-mode", "",
                {"forwards_without_gradients": self._without, "in_training_mode": self._dropping},
                f"{self._dropping} of {self._without} forwards without gradients ran in training "
                "mode, with dropout. Unless they renew the statistics of batch norms, or are meant "
                "to be noisy.",
                "likely", "model.eval() before it, model.train() after it; no_grad() is neither",
            )  # fmt: skip
        if self._in_evaluation and (self._may_drop or self._drawn_from):
            yield _finding(
                "trains-in-evaluation-mode", "",
                {"steps": self._steps, "steps_in_evaluation_mode": self._in_evaluation},
                f"{self._in_evaluation} of {self._steps} steps of the optimizer used gradients of "
                "forwards in evaluation mode, without dropout.",
                "likely", "model.train() at the beginning of each epoch, after evaluation",
            )  # fmt: skip

    def _idle(self) -> Iterator[Finding]:
        trained = self._trained
        modules = dict(self._plain.named_modules())
        for path, rate in self._rates.items():
            if one_recurrent_layer(rate.layer):
                why = "acts between the layers of a recurrent network, which has one"
            elif rate.in_training or not trained or in_frozen(path, modules):
                continue
            elif rate.calls:
                why = f"was in evaluation mode in all {rate.calls} calls"
            elif rate.p in self._passed or _in_coins(path, modules):
                continue
            else:
                why = "was never called"
            yield _finding(
                "idle-rate",
                path,
                {
                    "p": rate.p,
                    "calls": rate.calls,
                    "calls_in_training_mode": rate.in_training,
                    "forwards_in_training": trained,
                },
                f"{path or 'the model'}, rate {rate.p:.3g}, {why}, in {trained} forwards in "
                "training: it dropped nothing.",
                "likely",
                "call it in training mode, or take it out",
            )


class _Rates(TorchFunctionMode):
    """Notes the rates that are given to functions outside of the layers that are counted."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if self.watch._inside == 0 and calls.drops(function):
            with suppress(TypeError):  # of arguments that do not fit, the function will tell
                self.watch._passed.add(calls.Call(function, args, kwargs).p)
        return function(*args, **kwargs)


def _finding(
    kind: str, path: str, evidence: dict, sentence: str, confidence: Confidence, mend: str
) -> Finding:
    return Finding(kind, path, None, evidence, sentence, confidence, mend)


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _compared(forwards: list[Forward]) -> dict[str, list[int]]:
    """The ranks that dropped alike though their inputs differ, by the path of what dropped."""
    own = [({"": f.generators} if f.drew else {}, f.keys, f.inputs) for f in forwards]
    ranks: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(ranks, own)
    alike: dict[str, set[int]] = {}
    for several in zip(*ranks, strict=False):
        seen: dict[tuple[str, Any], list[tuple[int, bytes]]] = {}
        for rank, (generators, keys, inputs) in enumerate(several):
            for path, state in {**generators, **keys}.items():
                if not (isinstance(state, tuple) and state[1] == "all"):
                    seen.setdefault((path, state), []).append((rank, inputs))
        for (path, _), who in seen.items():
            if len({inputs for _, inputs in who}) > 1:
                alike.setdefault(path, set()).update(rank for rank, _ in who)
    return {path: sorted(ranks) for path, ranks in alike.items()}


def _in_coins(path: str, modules: dict[str, nn.Module]) -> bool:
    """Whether a layer of this library is around one, and reads its rate."""
    while path:
        path = path.rpartition(".")[0]
        if isinstance(modules.get(path), Coins):
            return True
    return False
