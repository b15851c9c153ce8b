"""Who has charge of the coins in a forward, whatever draws them: this library, or PyTorch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from dropout import functional
from dropout.bayes.linear import linear
from dropout.coins import SAMPLER, coins
from dropout.layers.attention import scaled_scores
from dropout.mask import MaskKey


def _run_again(function, types, args, kwargs):
    """The body of a function of PyTorch that asks a mode first, without asking it."""
    names = {**function.__globals__, "has_torch_function": lambda tensors: False}
    body = FunctionType(function.__code__, names, None, function.__defaults__)
    return body(*args, **{**(function.__kwdefaults__ or {}), **kwargs})


# Public where PyTorch has it. 2.11 has not, and no other way lets a mode see what a function calls.
redispatch = getattr(torch.overrides, "redispatch_function", _run_again)


@contextmanager
def unsampled() -> Iterator[None]:
    """Let a function draw the coins that it is called with, and ask no sampler."""
    token = SAMPLER.set(None)
    try:
        yield
    finally:
        SAMPLER.reset(token)


class Sampler(TorchFunctionMode):
    """Has charge of all coins in a forward: this library asks it, PyTorch's calls it catches."""

    def __init__(self, key: MaskKey) -> None:
        super().__init__()
        self.seed, self.stream, self.step = coins(key)

    def coins(self) -> tuple[Tensor | int, int, int]:
        self.stream += 1
        return self.seed, self.stream - 1, self.step

    def draw(self, function: Callable[..., Tensor], x: Tensor, *rest) -> Tensor:
        """A masked function of x; the last of its arguments are whole and start."""
        raise NotImplementedError

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in DROPOUTS:
            return _drop(DROPOUTS[function], *args, **kwargs)
        if function is F.linear:
            return linear(*args, **kwargs)
        if function is F.scaled_dot_product_attention:
            return _attention(*args, **kwargs)
        if function is F.multi_head_attention_forward:
            with self:  # so that what it calls is caught too
                return redispatch(function, types, args, {**kwargs, "training": True})
        return function(*args, **kwargs)


class Together(Sampler):
    """Under the map over the samples, each with a mask, and one over the inputs, which share it."""

    def __init__(self, key: MaskKey, sample: Tensor, first: int) -> None:
        super().__init__(key)
        self.sample, self.first = sample, first

    def draw(self, function, x, *rest):
        return _Draw.apply(x, self.sample, self.first, function, *rest)


class One(Sampler):
    """For one sample of one input: row t of a mask."""

    def __init__(self, key: MaskKey, t: int) -> None:
        super().__init__(key)
        self.t = t

    def draw(self, function, x, *rest):
        whole, start = rest[-2:]
        with unsampled():
            return function(x[None], *rest[:-2], [self.t + 1, *whole], [self.t, *start])[0]


class Off(Sampler):
    """Nothing is dropped, and it is counted how often something would have been."""

    drops = 0

    def draw(self, function, x, *rest):
        self.drops += 1
        return x.clone()


class _Draw(torch.autograd.Function):
    """A masked function of x under the maps; the last of its arguments are whole and start."""

    @staticmethod
    def forward(x, sample, first, function, *rest):
        raise NotImplementedError  # the map over the samples is always there

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
        with unsampled():
            return function(x, *rest, [first + samples, *whole], [first, *start]), 0


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
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    scores = scaled_scores(-query if scale < 0 else query, key, abs(scale) ** 0.5)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -torch.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    # A row that is masked whole is 0, not NaN.
    weights = scores.softmax(-1).masked_fill(scores == -torch.inf, 0.0)
    return functional.dropout(weights, dropout_p).to(value.dtype) @ value
