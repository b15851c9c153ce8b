"""The one operator, masked scale.

Every variant of dropout is this operator with its own shape of coins. No mask is stored: wherever
it is needed it is drawn anew from the key.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Generator, Tensor
from torch.compiler import is_compiling

from dropout.coins import active, coins, own_coins
from dropout.dispatch import DTYPES, diagonal, readable
from dropout.kernels.engines import engine_of
from dropout.mask import MaskKey, inverted_scale, threshold
from dropout.shard import Shard, place
from dropout.torch_private import check_gradients_follow


def drop(
    x: Tensor,
    p: float,
    shared: Sequence[int] = (),
    training: bool = True,
    *,
    scale: float | None = None,
    shift: float = 0.0,
    dropped: float = 0.0,
    key: MaskKey | None = None,
    generator: Generator | None = None,
    shard: Shard | None = None,
    inplace: bool = False,
) -> Tensor:
    """x · scale + shift where the coin says keep, `dropped` elsewhere, whatever x is there.

    Each element has its own coin, but elements that differ only in their places along the axes
    `shared` have one between them. p is the drop rate, `scale` by default 1/(1 - p). Which coins
    drop is settled by `key`, or by a seed drawn from `generator` (default: PyTorch's CPU
    generator). With a `shard`, x is a part of a larger tensor and drops what that would drop there;
    a DTensor, which needs a key, drops what it would drop in one process. With `training=False`, or
    p too small to drop anything, x itself comes back.

    Raises TypeError for what is no tensor, for one that is to drop and not dense and floating-point
    and for a `training`, a key, a generator or a shard that is none, ValueError for a rate, axis or
    shard out of range and for a DTensor whose parts are no parts of the mask, RuntimeError for a
    tensor that cannot be written in place.

    >>> drop(torch.ones(2, 4), p=0.5, shared=(1,), key=MaskKey(seed=1))
    tensor([[0., 0., 0., 0.],
            [2., 2., 2., 2.]])
    """
    direct = readable(x)
    t, inverted = (_known_rate if direct and type(p) is float else _rate)(p)
    nothing = t == 0 or not ((training is True and direct) or active(training))
    if not direct:
        check(x, nothing)
    if nothing:
        return x
    if inplace and not is_compiling():  # compiled code writes by PyTorch's own operator
        check_writable(x)
    whole, start = place(x.shape, shard, shared)
    drawn = own_coins(key, generator, False) if direct else coins(key, generator, x)
    scale = inverted if scale is None else scale
    return _apply(x, (*drawn, t, scale, shift, dropped, whole, start), inplace, direct)


def _rate(p: float) -> tuple[int, float]:
    return threshold(p), inverted_scale(p)


_known_rate = lru_cache(_rate)


def masked_scale(
    x: Tensor,
    seed: Tensor | int,
    stream: int,
    step: int,
    threshold: int,
    scale: float,
    shift: float,
    dropped: float,
    whole: Sequence[int],
    start: Sequence[int],
) -> Tensor:
    """x · scale + shift where the lane of an element's coin reaches `threshold`, else `dropped`.

    Computed in float32 (float64 for float64) and rounded once to x's type; shape and memory format
    are x's. `whole` is the shape of the mask that x is at `start` of, 1 where coins are shared.
    """
    if direct := readable(x):
        seed, whole, start = int(seed), tuple(whole), tuple(start)
    drawn = seed, stream, step, threshold, scale, shift, dropped, whole, start
    return _apply(x, drawn, False, direct)


def _run(x: Tensor, coins: tuple, inplace: bool) -> Tensor:
    """The operator, without autograd, on a tensor whose memory an engine may read."""
    engine = engine_of(x.device)
    out = x if inplace else engine.empty_like(x)
    engine.masked_scale(x, out, *coins)
    return out


def _linear(coins: tuple) -> tuple:
    seed, stream, step, threshold, scale, _, _, whole, start = coins
    return seed, stream, step, threshold, scale, 0.0, 0.0, whole, start


_apply = diagonal(
    "masked_scale", "SymInt threshold, float scale, float shift, float dropped", _run, _linear
)


# --- What may be dropped, and where -------------------------------------------------------------


def idle(x: Tensor, rate: float | int, training: bool) -> bool:
    """Whether x itself is to come back: in evaluation and at rate 0, whatever tensor it is.

    Raises TypeError for what is no tensor, and for a tensor that is to change and cannot.
    """
    nothing = rate == 0 or not active(training)
    check(x, nothing)
    return nothing


def check(x: Tensor, idle: bool = False) -> None:
    """Raise TypeError unless x is a dense tensor of a floating type that the engines know.

    If it is to stay `idle`, any tensor will do.
    """
    kind: object
    if not isinstance(x, Tensor):
        kind = type(x).__name__
    elif idle:
        return
    elif x.is_nested:
        kind = "a nested tensor"
    elif x.layout != torch.strided:
        kind = x.layout
    elif x.dtype not in DTYPES:
        kind = x.dtype
    else:
        return
    allowed = ", ".join(str(dtype).removeprefix("torch.") for dtype in DTYPES)
    raise TypeError(f"dropout needs a dense floating-point tensor, got {kind}: {allowed} will do")


def check_writable(x: Tensor) -> None:
    """Raise RuntimeError, before anything is written, where PyTorch's own writes in place would."""
    if x.is_inference() and not torch.is_inference_mode_enabled():
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed"
        )
    if x.requires_grad and torch.is_grad_enabled():
        check_gradients_follow(x)
    if any(n > 1 and not step for n, step in zip(x.shape, x.stride(), strict=True)):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a "
            "single memory location: clone it to write in place"
        )
