"""The networks that a key names, and how some of them run on some inputs.

A sample is a network: one mask for each place where the model drops, the same for all inputs. So
the coins of a place have the shape of one input, samples times, and sample t is row t of them. Two
nested maps of torch.vmap say what that means for a model that knows nothing of it: over the inputs,
which share their coins, and around it over the samples, which do not. What vmap has not seen depend
on the sample it computes once: that is all that comes before the first dropout.

All of it runs on twins of the model, a new one for each run: the model itself is only read.
"""

import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.rnn import RNNBase

from dropout.bayes.probe import (
    OtherDrawError,
    ParameterWrittenError,
    Watch,
    asks_for_training,
    check_leaf,
    same,
    the_axis,
)
from dropout.bayes.samplers import Off, One, Sampler, Together
from dropout.bayes.tree import mapped, rebuilt, tensors
from dropout.bayes.twin import twin
from dropout.coins import SAMPLER
from dropout.layers.base import TORCH_DROPOUTS, draws_coins
from dropout.layers.recurrent import VariationalRNN
from dropout.mask import MaskKey

LIVE = 4  # tensors of the largest size that are alive at a time, about: input, output and two more


class Networks:
    """The networks that a key names, and what a first batch told of the model's output."""

    def __init__(self, model: nn.Module, arguments: Any, shared: Mapping, key: MaskKey) -> None:
        self.model, self.shared, self.key = model, shared, key
        self.writes = False
        self.trained: set[type] = set()
        self.ways = [
            (self._run_together, ""),
            (self._run_by_input, "each input runs"),
            (self._run_one_by_one, "each sample of each input runs"),
        ]
        self.largest, self.output = self._probe(arguments)
        self.axes = self._axes(arguments)

    def parts(self, samples: int, memory: int) -> tuple[int, int]:
        """How many inputs and how many samples may run together."""
        before, after = (LIVE * size for size in self.largest)
        networks = max(1, min(samples, memory // after))
        return max(1, memory // (before + networks * after)), networks

    def run(self, arguments: Any, first: int, end: int) -> list[Tensor]:
        """The outputs (samples, inputs, ...) of samples first to end, for each tensor."""
        reason = ""
        while True:
            way, how = self.ways[0]
            try:
                rows = way(arguments, first, end)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                if len(self.ways) == 1:  # where nothing was batched, the model ran
                    raise
                reason = reason or (str(error).strip() or type(error).__name__).splitlines()[0]
                self.ways.pop(0)
                continue
            if reason:
                warnings.warn(
                    f"torch.vmap cannot take this model, so that {how} by itself, slowly: {reason}",
                    stacklevel=3,
                )
            return rows

    def _run_together(self, arguments: Any, first: int, end: int) -> list[Tensor]:
        model = self._ready()

        def network(sample: Tensor) -> list[Tensor]:
            def output(*example: Tensor) -> list[Tensor]:
                batch = rebuilt(arguments, [leaf[None].clone() for leaf in example])
                sampler = Together(self.key, sample, first)
                return self._elements(self._forward(model, batch, sampler))

            return torch.vmap(output)(*tensors(arguments))

        return torch.vmap(network)(torch.arange(first, end))

    def _run_by_input(self, arguments: Any, first: int, end: int) -> list[Tensor]:
        rows = []
        for i in range(len(tensors(arguments)[0])):
            batch = rebuilt(arguments, [leaf[[i]] for leaf in tensors(arguments)])
            model = self._ready()

            def network(sample: Tensor, model=model, batch=batch) -> list[Tensor]:
                sampler = Together(self.key, sample, first)
                return self._elements(self._forward(model, batch, sampler))

            rows.append(torch.vmap(network)(torch.arange(first, end)))
        return [torch.stack(leaves, 1) for leaves in zip(*rows, strict=True)]

    def _run_one_by_one(self, arguments: Any, first: int, end: int) -> list[Tensor]:
        inputs = range(len(tensors(arguments)[0]))
        rows = [
            [self._elements(self._run_alone(arguments, [i], One(self.key, t))) for i in inputs]
            for t in range(first, end)
        ]
        stacked = [[torch.stack(leaves) for leaves in zip(*row, strict=True)] for row in rows]
        return [torch.stack(leaves) for leaves in zip(*stacked, strict=True)]

    def _run_alone(self, arguments: Any, inputs: list[int], sampler: Sampler) -> Any:
        """The output for a batch of some inputs, as the model itself gives it."""
        batch = rebuilt(arguments, [leaf[inputs] for leaf in tensors(arguments)])
        before = _generators()
        output = self._forward(self._ready(), batch, sampler)
        if not all(map(torch.equal, before, _generators())):
            raise OtherDrawError
        return output

    def _ready(self) -> Any:
        """A twin in evaluation but for what drops, without kernels that torch.vmap cannot take."""
        copy = twin(self.model, self.writes)
        for layer in copy.modules():
            layer.training = _drops(layer) or type(layer) in self.trained
            if isinstance(layer, RNNBase):
                layer.__dict__["forward"] = _unrolled(layer)
            elif isinstance(layer, nn.TransformerEncoder):
                layer.use_nested_tensor = False
        return copy

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
            with Watch(sampler, self.model) as watch:
                output = self._run_alone(arguments, [0], sampler)
        except ParameterWrittenError:
            self.writes = True
            return self._probe(arguments)
        except OtherDrawError:
            raise
        except Exception as error:
            try:
                self._among_others(arguments)
            except Exception:
                raise error from None
            raise ValueError(
                "model must take a batch of one input, which is how each input is run: it fails "
                f"with one, and not with three: {error}"
            ) from error
        self.trained = self._drop_in_training(arguments, output, sampler.drops)
        if not (sampler.drops or self.trained or any(map(_drops, self.model.modules()))):
            raise ValueError("model must drop somewhere in evaluation too, and nothing in it did")
        mapped(check_leaf, output)
        if not tensors(output):
            raise TypeError("model must return at least one tensor, got none")
        return watch.largest, output

    def _drop_in_training(self, arguments: Any, output: Any, drops: int) -> set[type]:
        """The classes of layers that drop more in training and, without dropout, do the same.

        So do those that pass a rate on in training, and else 0, to what drops.
        """
        found = set()
        for kind in {type(layer) for layer in self.model.modules() if not _drops(layer)}:
            if asks_for_training(kind):
                self.trained, sampler = {kind}, Off(self.key)
                with suppress(Exception), Watch(sampler, self.model):
                    trial = self._run_alone(arguments, [0], sampler)
                    if sampler.drops > drops and same(output, trial):
                        found.add(kind)
        return found

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
        return [the_axis(a, b) for a, b in zip(alone, among, strict=True)]

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


def _generators() -> list[Tensor]:
    """The states of PyTorch's generators, of the CPU and of all devices in use."""
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return [torch.get_rng_state(), *devices]


def _drops(layer: nn.Module) -> bool:
    return isinstance(layer, TORCH_DROPOUTS) or draws_coins(layer)


def _unrolled(rnn: RNNBase) -> Callable:
    loop = VariationalRNN(rnn, 0.0).unrolled

    def forward(input, hx=None):
        return loop(input, hx) if isinstance(input, Tensor) else type(rnn).forward(rnn, input, hx)

    return forward
