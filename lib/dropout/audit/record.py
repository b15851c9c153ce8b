"""What a forward does, written down while it runs: modules, operators, coins, and what they drop.

Three things look on: hooks know which module runs, a TorchFunctionMode sees the calls that say
what they mean (`F.dropout`, with its rate), and a TorchDispatchMode sees every operator, also those
of compiled graphs, and of code that tosses coins by itself. Values are followed by the memory that
they lie in, so that views are the tensor they are views of; all are kept until the end.
"""

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from dropout.audit import calls, operators
from dropout.audit.calls import Call
from dropout.audit.facts import Draw, Key, Norm, Op, Place, Site, Value, key
from dropout.audit.lines import user_line
from dropout.audit.tree import tensors
from dropout.torch_private import written

NOWHERE: frozenset[int] = frozenset()
FOREIGN = 1 << 20  # the largest tensor from elsewhere that is kept to be compared


class Record:
    """What ran, in order. With `off` nothing drops; with `copies` nothing drops in place, or
    nothing at the sites of these numbers.
    """

    def __init__(
        self, model: nn.Module, off: bool = False, copies: Literal[True] | frozenset[int] = NOWHERE
    ) -> None:
        self.off, self.copies = off, copies
        self.ops: list[Op] = []
        self.draws: list[Draw] = []
        self.sites: list[Site] = []
        self.norms: list[Norm] = []
        self.foreign: list[tuple[Place, Tensor]] = []  # masks that nothing here has made
        self.foreign_again: list[tuple[Place, Tensor]] = []  # at the same lines, in backward
        self.values: dict[Key, Value] = {}
        self.given: set[Key] = set()
        self.called: dict[str, list[bool]] = {}  # by path: whether in training, at each call
        self.failed: tuple[str, nn.Module] | None = None
        self.reseeded: Place | None = None
        self.seed = self.seed_now = torch.initial_seed()
        self.backward = False  # whether the forward is over
        self._paths = {id(m): name for name, m in reversed(list(model.named_modules()))}
        self._within: list[tuple[str, nn.Module]] = []
        self._alive: list[Any] = []  # whose memory must not be used again
        self._open: int | None = None  # the number of the site that runs
        self._in_norm = False
        self._thread = threading.get_ident()
        self._weights = {key(p) for p in model.parameters()}
        self._stored = {key(b) for b in model.buffers()}
        for x in (*model.parameters(), *model.buffers()):
            self._is_data(x)

    def starts_from(self, inputs: Sequence[Tensor]) -> None:
        """What the model is given."""
        for x in inputs:
            self._is_data(x)
            self.given.add(key(x))

    def _is_data(self, x: Tensor) -> None:
        # One number, as a rate in a buffer is, says nothing of the data.
        self.values[key(x)] = Value(data=x.numel() > 1)

    @contextmanager
    def looking_on(self) -> Iterator[None]:
        """Note what runs within."""
        with ExitStack() as stack:
            stack.enter_context(register_module_forward_pre_hook(self._enter))
            stack.enter_context(register_module_forward_hook(self._leave, always_call=True))
            stack.enter_context(_Operators(self))
            stack.enter_context(_Calls(self))
            stack.callback(self._alive.clear)
            yield

    def elsewhere(self) -> bool:
        """Whether this is another thread than the one that is looked at."""
        return threading.get_ident() != self._thread

    # --- Where -----------------------------------------------------------------------------------

    def _enter(self, module: nn.Module, _args: Any) -> None:
        if self.elsewhere():
            return
        self._note_seed()
        path = self._paths.get(id(module))
        if path is None:
            above = self._within[-1][0] if self._within else ""
            path = f"{above}.{type(module).__name__}()".lstrip(".")  # no child of any module
            self._alive.append(module)
        self._within.append((path, module))
        self.called.setdefault(path, []).append(module.training)

    def _leave(self, module: nn.Module, _args: Any, _output: Any) -> None:
        if self.elsewhere():
            return
        self._note_seed()
        while self._within:
            top = self._within.pop()
            if top[1] is module:
                if sys.exc_info()[0] is not None and self.failed is None and not self.backward:
                    self.failed = top
                return

    def here(self) -> Place:
        """Where the code is: the innermost module, and the line that is no library's."""
        path, module = self._within[-1] if self._within else ("", None)
        outer = (p for p, m in reversed(self._within) if not isinstance(m, calls.DROP_LAYERS))
        kind = "" if module is None else type(module).__name__
        source, function = user_line()
        return Place(path, kind, source, f"{path} {kind} {function}", next(outer, ""), module)

    # --- Calls that say what they mean -----------------------------------------------------------

    def call(self, function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Run a function that drops, and note it."""
        if self._open is not None or self.elsewhere():
            return function(*args, **kwargs)
        try:
            call = Call(function, args, kwargs)
        except TypeError:  # arguments that do not fit: its own error says so
            return function(*args, **kwargs)
        if self.off:
            args, kwargs = calls.without(call, args, kwargs)
        elif call.inplace and (self.copies is True or len(self.sites) in self.copies):
            function, args, kwargs = calls.not_in_place(call, args, kwargs)
        if self.backward:  # computed again for a gradient
            return function(*args, **kwargs)
        site = self._site(
            call.name, call.input, call.p, training=call.training, inplace=call.inplace,
            keyed=call.keyed,
        )  # fmt: skip
        if call.name.startswith("alpha") and call.input is not None and call.input.numel():
            site.lowest = float(call.input.detach().min())
        site.on_constant = bool(
            call.p > 0 and call.input is not None and not self.value(call.input).data
        )
        self._open = len(self.sites) - 1
        try:
            out = function(*args, **kwargs)
        finally:
            self._open = None
            site.last = len(self.ops)
        site.outputs = [key(x) for x in tensors(out)]
        return out

    def _site(self, name: str, x: Tensor | None, p: float | None, **more: Any) -> Site:
        site = Site(name, self.here(), p, **more)
        if x is not None:
            site.input, site.shape, site.made_by = key(x), tuple(x.shape), self.value(x).producer
            site.on_parameter = site.input in self._weights
        self.sites.append(site)
        return site

    def batch_norm(self, function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Run a batch norm, and note what it meets."""
        names = calls.BATCH_NORMS[function]
        given = {"training": False, **dict(zip(names, args, strict=False)), **kwargs}
        x = given["input"]
        features = x.detach().double().transpose(0, 1).flatten(1)
        self.norms.append(
            Norm(
                self.here(),
                given["training"],
                given["running_mean"] is not None,
                float(features.var(1, correction=0).sum()),
                features.shape[1],
                self.value(x).producer,
            )
        )
        self._in_norm = True
        try:
            return function(*args, **kwargs)
        finally:
            self._in_norm = False

    # --- Operators -------------------------------------------------------------------------------

    def value(self, x: Tensor) -> Value:
        """What a tensor depends on."""
        return self.values.get(key(x), Value())

    def operator(self, function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Run an operator, and note what it read, wrote, drew and dropped."""
        if self.elsewhere():
            return function(*args, **kwargs)
        if self.backward:
            out = function(*args, **kwargs)
            self._note_draw(function, args, out)
            self._note_foreign_again(operators.short(function), args)
            return out
        self._note_seed()
        name = operators.short(function)
        place = None if self._open is not None else operators.mask_place(name, args, self.value)
        site = self._note_mask(name, args, place) if place is not None else None
        if self._open is None and place is None:
            self._note_foreign(name, args)
        reads = tensors((args, kwargs))
        before, read = [self.value(x) for x in reads], [key(x) for x in reads]
        draw = None
        if self.off and place is not None:
            out = operators.unmasked(name, args, place)
        elif self.off and name == "masked_scale" and operators.is_own(function):
            out = args[0].clone()
        elif self.off and name == "native_dropout":
            out = args[0].clone(), torch.ones_like(args[0], dtype=torch.bool)
        else:
            out = function(*args, **kwargs)
            draw = self._note_draw(function, args, out)
        if draw is not None and self._open is None and name == "native_dropout":
            site = self._site(name, args[0], args[1], draws=[draw], mask=self.draws[draw].value)
        elif draw is not None and self._open is None and operators.is_own(function):
            p = args[4] / 65536 if name == "masked_scale" else None
            site = self._site(name, args[0], p, draws=[draw])
        outs = tensors(out)
        self._alive += [reads, outs]
        over = {key(x) for x in tensors(tuple(written(function, args)))}
        writes = [key(x) for x in outs]
        is_view = bool(writes) and all(k in read and k not in over for k in writes)
        index = len(self.ops)
        if site is not None:
            site.last, site.outputs = index + 1, writes
        scales_data = any(value.data for value in before)
        factor = operators.factor(name, args) if scales_data else None
        located = factor is not None or name in operators.SOFTMAX
        self.ops.append(
            Op(
                name,
                [value.producer for value in before],
                read,
                [x.numel() for x in reads],
                is_view,
                self.here() if located else None,
                self._open if site is None else len(self.sites) - 1,
                self._in_norm,
                factor,
            )
        )
        if not is_view:
            value = operators.after(function, before, draw, index)
            self.values.update((k, value) for k in (*writes, *over))
        return out

    def _note_seed(self) -> None:
        self.seed_now = torch.initial_seed()
        if self.reseeded is None and self.seed_now != self.seed:
            self.reseeded = self.here()

    def _note_draw(self, function: Any, args: tuple, out: Any) -> int | None:
        """The number of the draw, if the operator draws random numbers."""
        value = operators.drawn(function, args, out)
        if value is None:
            return None
        name = operators.short(function)
        self.draws.append(Draw(name, value, self.here(), self.backward))
        number = len(self.draws) - 1
        if self._open is not None and name != "draw_seed":
            site = self.sites[self._open]
            site.draws.append(number)
            if isinstance(value, Tensor) and site.mask is None:
                site.mask = value
        return number

    def _note_mask(self, name: str, args: tuple, place: int) -> Site:
        """A site where code drops by a mask of its own."""
        x = operators.masked(name, args, place, self.value)
        draws = self.value(operators.mask_of(args, place)).draws
        made = [s.p for s in self.sites if s.on_constant and set(s.draws) & draws]
        return self._site(
            "mask", x, made[-1] if made else None, inplace=name.endswith("_"), custom=True,
            draws=sorted(draws), mask=operators.kept(name, args, place),
            chosen=name in operators.CHOICES, integers=not x.is_floating_point(),
        )  # fmt: skip

    def _note_foreign(self, name: str, args: tuple) -> None:
        """A factor of two values that nothing here has drawn: a buffer, or numbers of NumPy's."""
        if name not in operators.PRODUCTS or not all(isinstance(x, Tensor) for x in args[:2]):
            return
        for x, other in (args[:2], args[1::-1]):
            value, wanted = self.value(x), self.value(other).data and 1 < x.numel() <= FOREIGN
            given = value.data and key(x) not in self._stored
            if wanted and not given and not value.draws and operators.two_values(x):
                self.foreign.append((self.here(), x.detach().clone()))

    def _note_foreign_again(self, name: str, args: tuple) -> None:
        if not self.foreign or name not in operators.PRODUCTS:
            return
        place = self.here()
        if place.source is not None and any(place.source == p.source for p, _ in self.foreign):
            self.foreign_again += [
                (place, x.detach().clone()) for x in args[:2]
                if isinstance(x, Tensor) and 1 < x.numel() <= FOREIGN and operators.two_values(x)
            ]  # fmt: skip


class _Calls(TorchFunctionMode):
    def __init__(self, record: Record) -> None:
        super().__init__()
        self.record = record

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if calls.is_batch_norm(function):
            return self.record.batch_norm(function, args, kwargs)
        if calls.drops(function):
            return self.record.call(function, args, kwargs)
        return function(*args, **kwargs)


class _Operators(TorchDispatchMode):
    def __init__(self, record: Record) -> None:
        super().__init__()
        self.record = record

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return self.record.operator(function, args, kwargs or {})
