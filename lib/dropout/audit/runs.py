"""Runs of a model for an audit: of a copy of it, so that the model stays as it is."""

import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.jit import ScriptModule
from torch.nn.parameter import is_lazy

from dropout.audit.record import NOWHERE, Record
from dropout.audit.tree import copied, dense, tensors
from dropout.bayes.twin import twin

SEED = 0x5EED << 32  # of the first run; of the next ones, those that follow


class AuditError(RuntimeError):
    """A model that cannot be audited, since it fails."""


@dataclass
class Run:
    """One run of a copy of the model: what was recorded, what came out."""

    record: Record
    model: nn.Module
    outputs: Any = None
    inputs: list[Tensor] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)  # inputs that were written over
    reseeds: bool = False
    others: dict[str, Any] = field(default_factory=dict)  # states of other global generators
    error: Exception | None = None
    backward_error: RuntimeError | None = None

    def floats(self) -> list[Tensor]:
        """The outputs that are numbers of a floating type."""
        outputs = tensors(self.outputs)
        return [x.detach() for x in outputs if x.is_floating_point() and dense(x)]


class Runner:
    """Runs copies of a model on copies of its inputs."""

    def __init__(self, model: nn.Module, inputs: tuple, keywords: dict[str, Any]) -> None:
        self.model, self.arguments = model, (inputs, keywords)

    def run(
        self,
        training: bool,
        seed: int = 0,
        *,
        arguments: Any = None,
        backward: bool = False,
        off: bool = False,
        copies: Literal[True] | frozenset[int] = NOWHERE,
        record: bool = True,
        copy: nn.Module | None = None,
    ) -> Run:
        """A run in one of the modes; an error of the model is kept, not raised.

        Gradients are on in all of them: some forwards take some.
        """
        model = copy_of(self.model) if copy is None else copy
        set_mode(model, training)
        inputs, keywords = copied(arguments or self.arguments, _own)
        given = tensors((inputs, keywords))
        originals = [x.detach().clone() for x in given]
        seed_all(SEED + seed)
        what = Record(model, off, copies)
        what.starts_from(given)
        run = Run(what, model, inputs=given)
        with warnings.catch_warnings(), torch.enable_grad(), force_eager():
            warnings.simplefilter("ignore")
            try:
                with what.looking_on() if record else nullcontext():
                    run.outputs = call_model(model, inputs, keywords)
                    what.seed_now = torch.initial_seed()
                    run.reseeds = what.seed_now != SEED + seed
                    if backward:
                        what.backward = True
                        run.backward_error = _backward(tensors(run.outputs))
            except Exception as error:
                run.error = error
        run.others = _other_states()
        pairs = enumerate(zip(given, originals, strict=True))
        run.changed = [i for i, (x, old) in pairs if dense(x) and not equal(x.detach(), old)]
        return run


def force_eager() -> Any:
    """Compiled functions run as they were written, so that what they call can be seen."""
    return torch.compiler.set_stance("force_eager")


def call_model(model: nn.Module, inputs: tuple, keywords: dict[str, Any]) -> Any:
    """The outputs. No line of code further out is the model's."""
    return model(*inputs, **keywords)


def copy_of(model: nn.Module) -> nn.Module:
    """A copy with parameters of its own."""
    for name, x in (*model.named_parameters(), *model.named_buffers()):
        if is_lazy(x):
            raise AuditError(f"{name!r} has no shape yet: run the model once before")
        if x.is_meta:
            raise AuditError(
                f"{name!r} is on the meta device, where there are no numbers to run on"
            )
    if any(isinstance(m, ScriptModule) for m in model.modules()):
        return deepcopy(model)
    return twin(model, own_parameters=True)


def set_mode(model: nn.Module, training: bool) -> None:
    """As `model.train(training)`; exported graphs, which refuse it, have their flags set."""
    try:
        model.train(training)
    except NotImplementedError:
        for module in model.modules():
            module.training = training


def equal(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are the same, NaN too."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.is_floating_point() or a.is_complex():
        return bool(torch.isclose(a, b, rtol=0, atol=0, equal_nan=True).all())
    return bool(torch.equal(a, b))


def distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> tuple[float, float]:
    """How far two outputs lie apart at most, and how large the first is at most; NaN are equal."""
    if [x.shape for x in a] != [x.shape for x in b]:
        return float("inf"), 1.0
    gap = size = 0.0
    for x, y in zip(a, b, strict=True):
        if not x.numel():
            continue
        apart = (x.double() - y.double()).abs()
        apart[(x == y) | (x.isnan() & y.isnan())] = 0.0
        gap = max(gap, float(apart.nan_to_num(float("inf"), float("inf")).max()))
        size = max(size, float(x.double().nan_to_num(0.0, 0.0, 0.0).abs().max()))
    return gap, size


def seed_all(seed: int) -> None:
    """Seed the generators that a model may draw from."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  (that of the models)


def _other_states() -> dict[str, Any]:
    """The states of the global generators that are not PyTorch's, such as can be compared."""
    name, words, *rest = np.random.get_state()  # noqa: NPY002
    return {"NumPy": (name, np.asarray(words).tobytes(), *rest), "Python": random.getstate()}


@contextmanager
def random_state_kept(model: nn.Module) -> Iterator[None]:
    """All generators come back as they were: PyTorch's, Python's, NumPy's, and the model's own."""
    initialised = torch.cuda.is_available() and torch.cuda.is_initialized()
    devices = list(range(torch.cuda.device_count())) if initialised else []
    own = {
        id(value): value
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, Generator)
    }
    states = [(generator, generator.get_state()) for generator in own.values()]
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        for generator, state in states:
            generator.set_state(state)


def _own(x: Tensor) -> Tensor:
    return x.detach().clone().requires_grad_(x.requires_grad)


def _backward(outputs: Sequence[Tensor]) -> RuntimeError | None:
    """Gradients of the copy's parameters, of the sum of the outputs; the error, if there is one."""
    ends = [x for x in outputs if x.requires_grad and not x.dtype.is_complex]
    if not ends:
        return None
    try:
        torch.autograd.backward([x.float().sum() for x in ends])
    except RuntimeError as error:
        return error
    return None


def required(run: Run, what: str) -> Run:
    """The run, if the model did not fail in it. Raises AuditError, which names what failed."""
    if run.error is None:
        return run
    where = "the model"
    if run.record.failed is not None:
        path, module = run.record.failed
        where = f"{path!r}, a {type(module).__name__}," if path else type(module).__name__
    raise AuditError(
        f"{where} fails {what}: {type(run.error).__name__}: {first_line(run.error)}"
    ) from run.error


def first_line(error: Exception) -> str:
    """What an error says, without the lists that PyTorch appends to some."""
    return (str(error).strip().splitlines() or [""])[0]


def rows_doubled(arguments: Any, axis: int) -> Any:
    """The arguments with every example twice, if the examples lie along an axis; else None."""
    given = [x for x in tensors(arguments) if dense(x)]
    sizes = [x.shape[axis] for x in given if x.dim() > axis]
    if not sizes or sizes[0] == 0:
        return None
    size = sizes[0]

    def double(x: Tensor) -> Tensor:
        if dense(x) and x.dim() > axis and x.shape[axis] == size:
            return torch.cat([x, x], axis).detach().requires_grad_(x.requires_grad)
        return x

    return copied(arguments, double)
