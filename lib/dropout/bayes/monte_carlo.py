"""Monte Carlo dropout (Gal and Ghahramani, 2016): one batched pass in the place of many.

A sample is a network: one mask for each place where the model drops, the same for all inputs. So
the coins of a place have the shape of one input, samples times, and sample t is row t of them. Two
nested maps of torch.vmap say what that means for a model that knows nothing of it: over the inputs,
which share their coins, and around it over the samples, which do not. What vmap has not seen depend
on the sample it computes once: that is all that comes before the first dropout.

All of it runs on twins of the model, a new one for each run: the model itself is only read.
"""

import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn
from torch.jit import ScriptModule
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.rnn import RNNBase
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode

from dropout.bayes.samplers import Off, One, Sampler, Together
from dropout.bayes.tree import mapped, rebuilt, tensors
from dropout.bayes.twin import twin
from dropout.coins import SAMPLER, draw_seed
from dropout.layers.drop_path import StochasticDepth
from dropout.layers.recurrent import VariationalRNN
from dropout.mask import MaskKey

MEMORY = 1 << 26
LIVE = 4  # tensors of the largest size that are alive at a time, about: input, output and two more


def predict(
    model: nn.Module,
    x: Tensor | Mapping[str, Any] | Iterable[Tensor | Mapping[str, Any]],
    samples: int = 100,
    *,
    shared: Mapping[str, Any] | None = None,
    key: MaskKey | None = None,
    reduce: Callable[[Any, Tensor], Any] | None = None,
    memory: int = MEMORY,
    progress: bool = False,
) -> Any:
    """The outputs (samples, inputs, ...) of `samples` networks, drawn from a model by dropout.

    The first axis of x, or of each tensor that an iterable such as a loader yields, is that of the
    inputs. A dictionary in the place of a tensor holds the keyword arguments of a forward: the
    first axis of each tensor in it is that of the inputs, the rest is passed as it is, and so is
    what is `shared`, more arguments that are the same for all inputs. Whatever drops, layers and
    functions of this library and of torch.nn, drops at its own rate p; everything else is as in
    evaluation, batch normalisation too. The model is only read, so that threads may share it.
    Sample t of the i-th dropout in a forward drops what row t of the mask of
    `MaskKey(key.seed, key.stream + i, key.step)` names, for all inputs alike. Without a `key` its
    seed is drawn from PyTorch's CPU generator. `progress` counts the inputs on stderr.

    A model may return tensors in tuples, lists, dictionaries and dataclasses: each tensor comes
    back as (samples, inputs, ...), whichever of its axes the inputs were. It runs on one input at
    a time, as a batch of one, and may take that axis away, as `squeeze` does.

    Inputs, and samples where they must, are run in parts such that intermediate results take about
    `memory` bytes, however many there are. What precedes the first dropout runs once for each input
    (more often only where the samples of a single input exceed `memory`). Where the outputs are too
    large to be kept, `reduce(state, part)` folds them: for each tensor and each part of the inputs
    it is called with None, later with what it returned, and with the next (samples, inputs, ...);
    the last that it returns, a tensor or several whose first axis is that of the inputs, comes back
    in the place of the samples. `moments` is such a function. No gradients are kept, and layers
    that drop in place do not: they return the result.

    A model that torch.vmap cannot take, such as one whose way depends on values of the data, runs
    sample by sample and input by input, with the same masks and a warning. What a model does
    `if self.training` is not done.

    Raises TypeError for a model, an x or an output of another kind. Raises ValueError for a dropout
    that it cannot sample: inside nn.LSTM, nn.GRU and nn.RNN (`VariationalRNN` can be sampled),
    StochasticDepth (DropPath), compiled by TorchScript; for a model that drops nowhere, has lazy
    layers, or lets the inputs of a batch see each other; for an output without an axis of the
    inputs; and for x without inputs.
    Source: Gal and Ghahramani (2016), section 4.

    >>> model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))
    >>> outputs = predict(model, torch.ones(5, 3), samples=100, key=MaskKey(seed=1))
    >>> outputs.shape
    torch.Size([100, 5, 2])
    >>> bool((outputs[:, 0] == outputs[:, 4]).all())  # equal inputs, the same networks
    True
    """
    _check(model, samples, memory)
    samples, memory = int(samples), int(memory)
    key = key or MaskKey(int(draw_seed()) % 2**64)
    networks: _Networks | None = None
    folded: list[list[Any]] = []
    done = 0
    with torch.no_grad():
        for batch in [x] if isinstance(x, Tensor | Mapping) else x:
            arguments = _arguments(batch)
            leaves = tensors(arguments)
            if not len(leaves[0]):
                continue
            if networks is None:
                networks = _Networks(model, arguments, shared or {}, key)
            inputs, together = networks.parts(samples, memory)
            for part in zip(*(leaf.split(inputs) for leaf in leaves), strict=True):
                states: list[Any] = [None] * len(networks.axes)
                for first in range(0, samples, together):
                    end = min(first + together, samples)
                    rows = networks.run(rebuilt(arguments, part), first, end)
                    states = [(reduce or _kept)(*pair) for pair in zip(states, rows, strict=True)]
                folded.append(states if reduce else [_cat(rows, 0) for rows in states])
                done += len(part[0])
                if progress:
                    print(f"\r{done} inputs, {samples} samples each", end="", file=sys.stderr)
    if progress:
        print(file=sys.stderr)
    if networks is None:
        raise ValueError("x must hold at least one input, got none")
    axis = 0 if reduce else 1
    return rebuilt(networks.output, [_joined(parts, axis) for parts in zip(*folded, strict=True)])


def _kept(state: list[Tensor] | None, part: Tensor) -> list[Tensor]:
    return [*(state or []), part]


def _joined(parts: Sequence[Any], axis: int) -> Any:
    """Tensors, or structures of tensors, as one."""
    columns = zip(*map(tensors, parts), strict=True)
    return rebuilt(parts[0], [_cat(list(column), axis) for column in columns])


def _cat(parts: list[Tensor], axis: int) -> Tensor:
    return torch.cat(parts, axis) if len(parts) > 1 else parts[0]  # which would be copied


def _arguments(batch: Any) -> tuple[tuple, dict]:
    """What a batch gives to a forward: positional arguments and those by keyword."""
    if isinstance(batch, Mapping):
        arguments: tuple[tuple, dict] = (), dict(batch)
    elif isinstance(batch, Tensor):
        arguments = (batch,), {}
    else:
        arguments = (), {}
    lengths = [leaf.shape[0] if leaf.dim() else None for leaf in tensors(arguments)]
    if not lengths or None in lengths:
        raise TypeError(
            "x must be a tensor whose first axis is that of the inputs, a dictionary of such "
            f"tensors, or an iterable of these, got {type(batch).__name__}: of a loader that "
            "yields labels too, pass (x for x, y in loader)"
        )
    if len(set(lengths)) > 1:
        raise ValueError(f"the tensors of x must have as many inputs each, got {lengths}")
    return arguments


# --- Some inputs, some samples ------------------------------------------------------------------


class _Networks:
    """The networks that a key names, and what a first batch told of the model's output."""

    def __init__(self, model: nn.Module, arguments: Any, shared: Mapping, key: MaskKey) -> None:
        self.model, self.shared, self.key = model, shared, key
        self.vectorised, self.writes = True, False
        self.largest, self.output = self._probe(arguments)
        self.axes = self._axes(arguments)

    def parts(self, samples: int, memory: int) -> tuple[int, int]:
        """How many inputs and how many samples may run together."""
        before, after = (LIVE * size for size in self.largest)
        networks = max(1, min(samples, memory // after))
        return max(1, memory // (before + networks * after)), networks

    def run(self, arguments: Any, first: int, end: int) -> list[Tensor]:
        """The outputs (samples, inputs, ...) of samples first to end, for each tensor."""
        if self.vectorised:
            try:
                return self._run_together(arguments, first, end)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # where nothing was batched, the model ran
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            self.vectorised = False
            warnings.warn(
                "torch.vmap cannot take this model, so that each sample of each input runs by "
                f"itself, slowly: {reason}",
                stacklevel=3,
            )
        return self._run_one_by_one(arguments, first, end)

    def _run_together(self, arguments: Any, first: int, end: int) -> list[Tensor]:
        model = _ready(self.model, self.writes)

        def network(sample: Tensor) -> list[Tensor]:
            def output(*example: Tensor) -> list[Tensor]:
                batch = rebuilt(arguments, [leaf[None].clone() for leaf in example])
                sampler = Together(self.key, sample, first)
                return self._elements(self._forward(model, batch, sampler))

            return torch.vmap(output)(*tensors(arguments))

        return torch.vmap(network)(torch.arange(first, end))

    def _run_one_by_one(self, arguments: Any, first: int, end: int) -> list[Tensor]:
        inputs = range(len(tensors(arguments)[0]))
        rows = [
            [self._elements(self._run_alone(arguments, [i], One(self.key, t))) for i in inputs]
            for t in range(first, end)
        ]
        stacked = [[torch.stack(leaves) for leaves in zip(*row, strict=True)] for row in rows]
        return [torch.stack(leaves) for leaves in zip(*stacked, strict=True)]

    def _run_alone(self, arguments: Any, inputs: list[int], sampler: Sampler) -> Any:
        """The output for a batch of some inputs, where no tensor is batched by torch.vmap.

        Its map is over nothing: it is there for what it refuses, and for `dropout.coins`, which
        asks for a sampler only in a transform.
        """
        batch = rebuilt(arguments, [leaf[inputs] for leaf in tensors(arguments)])
        model, found = _ready(self.model, self.writes), []

        def note(nothing):
            found.append(self._forward(model, batch, sampler))
            return nothing

        torch.vmap(note)(torch.zeros(1))
        return found[0]

    def _forward(self, model: Any, batch: Any, sampler: Sampler) -> Any:
        args, keywords = batch
        token = SAMPLER.set(sampler)
        try:
            with sampler:
                return model(*args, **keywords, **self.shared)
        finally:
            SAMPLER.reset(token)

    # --- What the output is ---------------------------------------------------------------------

    def _probe(self, arguments: Any) -> tuple[list[int], Any]:
        """The bytes of the largest tensor before the first dropout and after, and the output."""
        sampler = Off(self.key)
        try:
            with _Watch(sampler, self.model) as watch:
                output = self._run_alone(arguments, [0], sampler)
        except _ParameterWrittenError:
            self.writes = True
            return self._probe(arguments)
        except Exception as error:
            try:
                self._among_others(arguments)
            except Exception:
                raise error from None
            raise ValueError(
                "model must take a batch of one input, which is how each input is run: it fails "
                f"with one, and not with three: {error}"
            ) from error
        if not sampler.dropping and not any(map(_drops, self.model.modules())):
            raise ValueError("model must drop somewhere in evaluation too, and nothing in it did")
        mapped(_check_leaf, output)
        if not tensors(output):
            raise TypeError("model must return at least one tensor, got none")
        return watch.largest, output

    def _axes(self, arguments: Any) -> list[int | None]:
        """Which axis of each tensor is that of the inputs; None where a batch of one loses it."""
        alone = tensors(self.output)
        try:
            among = self._among_others(arguments)
        except Exception:
            if any(leaf.shape[:1] != (1,) for leaf in alone):
                raise
            return [0] * len(alone)  # a model for batches of one alone
        if len(alone) != len(among):
            raise ValueError("model must return as many tensors for one input as for three")
        return [_axis(a, b) for a, b in zip(alone, among, strict=True)]

    def _among_others(self, arguments: Any) -> list[Tensor]:
        """The output without dropout for the first input between two others."""
        other = 1 % len(tensors(arguments)[0])
        return tensors(self._run_alone(arguments, [other, 0, other], Off(self.key)))

    def _elements(self, output: Any) -> list[Tensor]:
        """The tensors of one input, without the axis of the inputs."""
        pairs = list(zip(tensors(output), self.axes, strict=True))
        for leaf, axis in pairs:
            if axis is not None and leaf.shape[axis] != 1:
                raise ValueError(
                    f"axis {axis} of an output, that of the inputs, must stay where it is"
                )
        return [leaf if axis is None else leaf.select(axis, 0) for leaf, axis in pairs]


def _check_leaf(leaf: Any) -> Any:
    if leaf is not None and not isinstance(leaf, Tensor):
        raise TypeError(
            f"model must return tensors, or None beside them, got {type(leaf).__name__}"
        )
    return leaf


def _axis(alone: Tensor, among: Tensor) -> int | None:
    """The axis of the inputs, from the output for one and for three with that one in the middle."""
    threes = [axis for axis, n in enumerate(among.shape) if n == 3]
    kept = [a for a in threes if alone.shape == (*among.shape[:a], 1, *among.shape[a + 1 :])]
    lost = [a for a in threes if alone.shape == among.shape[:a] + among.shape[a + 1 :]]
    if not kept and not lost:
        raise ValueError(
            "model must return tensors with an axis of the inputs, got shape "
            f"{tuple(alone.shape)} for one input and {tuple(among.shape)} for three"
        )
    single = alone.squeeze(kept[0]) if kept else alone
    if not any(_close(single, among.select(axis, 1)) for axis in kept or lost):
        raise ValueError(
            "model must take each input by itself, but in a batch with others its output for one "
            "is another than alone: is the first axis of x that of the inputs, and does no layer "
            "look across it, as batch normalisation without running statistics does?"
        )
    return kept[0] if kept else None


def _close(a: Tensor, b: Tensor) -> bool:
    """Whether two results are the same but for the rounding that goes with the size of a batch."""
    if not a.is_floating_point():
        return torch.equal(a, b)
    tolerance = torch.finfo(a.dtype).eps ** (1 / 3)
    a, b = (c.to(torch.promote_types(c.dtype, torch.float32)) for c in (a, b))
    size = float(a.nan_to_num(0.0, 0.0, 0.0).abs().amax()) if a.numel() else 0.0
    return torch.allclose(a, b, rtol=0, atol=size * tolerance, equal_nan=True)


# --- The model and its size ---------------------------------------------------------------------


def _check(model: nn.Module, samples: int, memory: int) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    for name, value in (("samples", samples), ("memory", memory)):
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value!r}")
    for name, layer in model.named_modules():
        if isinstance(layer, RNNBase) and layer.dropout > 0:
            other = "a fused kernel drops between its layers: use dropout.nn.VariationalRNN"
        elif isinstance(layer, StochasticDepth):
            other = "it runs other inputs in each sample: use dropout.nn.DropPath"
        elif isinstance(layer, ScriptModule):
            other = "its compiled code cannot be told what to drop: use what it was compiled from"
        elif any(map(is_lazy, (*layer._parameters.values(), *layer._buffers.values()))):
            other = "its parameters have no shape yet: run the model once before"
        else:
            continue
        raise ValueError(f"{name!r}, a {type(layer).__name__}, cannot be sampled: {other}")


def _drops(layer: nn.Module) -> bool:
    return isinstance(layer, _DropoutNd) or {"key", "generator"} <= vars(layer).keys()


def _ready(model: nn.Module, writes: bool) -> Any:
    """A twin in evaluation but for what drops, without the kernels that torch.vmap cannot take."""
    copy = twin(model, writes)
    for layer in copy.modules():
        layer.training = _drops(layer)
        if isinstance(layer, RNNBase):
            layer.__dict__["forward"] = _unrolled(layer)
        elif isinstance(layer, nn.TransformerEncoder):
            layer.use_nested_tensor = False
    return copy


def _unrolled(rnn: RNNBase) -> Callable:
    loop = VariationalRNN(rnn, 0.0).unrolled

    def forward(input, hx=None):
        return loop(input, hx) if isinstance(input, Tensor) else type(rnn).forward(rnn, input, hx)

    return forward


class _Watch(TorchDispatchMode):
    """The bytes of the largest new tensor, before the first dropout and from there on.

    Stops a forward that would write into the model's parameters.
    """

    def __init__(self, sampler: Off, model: nn.Module) -> None:
        super().__init__()
        self.sampler, self.largest = sampler, [1, 1]
        self.places = {p.untyped_storage().data_ptr() for p in model.parameters()} - {0}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function._schema.is_mutable and self._writes(function, args):
            raise _ParameterWrittenError
        out = function(*args, **(kwargs or {}))
        if isinstance(out, Tensor) and not function._schema.returns[0].alias_info:
            size, dropping = out.numel() * out.element_size(), self.sampler.dropping
            self.largest[dropping] = max(size, self.largest[dropping])
        return out

    def _writes(self, function, args) -> bool:
        pairs = zip(function._schema.arguments, args, strict=False)
        written = [value for a, value in pairs if a.alias_info and a.alias_info.is_write]
        return any(t.untyped_storage().data_ptr() in self.places for t in tensors(written))


class _ParameterWrittenError(Exception):
    pass
