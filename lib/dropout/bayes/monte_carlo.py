"""Monte Carlo dropout (Gal and Ghahramani, 2016): one batched pass in the place of many."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn
from torch.jit import ScriptModule
from torch.nn.modules.rnn import RNNBase
from torch.nn.parameter import is_lazy

from dropout.bayes.networks import Networks
from dropout.bayes.tree import rebuilt, tensors
from dropout.coins import draw_seed
from dropout.layers.drop_path import StochasticDepth
from dropout.mask import MaskKey

MEMORY = 1 << 28


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
    in the place of the samples. `moments` and `quantiles` are such functions. Another one of all
    samples can have a piece of the outputs at a time: keep that piece only, and let the next run
    with the same `key`, which draws the same networks, keep the next. No gradients are kept, and
    layers that drop in place do not: they return the result.

    A model that torch.vmap cannot take, such as one whose way depends on values of the data, runs
    input by input, and where it still cannot sample by sample too: with the same masks, slowly, and
    with a warning. What a layer does `if self.training` is not done, unless it drops more there and
    does the same without dropout, as attention does that passes on a rate in training alone.

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
    networks: Networks | None = None
    folded: list[list[Any]] = []
    done = 0
    with torch.no_grad():
        for batch in [x] if isinstance(x, Tensor | Mapping) else x:
            arguments = _arguments(batch)
            leaves = tensors(arguments)
            if not len(leaves[0]):
                continue
            if networks is None:
                networks = Networks(model, arguments, shared or {}, key)
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
    if not tensors(parts[0]):
        raise TypeError(f"reduce must end with a tensor or several, got {parts[0]!r}")
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
        elif any(map(is_lazy, (*layer.parameters(recurse=False), *layer.buffers(recurse=False)))):
            other = "its parameters have no shape yet: run the model once before"
        else:
            continue
        raise ValueError(f"{name!r}, a {type(layer).__name__}, cannot be sampled: {other}")
