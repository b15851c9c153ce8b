"""Monte Carlo dropout (Gal and Ghahramani, 2016): one batched pass in the place of many.

A sample is a network: one mask for each place where the model drops, the same for all inputs. So
the coins of a place have the shape of one input, samples times, and sample t is row t of them. Two
nested maps of torch.vmap say what that means for a model that knows nothing of it: over the inputs,
which share their coins, and around it over the samples, which do not. What vmap has not seen depend
on the sample it computes once: that is all that comes before the first dropout.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FunctionType

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.rnn import RNNBase
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from dropout import functional
from dropout.layers.drop_path import StochasticDepth
from dropout.layers.recurrent import VariationalRNN
from dropout.mask import MaskKey
from dropout.op import SAMPLER, coins, draw_seed

MEMORY = 1 << 26
LIVE = 4  # tensors of the largest size that are alive at a time, about: input, output and two more


def predict(
    model: nn.Module,
    x: Tensor | Iterable[Tensor],
    samples: int = 100,
    *,
    key: MaskKey | None = None,
    memory: int = MEMORY,
    progress: bool = False,
) -> Float[Tensor, "samples inputs *outputs"]:
    """The outputs of `samples` networks, drawn from a model by dropout, for all inputs x.

    The first axis of x, or of each tensor that an iterable such as a loader yields, is that of the
    inputs. Whatever drops, layers and functions of this library and of torch.nn, drops at its own
    rate p; everything else is as in evaluation, batch normalisation too. The training flags come
    back as they were. Sample t of the i-th dropout in a forward drops what row t of the mask of
    `MaskKey(key.seed, key.stream + i, key.step)` names, for all inputs alike. Without a `key` its
    seed is drawn from PyTorch's CPU generator. `progress` counts the inputs on stderr.

    Inputs, and samples where they must, are run in parts such that intermediate results take about
    `memory` bytes, however many there are. What precedes the first dropout runs once for each input
    (more often only where the samples of a single input exceed `memory`). No gradients are kept,
    and layers that drop in place do not: they return the result.

    Raises TypeError for a model or an x of another kind, ValueError for a dropout that it cannot
    sample: inside nn.LSTM, nn.GRU and nn.RNN (`VariationalRNN` can be sampled), StochasticDepth
    (DropPath). A model whose way depends on values of the data fails in torch.vmap, which says why;
    what a model does `if self.training` is not done.
    Source: Gal and Ghahramani (2016), section 4.

    >>> model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))
    >>> outputs = predict(model, torch.ones(5, 3), samples=100, key=MaskKey(seed=1))
    >>> outputs.shape
    torch.Size([100, 5, 2])
    >>> bool((outputs[:, 0] == outputs[:, 4]).all())  # equal inputs, the same networks
    True
    """
    _check(model, samples, memory)
    key = key or MaskKey(int(draw_seed()) % 2**64)
    batches = [x] if isinstance(x, Tensor) else x
    outputs, done = [], 0
    with torch.no_grad(), _evaluation(model):
        parts = None
        for batch in batches:
            if not isinstance(batch, Tensor) or batch.dim() == 0:
                raise TypeError(
                    "x must be a tensor whose first axis is that of the inputs, or an iterable of "
                    f"such tensors, got {type(batch).__name__}: of a loader that yields labels "
                    "too, pass (x for x, y in loader)"
                )
            if not len(batch):
                continue
            parts = parts or _parts(model, batch, key, samples, memory)
            inputs, networks = parts
            for part in batch.split(inputs):
                starts = range(0, samples, networks)
                rows = [_run(model, part, t, min(t + networks, samples), key) for t in starts]
                outputs.append(torch.cat(rows) if len(rows) > 1 else rows[0])
                done += len(part)
                if progress:
                    print(f"\r{done} inputs, {samples} samples each", end="", file=sys.stderr)
    if progress:
        print(file=sys.stderr)
    if not outputs:
        raise ValueError("x must hold at least one input, got none")
    return torch.cat(outputs, dim=1) if len(outputs) > 1 else outputs[0]


# --- One part: some inputs, some samples --------------------------------------------------------


def _run(model: nn.Module, x: Tensor, first: int, end: int, key: MaskKey) -> Tensor:
    """The outputs of samples first to end for a few inputs."""

    def network(sample: Tensor) -> Tensor:
        def output(example: Tensor) -> Tensor:
            sampler = _Sampler(key, sample, first)
            token = SAMPLER.set(sampler)
            try:
                with sampler:
                    out = model(example[None])
            finally:
                SAMPLER.reset(token)
            if not isinstance(out, Tensor):
                raise TypeError(f"model must return one tensor, got {type(out).__name__}")
            return out[0]

        return torch.vmap(output)(x)

    return torch.vmap(network)(torch.arange(first, end))


class _Sampler(TorchFunctionMode):
    """Has charge of all coins in a forward: this library asks it, PyTorch's calls it catches."""

    def __init__(self, key: MaskKey, sample: Tensor, first: int) -> None:
        super().__init__()
        self.seed, self.stream, self.step = coins(key)
        self.sample, self.first = sample, first

    def coins(self) -> tuple[Tensor | int, int, int]:
        self.stream += 1
        return self.seed, self.stream - 1, self.step

    def draw(self, function: Callable[..., Tensor], x: Tensor, *rest) -> Tensor:
        """A masked function of x, its mask another for each sample and the same for all inputs."""
        _Sizes.dropping = True
        return _Draw.apply(x, self.sample, self.first, function, *rest)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in DROPOUTS:
            return _drop(DROPOUTS[function], *args, **kwargs)
        if function is F.linear:
            return _linear(*args, **kwargs)
        if function is F.scaled_dot_product_attention:
            return _attention(*args, **kwargs)
        if function is F.multi_head_attention_forward:
            # Its body once more, such that what it calls is caught too: a mode does not see that.
            names = {**function.__globals__, "has_torch_function": lambda tensors: False}
            body = FunctionType(function.__code__, names, None, function.__defaults__)
            with self:
                return body(
                    *args, **{**(function.__kwdefaults__ or {}), **kwargs, "training": True}
                )
        return function(*args, **kwargs)


class _Draw(torch.autograd.Function):
    """A masked function of x under the two maps; the last of its arguments are whole and start."""

    @staticmethod
    def forward(x, sample, first, function, *rest):
        raise NotImplementedError  # both maps are always there

    @staticmethod
    def setup_context(ctx, inputs, output): ...

    @staticmethod
    def vmap(info, in_dims, x, sample, first, function, *rest):
        rest, whole, start = rest[:-2], rest[-2], rest[-1]
        if in_dims[1] is None:  # the map over the inputs: one coin for all
            x, whole, start = x.movedim(in_dims[0], 0), [1, *whole], [0, *start]
            return _Draw.apply(x, sample, first, function, *rest, whole, start), 0
        samples = info.batch_size
        x = x.expand(samples, *x.shape) if in_dims[0] is None else x.movedim(in_dims[0], 0)
        return function(x, *rest, [first + samples, *whole], [first, *start]), 0


class _Linear(torch.autograd.Function):
    """A linear layer as one matrix product that adds the bias: torch.vmap makes it two steps."""

    @staticmethod
    def forward(x, weight, bias):
        return F.linear(x, weight, bias)

    @staticmethod
    def setup_context(ctx, inputs, output): ...

    @staticmethod
    def vmap(info, in_dims, x, weight, bias):
        if in_dims[1:] == (None, None):
            return _Linear.apply(x.movedim(in_dims[0], 0), weight, bias), 0
        return torch.vmap(F.linear, in_dims)(x, weight, bias), 0


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return _Linear.apply(input, weight, bias)


def _drop(function: Callable[..., Tensor], input: Tensor, p: float = 0.5, *_, **__) -> Tensor:
    return function(input, p)  # whether in training, and whether in place, is not the caller's say


DROPOUTS = {
    F.dropout: functional.dropout,
    F.dropout1d: functional.dropout1d,
    F.dropout2d: functional.dropout2d,
    F.dropout3d: functional.dropout3d,
    F.alpha_dropout: functional.alpha_dropout,
    F.feature_alpha_dropout: functional.feature_alpha_dropout,
    torch.dropout: functional.dropout,
}


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """PyTorch's `scaled_dot_product_attention`, written out so that its weights can drop."""
    if enable_gqa:
        key, value = (a.repeat_interleave(query.shape[-3] // a.shape[-3], -3) for a in (key, value))
    scores = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -torch.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    # A row that is masked whole is 0, not NaN.
    weights = scores.softmax(-1).masked_fill(scores == -torch.inf, 0.0)
    return functional.dropout(weights, dropout_p) @ value


# --- The model and its size ---------------------------------------------------------------------


def _check(model: nn.Module, samples: int, memory: int) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    for name, value in (("samples", samples), ("memory", memory)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value!r}")
    for name, layer in model.named_modules():
        if isinstance(layer, RNNBase) and layer.dropout > 0:
            other = "a fused kernel drops between its layers: use dropout.nn.VariationalRNN"
        elif isinstance(layer, StochasticDepth):
            other = "it runs other inputs in each sample: use dropout.nn.DropPath"
        else:
            continue
        raise ValueError(f"{name!r}, a {type(layer).__name__}, cannot be sampled: {other}")


def _drops(layer: nn.Module) -> bool:
    return isinstance(layer, _DropoutNd) or {"key", "generator"} <= vars(layer).keys()


@contextmanager
def _evaluation(model: nn.Module) -> Iterator[None]:
    """Everything in evaluation but what drops, and recurrent layers without their fused kernels."""
    layers = list(model.modules())
    training = [layer.training for layer in layers]
    recurrent = [layer for layer in layers if isinstance(layer, RNNBase)]
    try:
        for layer in layers:
            layer.training = _drops(layer)
        for layer in recurrent:
            layer.__dict__["forward"] = VariationalRNN(layer, 0.0).unrolled
        yield
    finally:
        for layer in recurrent:
            layer.__dict__.pop("forward", None)
        for layer, flag in zip(layers, training, strict=True):
            layer.training = flag


class _Sizes(TorchDispatchMode):
    """The bytes of the largest new tensor, before the first dropout and from there on."""

    dropping = False

    def __init__(self) -> None:
        super().__init__()
        self.largest = [1, 1]
        _Sizes.dropping = False

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if isinstance(out, Tensor) and not function._schema.returns[0].alias_info:
            size = out.numel() * out.element_size()
            self.largest[self.dropping] = max(size, self.largest[self.dropping])
        return out


def _parts(model: nn.Module, x: Tensor, key: MaskKey, samples: int, memory: int) -> tuple[int, int]:
    """How many inputs and how many samples may run together, tried with one of each."""
    with _Sizes() as sizes:
        _run(model, x[:1], 0, 1, key)
    if not sizes.dropping and not any(map(_drops, model.modules())):
        raise ValueError("model must drop somewhere in evaluation too, and nothing in it did")
    before, after = (LIVE * size for size in sizes.largest)
    networks = max(1, min(samples, memory // after))
    return max(1, memory // (before + networks * after)), networks
