"""What a forward does, written down while it runs: modules, operators, coins, and what they drop.

Three things look on: hooks know which module runs, a TorchFunctionMode sees the calls that say
what they mean (`F.dropout`, with its rate), and a TorchDispatchMode sees every operator, also those
of compiled graphs, and of code that tosses coins by itself. Values are followed by the memory that
they lie in, so that views are the tensor they are views of; all are kept until the end.
"""

import inspect
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from dropout.audit import calls
from dropout.audit.calls import Call
from dropout.audit.tree import leaves
from dropout.torch_private import written

Key = int | tuple[str, int]
NONE: frozenset[int] = frozenset()
# Code whose lines are nobody's place: PyTorch's, this library's, and what checks its signatures.
LIBRARIES = tuple(
    str(Path(module.__file__).parent) for module in (torch, sys.modules["dropout"])
    if module.__file__
)  # fmt: skip
WRAPPERS = "/jaxtyping/", "/beartype/", "<@beartype", "<frozen", "contextlib.py"
FACTORIES = {
    "empty", "empty_like", "empty_strided", "zeros", "zeros_like", "ones", "ones_like", "full",
    "full_like", "new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided", "arange",
    "scalar_tensor", "lift_fresh", "eye", "linspace", "fill", "fill_", "zero_",
}  # fmt: skip
BINARY = {
    "lt", "le", "gt", "ge", "eq", "ne", "floor", "floor_", "ceil", "round", "sign", "logical_not",
    "bitwise_not", "bernoulli", "bernoulli_",
}  # fmt: skip
OVERWRITES = {"rand_like", "randn_like", "randint_like"}
OWN = "masked_scale", "multiply"
PRODUCTS = {"mul", "mul_", "div", "div_"}
CHOICES = {"where", "masked_fill", "masked_fill_", "index_put", "index_put_"}
# Operators between which a number stays the same number, perhaps in another type or memory.
COPIES = {
    "clone", "contiguous", "to_copy", "copy_", "unsafe_view", "reshape_alias", "alias", "view",
    "detach", "expand", "squeeze", "unsqueeze", "transpose", "permute", "t", "reshape", "slice",
    "select", "lift_fresh_copy",
}  # fmt: skip
SOFTMAX = "softmax", "log_softmax", "safe_softmax"


@dataclass
class Place:
    """Where something ran."""

    module: str
    kind: str
    source: str | None
    named: str  # the names on the way: path, class, function
    owner: str  # the innermost module that is no layer of dropout
    layer: Any = field(repr=False, default=None)


@dataclass
class Op:
    """One operator: what made what it read, and where it wrote."""

    index: int
    name: str
    made_by: list[int | None]
    reads: list[Key]
    writes: list[Key]
    is_view: bool
    place: Place | None
    site: int | None
    norm: bool
    factor: float | None  # of a product with a plain number
    sizes: list[int]  # of what it read


@dataclass
class Draw:
    """Random numbers: the operator, a copy of them or the words that name them, and where."""

    name: str
    value: Any
    place: Place
    site: int | None
    backward: bool
    seed: int

    @property
    def count(self) -> int:
        return self.value.numel() if isinstance(self.value, Tensor) else 64


@dataclass
class Site:
    """A dropout that ran: a call of a function that drops, or a mask that code made by itself."""

    name: str
    place: Place
    p: float | None
    training: bool
    inplace: bool
    keyed: bool
    shape: tuple[int, ...]
    input: Key | None
    first: int
    last: int = -1
    outputs: list[Key] = field(default_factory=list)
    draws: list[int] = field(default_factory=list)
    mask: Tensor | None = None
    custom: bool = False
    chosen: bool = False  # custom, by `where` or the like, which scales nothing
    on_constant: bool = False  # only the mask of a dropout that code makes by itself
    on_parameter: bool = False
    made_by: int | None = None  # the operator that made its input

    @property
    def acts(self) -> bool:
        return bool(self.draws) or (self.training and self.p == 1)

    @property
    def on_units(self) -> bool:
        """Whether it drops in what it is given, not in weights: of attention, a table, a layer."""
        return self.name not in calls.INSIDE


@dataclass
class Norm:
    """What one batch norm met."""

    place: Place
    training: bool
    tracks: bool
    variance: float
    examples: int
    made_by: int | None


@dataclass
class Value:
    """What a tensor depends on: which draws, and whether the model's inputs or parameters."""

    draws: frozenset[int] = frozenset()
    data: bool = False
    binary: bool = False
    producer: int | None = None


class Record:
    """What ran, in order. With `off` nothing drops; with `copies` nothing drops in place, or
    nothing at the sites of these numbers."""

    def __init__(
        self, model: nn.Module, off: bool = False, copies: Literal[True] | frozenset[int] = NONE
    ) -> None:
        self.off, self.copies = off, copies
        self.paths = {id(m): name for name, m in reversed(list(model.named_modules()))}
        self.stack: list[tuple[str, nn.Module]] = []
        self.called: dict[str, list[bool]] = {}  # by path: whether in training, at each call
        self.failed: tuple[str, nn.Module] | None = None
        self.ops: list[Op] = []
        self.draws: list[Draw] = []
        self.sites: list[Site] = []
        self.norms: list[Norm] = []
        self.values: dict[Key, Value] = {}
        self.alive: list[Any] = []
        self.open_site: int | None = None
        self.in_norm = False
        self.backward = False
        self.reseeded: Place | None = None
        self.seed = self.seed_now = torch.initial_seed()
        self.parameters = {key(p) for p in model.parameters()}
        self.given: set[Key] = set()
        self.thread = threading.get_ident()
        for x in (*model.parameters(), *model.buffers()):
            self._is_data(x)

    def starts_from(self, inputs: Sequence[Tensor]) -> None:
        """What the model is given."""
        for x in inputs:
            self._is_data(x)
            self.given.add(key(x))

    def _is_data(self, x: Tensor) -> None:
        if x.numel() > 1:  # one number, as a rate in a buffer is, says nothing of the data
            self.values[key(x)] = Value(data=True)

    @contextmanager
    def looking_on(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(register_module_forward_pre_hook(self._enter))
            stack.enter_context(register_module_forward_hook(self._leave, always_call=True))
            stack.enter_context(_Ops(self))
            stack.enter_context(_Calls(self))
            yield

    # --- Where -----------------------------------------------------------------------------------

    def _enter(self, module: nn.Module, _args: Any) -> None:
        if threading.get_ident() != self.thread:
            return
        path = self.paths.get(id(module))
        if path is None:
            above = self.stack[-1][0] if self.stack else ""
            path = f"{above}.{type(module).__name__}()".lstrip(".")  # no child of any module
            self.alive.append(module)
        self.stack.append((path, module))
        self.called.setdefault(path, []).append(module.training)

    def _leave(self, module: nn.Module, _args: Any, output: Any) -> None:
        if threading.get_ident() != self.thread:
            return
        while self.stack:
            top = self.stack.pop()
            if top[1] is module:
                if sys.exc_info()[0] is not None and self.failed is None and not self.backward:
                    self.failed = top
                return

    def here(self) -> Place:
        """Where the code is: the innermost module, and the line that is not a library's."""
        path, module = self.stack[-1] if self.stack else ("", None)
        owner = next(
            (p for p, m in reversed(self.stack) if not isinstance(m, calls.DROP_LAYERS)), ""
        )
        source, function = _line()
        kind = type(module).__name__ if module is not None else ""
        return Place(path, kind, source, f"{path} {kind} {function}", owner, module)

    # --- Calls that say what they mean -----------------------------------------------------------

    def call(self, function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Run a function that drops, and note it."""
        if self.open_site is not None or threading.get_ident() != self.thread:
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
        x = call.input
        value = self.value(x) if isinstance(x, Tensor) else Value()
        site = Site(
            call.name, self.here(), call.p, call.training, call.inplace, call.keyed,
            tuple(x.shape) if isinstance(x, Tensor) else (),
            key(x) if isinstance(x, Tensor) else None, len(self.ops),
            on_constant=isinstance(x, Tensor) and not value.data and call.p > 0,
            on_parameter=isinstance(x, Tensor) and key(x) in self.parameters,
            made_by=value.producer,
        )  # fmt: skip
        self.open_site = len(self.sites)
        self.sites.append(site)
        try:
            out = function(*args, **kwargs)
        finally:
            self.open_site = None
            site.last = len(self.ops)
        site.outputs = [key(t) for t in leaves(out) if isinstance(t, Tensor)]
        return out

    def batch_norm(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Run a batch norm, and note what it meets."""
        names = "input", "running_mean", "running_var", "weight", "bias", "training"
        given = {"training": False, **dict(zip(names, args, strict=False)), **kwargs}
        x = given["input"]
        variance = x.detach().float().transpose(0, 1).flatten(1).var(1, correction=0).sum()
        self.norms.append(
            Norm(
                self.here(),
                given["training"],
                given["running_mean"] is not None,
                float(variance),
                x.numel() // max(x.shape[1], 1),
                self.value(x).producer,
            )
        )
        self.in_norm = True
        try:
            return F.batch_norm(*args, **kwargs)
        finally:
            self.in_norm = False

    # --- Operators -------------------------------------------------------------------------------

    def value(self, x: Tensor) -> Value:
        return self.values.get(key(x), Value())

    def operator(self, function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Run an operator, and note what it read, wrote, drew and dropped."""
        if threading.get_ident() != self.thread:
            return function(*args, **kwargs)
        if self.backward:
            out = function(*args, **kwargs)
            self._note_draw(function, args, out)
            return out
        self._note_seed()
        name = _short(function)
        reads = [x for x in leaves((args, kwargs)) if isinstance(x, Tensor)]
        before = [self.value(x) for x in reads]
        read_keys = [key(x) for x in reads]
        masked = None if self.open_site is not None else self._masked(name, args, before)
        own = name in OWN and function.namespace == "dropout"
        if self.off and (masked is not None or (own and name == "masked_scale")):
            out = _unmasked(name, args, masked)
            drawn = None
        else:
            out = function(*args, **kwargs)
            drawn = self._note_draw(function, args, out)
        outs = [x for x in leaves(out) if isinstance(x, Tensor)]
        self.alive += [reads, outs]
        stays = {key(x) for x in leaves(tuple(written(function, args))) if isinstance(x, Tensor)}
        writes = [key(x) for x in outs]
        is_view = bool(writes) and all(k in read_keys and k not in stays for k in writes)
        site = self.open_site
        if masked is not None:
            site = self._note_mask(name, args, masked)
        elif own and site is None and drawn is not None:
            site = self._note_own(name, args, drawn)
        index = len(self.ops)
        if site is not None and site != self.open_site:
            self.sites[site].first, self.sites[site].last = index, index + 1
            self.sites[site].outputs = writes
        factor = _factor(name, args)
        worth = factor is not None or name in SOFTMAX
        self.ops.append(
            Op(
                index,
                name,
                [v.producer for v in before],
                read_keys,
                writes,
                is_view,
                self.here() if worth else None,
                site,
                self.in_norm,
                factor,
                [x.numel() for x in reads],
            )
        )
        if not is_view:
            self._note_values(function, before, [*writes, *stays], index, drawn)
        return out

    def _note_values(
        self, function: Any, before: list[Value], writes: list[Key], index: int, drawn: int | None
    ) -> None:
        name = _short(function)
        draws = frozenset().union(*(v.draws for v in before))
        data = any(v.data for v in before)
        binary = any(v.binary for v in before) and not data
        if name in FACTORIES:
            draws, data, binary = frozenset(), False, False
        if drawn is not None:
            draws = draws | {drawn}
            if name in OVERWRITES or name.endswith("_"):
                data = False
            elif name == "bernoulli":
                data = data and function.name() == "aten::bernoulli"  # of rates, not of a shape
            binary = name in ("bernoulli", "bernoulli_", "randint", "random_", "masked_scale")
        elif name in BINARY and draws:
            binary, data = True, data and name not in ("lt", "le", "gt", "ge")
        for k in writes:
            self.values[k] = Value(draws, data, binary and not data, index)

    def _note_seed(self) -> None:
        self.seed_now = torch.initial_seed()
        if self.reseeded is None and self.seed_now != self.seed:
            self.reseeded = self.here()

    def _note_draw(self, function: Any, args: tuple, out: Any) -> int | None:
        """The number of the draw, if the operator draws random numbers."""
        name = _short(function)
        if name in OWN and function.namespace == "dropout":
            value: Any = tuple(
                int(a) if isinstance(a, Tensor) else tuple(a) if isinstance(a, list) else a
                for a in args[1:]
            )
            if self.backward:
                return None
        elif torch.Tag.nondeterministic_seeded not in function.tags or not _draws(name, args):
            return None
        else:
            tensors = [x for x in leaves(out) if isinstance(x, Tensor)]
            value = tensors[-1 if name == "native_dropout" else 0].detach().clone()
        draw = Draw(name, value, self.here(), self.open_site, self.backward, torch.initial_seed())
        self.draws.append(draw)
        number = len(self.draws) - 1
        if name == "draw_seed":
            return number
        if self.open_site is not None:
            site = self.sites[self.open_site]
            site.draws.append(number)
            if isinstance(value, Tensor) and site.mask is None:
                site.mask = value
        return number

    def _note_own(self, name: str, args: tuple, number: int) -> int:
        """A site of this library that no call of a function led to."""
        x = args[0]
        p = args[4] / 65536 if name == "masked_scale" else None
        self.sites.append(
            Site(
                name,
                self.here(),
                p,
                True,
                False,
                False,
                tuple(x.shape),
                key(x),
                0,
                draws=[number],
                on_parameter=key(x) in self.parameters,
                made_by=self.value(x).producer,
            )
        )
        return len(self.sites) - 1

    def _masked(self, name: str, args: tuple, before: list[Value]) -> int | None:
        """Which argument a random mask of two values is, if the operator drops others by it."""
        if name not in PRODUCTS | CHOICES:
            return None
        if name in PRODUCTS:
            if len(args) < 2 or not isinstance(args[1], Tensor) or len(before) < 2:
                return None
            order = [1] if name.startswith("div") or name.endswith("_") else [1, 0]
            found = [i for i in order if self._is_mask(args[i], before[i]) and before[1 - i].data]
            return found[0] if found else None
        place = 0 if name == "where" else 1
        if len(args) < 3:
            return None
        mask = args[place][0] if isinstance(args[place], list | tuple) else args[place]
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
            return None
        if not self._is_mask(mask, self.value(mask)):
            return None
        others = args[1:] if name == "where" else (args[0], args[2])
        zero = [_is_zero(x) for x in others]
        data = [isinstance(x, Tensor) and self.value(x).data for x in others]
        return place if any(zero) and any(data) else None

    def _is_mask(self, x: Tensor, value: Value) -> bool:
        if not value.binary or value.data or not x.numel() or x.dtype.is_complex:
            return False
        levels = torch.unique(x.detach())
        return len(levels) <= 2 and (len(levels) == 1 or bool((levels == 0).any()))

    def _note_mask(self, name: str, args: tuple, place: int) -> int:
        mask = args[place][0] if isinstance(args[place], list | tuple) else args[place]
        other = args[1 - place] if name in PRODUCTS else next(
            x for x in args[:place] + args[place + 1 :]
            if isinstance(x, Tensor) and self.value(x).data
        )  # fmt: skip
        keep = mask.detach().clone()
        if name in CHOICES:
            zero = 1 if name == "where" and _is_zero(args[1]) else 0
            keep = ~keep if name != "where" or zero else keep
        value = self.value(mask)
        made = [s for s in self.sites if s.on_constant and set(s.draws) & value.draws]
        self.sites.append(
            Site(
                "mask",
                self.here(),
                made[-1].p if made else None,
                True,
                name.endswith("_"),
                False,
                tuple(other.shape),
                key(other),
                0,
                draws=sorted(value.draws),
                mask=keep,
                custom=True,
                chosen=name in CHOICES,
                on_parameter=key(other) in self.parameters,
                made_by=self.value(other).producer,
            )
        )
        return len(self.sites) - 1


class _Calls(TorchFunctionMode):
    def __init__(self, record: Record) -> None:
        super().__init__()
        self.record = record

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is F.batch_norm and self.record.open_site is None:
            return self.record.batch_norm(args, kwargs)
        if calls.drops(function):
            return self.record.call(function, args, kwargs)
        return function(*args, **kwargs)


class _Ops(TorchDispatchMode):
    def __init__(self, record: Record) -> None:
        super().__init__()
        self.record = record

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return self.record.operator(function, args, kwargs or {})


def key(x: Tensor) -> Key:
    """The memory of a tensor, by which it is known; itself, where it has none."""
    try:
        return x.untyped_storage().data_ptr() or ("id", id(x))
    except (NotImplementedError, RuntimeError):
        return ("id", id(x))


def _short(function: Any) -> str:
    """The name of an operator without its namespace, its overload and what marks it private."""
    return function.name().split("::")[1].split(".")[0].lstrip("_")


def _line() -> tuple[str | None, str]:
    """The innermost line of code that is no library's, and its function's name."""
    frame = inspect.currentframe()
    while frame is not None:
        code = frame.f_code
        if code.co_name == "call_model" and code.co_filename.startswith(LIBRARIES[1]):
            break
        name = code.co_filename
        if not name.startswith(LIBRARIES) and not any(part in name for part in WRAPPERS):
            return f"{Path(name).name}:{frame.f_lineno}", code.co_name
        frame = frame.f_back
    return None, ""


def _draws(name: str, args: tuple) -> bool:
    """Whether an operator that can draw random numbers did, by its rate and its mode."""
    if name == "native_dropout":
        return args[1] > 0 and args[2] is not False
    if name.startswith("scaled_dot_product"):
        return any(isinstance(a, float) and a > 0 for a in args[3:])
    if name in ("cudnn_rnn", "miopen_rnn"):
        floats = [i for i, a in enumerate(args) if isinstance(a, float)]
        return any(args[i] > 0 and args[i + 1] is True for i in floats)
    return True


def _factor(name: str, args: tuple) -> float | None:
    """The plain number that a product has for a factor."""
    if name not in PRODUCTS or len(args) < 2:
        return None
    other = args[1]
    if isinstance(other, Tensor):
        if other.numel() != 1 or other.dim() or other.dtype.is_complex:
            return None
        other = float(other)
    if not isinstance(other, int | float) or not other:
        return None
    return 1 / other if name.startswith("div") else float(other)


def _is_zero(x: Any) -> bool:
    if isinstance(x, Tensor):
        return not x.dtype.is_complex and x.numel() > 0 and not bool(x.detach().ne(0).any())
    return isinstance(x, int | float) and x == 0


def _unmasked(name: str, args: tuple, place: int | None) -> Any:
    """What an operator that drops would give if nothing dropped."""
    if name == "masked_scale":
        return args[0].clone()
    if name in PRODUCTS:
        x, mask = args[1 - (place or 0)], args[place or 0]
        if name.endswith("_"):
            return x
        return x.expand(torch.broadcast_shapes(x.shape, mask.shape)).clone()
    if name == "where":
        x = args[1] if _is_zero(args[2]) else args[2]
        return x.expand(torch.broadcast_shapes(*(a.shape for a in args))).clone()
    return args[0] if name.endswith("_") else args[0].clone()
