"""The one operator: masked scale, known to PyTorch's dispatcher, autograd, vmap and compiler.

Every variant of dropout is this operator with its own shape of coins. It is affine in x with a
diagonal matrix, so that its derivative is the operator again, to any order. No mask is stored:
wherever it is needed it is drawn anew from the key.
"""

import threading
from collections.abc import Sequence
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import torch
from torch import Generator, Tensor
from torch._C import _are_functorch_transforms_active, _has_storage, _len_torch_dispatch_stack
from torch._C._autograd import CreationMeta, _get_creation_meta
from torch._functorch import config as functorch
from torch._functorch.pyfunctorch import retrieve_current_functorch_interpreter
from torch._library.effects import EffectType
from torch.autograd import forward_ad
from torch.compiler import is_compiling
from torch.jit import is_tracing
from torch.nn import Parameter
from torch.utils.checkpoint import CheckpointPolicy, _CachingTorchDispatchMode

from dropout.kernels.engines import engine_of
from dropout.mask import MaskKey, inverted_scale, threshold
from dropout.shard import Shard, place

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
ALL_BITS = -(2**63), None  # the limits of a seed, for Tensor.random_
SAMPLER: ContextVar[Any] = ContextVar("sampler", default=None)  # set by `bayes.predict`


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
    and for a key, a generator or a shard that is none, ValueError for a rate, axis or shard out of
    range and for a DTensor whose parts are no parts of the mask, RuntimeError for a tensor that
    cannot be written in place.

    >>> drop(torch.ones(2, 4), p=0.5, shared=(1,), key=MaskKey(seed=1))
    tensor([[0., 0., 0., 0.],
            [2., 2., 2., 2.]])
    """
    direct = _direct(x)
    t, inverted = (_known_rate if direct and type(p) is float else _rate)(p)
    nothing = t == 0 or not ((training and direct) or active(training))
    if not direct:
        check(x, nothing)
    if nothing:
        return x
    if inplace and not is_compiling():  # compiled code writes by PyTorch's own operator
        check_writable(x)
    whole, start = place(x.shape, shard, shared)
    coin = _coins(key, generator, False) if direct else coins(key, generator, x)
    scale = inverted if scale is None else scale
    return _masked_scale(x, (*coin, t, scale, shift, dropped, whole, start), inplace, direct)


def _rate(p: float) -> tuple[int, float]:
    return threshold(p), inverted_scale(p)


_known_rate = lru_cache(_rate)


def active(training: bool) -> bool:
    """Whether to drop: in training, and wherever `bayes.predict` samples."""
    dropping = training or sampler() is not None
    if dropping and not is_compiling() and is_tracing():
        raise RuntimeError(
            "torch.jit.trace cannot record dropout in training: trace in evaluation, or use "
            "torch.export"
        )
    return dropping


def sampler() -> Any:
    """What has charge of all coins while `bayes.predict` samples; else None."""
    if is_compiling() or not _are_functorch_transforms_active():
        return None
    return SAMPLER.get()


def coins(
    key: MaskKey | None, generator: Generator | None = None, x: Tensor | None = None
) -> tuple[Tensor | int, int, int]:
    """Seed, stream and step for x: those of the key, or of a new one whose seed is drawn.

    The seed is a signed number, or a 0-d int64 tensor where PyTorch would take a number for a
    constant. It is drawn on the CPU, so that nothing waits for another device.
    """
    if (sampling := sampler()) is not None:
        return sampling.coins()
    if type(x).__module__ == "torch.distributed.tensor":
        import dropout.dtensor  # noqa: F401  (it takes most of a second: for those who need it)

        if key is None:
            raise ValueError("a DTensor needs a key: its processes would each draw their own seed")
    return _coins(key, generator, _traced())


def _coins(key, generator, traced: bool) -> tuple[Tensor | int, int, int]:
    if generator is not None and not isinstance(generator, Generator):
        raise TypeError(f"generator must be a torch.Generator, got {generator!r}")
    if key is None:
        if traced:
            return draw_seed(generator), 0, 0
        mine = _mine
        if generator is None:
            mine.seed.random_(*ALL_BITS)
        else:
            _random(mine.seed, generator)
        return int(mine.number), 0, 0
    if not isinstance(key, MaskKey):
        raise TypeError(f"key must be a MaskKey, got {key!r}")
    if generator is not None:
        raise ValueError("give a key or a generator, not both: a key needs no generator")
    seed = key.seed - 2**64 if key.seed >= 2**63 else key.seed
    return seed_tensor(seed) if traced else seed, key.stream, key.step


def _traced() -> bool:
    """Whether PyTorch looks on: a compiler, a tracer, a transform of torch.func, a mode."""
    return (
        is_compiling()
        or _are_functorch_transforms_active()
        or _len_torch_dispatch_stack() > 0
        or is_tracing()
    )


def seed_tensor(seed: Tensor | int) -> Tensor:
    """A seed as the operators take it."""
    return seed if isinstance(seed, Tensor) else torch.tensor(seed, dtype=torch.int64, device="cpu")


def draw_seed(generator: Generator | None = None) -> Tensor:
    """64 random bits from a CPU generator (default: PyTorch's own), as a 0-d tensor."""
    if generator is None and _traced():
        return torch.ops.dropout.draw_seeds([])
    return _random(_empty_seeds(), generator)


def _random(seeds: Tensor, generator: Generator | None = None) -> Tensor:
    if generator is not None and generator.device.type != "cpu":
        raise ValueError(f"generator must be on the CPU, got one on {generator.device}")
    return seeds.random_(*ALL_BITS, generator=generator)


def _empty_seeds(shape: Sequence[int] = ()) -> Tensor:
    return torch.empty(shape, dtype=torch.int64, device="cpu")  # whatever the default device


class _Mine(threading.local):
    """A place to draw a seed in, for each thread its own."""

    def __init__(self):
        with torch.inference_mode(False):
            self.seed = _empty_seeds()
        self.number = self.seed.numpy()  # the same place, quicker to read


_mine = _Mine()


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
    inplace: bool = False,
) -> Tensor:
    """x · scale + shift where the lane of an element's coin reaches `threshold`, else `dropped`.

    Computed in float32 (float64 for float64) and rounded once to x's type; shape and memory format
    are x's. `whole` is the shape of the mask that x is at `start` of, 1 where coins are shared.
    """
    if direct := _direct(x):
        seed, whole, start = int(seed), tuple(whole), tuple(start)
    coins = seed, stream, step, threshold, scale, shift, dropped, whole, start
    return _masked_scale(x, coins, inplace, direct)


def _masked_scale(x: Tensor, coins: tuple, inplace: bool, direct: bool) -> Tensor:
    if direct:
        if x.requires_grad or forward_ad._current_level >= 0:
            return _apply(x, coins, inplace)
        return _run(x, coins, inplace)
    seed, *rest = coins
    if (sampling := sampler()) is not None:
        return sampling.draw(masked_scale, x, seed, *rest)
    operator = torch.ops.dropout.masked_scale if is_compiling() else _Transformed.apply
    out = operator(x, seed_tensor(seed), *rest)
    return x.copy_(out) if inplace else out


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
        raise RuntimeError("an inference tensor cannot be written in place outside InferenceMode")
    if x.requires_grad and torch.is_grad_enabled():
        if (x if x._base is None else x._base).is_leaf:
            raise RuntimeError(
                "a leaf Variable that requires grad, or a view of one, cannot be written in place"
            )
        if x._is_view() and (made := _get_creation_meta(x)) != CreationMeta.DEFAULT:
            raise RuntimeError(
                f"a view that gradients cannot follow ({made.name}: one of the outputs of unbind, "
                "split or chunk, or made under no_grad or inference_mode, or by a custom "
                "Function) cannot be written in place: clone it"
            )
    if any(n > 1 and not step for n, step in zip(x.shape, x.stride(), strict=True)):
        raise RuntimeError("elements of x share a place in memory: clone it to write in place")


# --- What PyTorch knows of it -------------------------------------------------------------------


def library(kind: str) -> torch.library.Library:
    """A library for this package's operators, in place of the one that an earlier import made.

    PyTorch keeps operators apart from the modules that define them: a module that is loaded anew
    has to take back what it registered.
    """
    libraries = vars(torch.ops.dropout).setdefault("_libraries", {})
    if kind in libraries:
        libraries[kind]._destroy()
    libraries[kind] = torch.library.Library("dropout", kind)
    return libraries[kind]


_library = library("DEF")
_VMAP = torch._C.DispatchKeySet(torch._C.DispatchKey.FuncTorchVmapMode)
_ARGUMENTS = (
    "Tensor seed, SymInt stream, SymInt step, SymInt threshold, float scale, float shift, "
    "float dropped, SymInt[] whole, SymInt[] start"
)
_library.define(f"masked_scale(Tensor x, {_ARGUMENTS}) -> Tensor")
_library.define("draw_seeds(SymInt[] shape) -> Tensor", tags=torch.Tag.nondeterministic_seeded)


def _direct(x: Tensor) -> bool:
    """Whether an engine may read x's memory: nothing follows what happens, and x is as it says.

    Other tensors (of a subclass, lazily negated, unfit) go by way of the dispatcher.
    """
    kind = type(x)
    return (
        (kind is Tensor or kind is Parameter)
        and not _traced()
        and x.dtype in DTYPES
        and _has_storage(x)  # a sparse one has none, nor one with a batch that vmap hides
        and not (x.is_nested or x.is_neg() or x._is_zerotensor())
    )


def _run(x: Tensor, coins: tuple, inplace: bool) -> Tensor:
    """The operator, without autograd, on a tensor whose memory an engine may read."""
    engine = engine_of(x.device)
    out = x if inplace else engine.empty_like(x)
    engine.masked_scale(x, out, *coins)
    if inplace:
        torch.autograd.graph.increment_version(x)
    return out


def _kernel(x: Tensor, seed: Tensor, *rest) -> Tensor:
    *numbers, whole, start = rest  # which the dispatcher makes lists
    return _run(x, (int(seed), *numbers, tuple(whole), tuple(start)), inplace=False)


_library.impl("masked_scale", _kernel, "CompositeExplicitAutograd")
torch.library.register_fake(
    "dropout::masked_scale", lambda x, *_: torch.empty_like(x), lib=_library
)


def _derivative(grad, seed, stream, step, threshold, scale, shift, dropped, *rest):
    return masked_scale(grad, seed, stream, step, threshold, scale, 0.0, 0.0, *rest)


def _setup_context(ctx, inputs, output):
    _, seed, *ctx.rest = inputs
    ctx.save_for_backward(seed)
    ctx.save_for_forward(seed)


def _backward(ctx, grad):
    return _derivative(grad, *ctx.saved_tensors, *ctx.rest), *[None] * (1 + len(ctx.rest))


def _batched(info, in_dims, x, seed, *rest):
    if in_dims[1] is None:  # one seed: the examples share their coins
        rest = (*rest[:-2], [1, *rest[-2]], [0, *rest[-1]])
        return masked_scale(x.movedim(in_dims[0], 0), seed, *rest), 0
    examples = [x] * info.batch_size if in_dims[0] is None else x.unbind(in_dims[0])
    outs = [masked_scale(a, s, *rest) for a, s in zip(examples, seed.unbind(), strict=True)]
    return torch.stack(outs), 0


class _Transformed(torch.autograd.Function):
    """The operator under torch.func: forward mode too, which a registered operator has not."""

    @staticmethod
    def forward(*inputs):
        return torch.ops.dropout.masked_scale(*inputs)

    setup_context = staticmethod(_setup_context)
    backward = staticmethod(_backward)
    vmap = staticmethod(_batched)

    @staticmethod
    def jvp(ctx, tangent, *_):
        return _derivative(tangent, *ctx.saved_tensors, *ctx.rest)


class _Eager(torch.autograd.Function):
    """The operator in plain eager mode, at a third of the cost of `_Transformed`."""

    @staticmethod
    def forward(ctx, x, coins, inplace):
        ctx.coins, ctx.inplace = (*coins[:5], 0.0, 0.0, *coins[7:]), inplace
        if inplace:
            ctx.mark_dirty(x)
        return _run(x, coins, inplace)

    @staticmethod
    def backward(ctx, grad):
        return _masked_scale(grad, ctx.coins, False, _direct(grad)), None, None

    @staticmethod
    def jvp(ctx, tangent, *_):
        return _masked_scale(tangent, ctx.coins, ctx.inplace, _direct(tangent))


# Without what Function puts around them: another look for torch.func's transforms, and for whether
# the derivative is called backward or vjp.
_apply = super(torch.autograd.Function, _Eager).apply
_Eager._backward_cls.apply = _Eager.backward  # type: ignore[attr-defined]


torch.library.register_autograd(
    "dropout::masked_scale", _backward, setup_context=_setup_context, lib=_library
)
torch.library.register_vmap("dropout::masked_scale", _batched, lib=_library)


def _fake_seeds(shape: Sequence[int]) -> Tensor:
    if functorch.activation_memory_budget < 1:  # PyTorch would draw others in backward, or fail
        raise RuntimeError(
            "dropout cannot draw seeds in code that is compiled with an activation_memory_budget "
            "below 1: give it a key, as dropout.seeding.seeded does"
        )
    return _empty_seeds(shape)


def _draw(shape: Sequence[int]) -> Tensor:
    return _random(_empty_seeds(shape))


def _draw_under_vmap(shape: Sequence[int]) -> Tensor:
    vmap: Any = retrieve_current_functorch_interpreter()
    if vmap.randomness() == "error":
        raise RuntimeError("vmap over dropout needs randomness='same' or 'different', or a key")
    if vmap.randomness() == "different":
        shape = vmap.batch_size(), *shape
    with torch._C._ExcludeDispatchKeyGuard(_VMAP):
        seeds = torch.ops.dropout.draw_seeds(shape)
    if vmap.randomness() == "different":
        return torch._C._functorch._add_batch_dim(seeds, 0, vmap.level())
    return seeds


def _save_seeds(mode, op, types, args, kwargs):
    """A compiled checkpoint saves the seeds it draws: it cannot draw them again in backward."""
    policy, mode.policy_fn = mode.policy_fn, lambda *_, **__: CheckpointPolicy.MUST_SAVE
    try:
        return mode.__torch_dispatch__(op, types, args, kwargs)
    finally:
        mode.policy_fn = policy


_library.impl("draw_seeds", _draw, "CompositeExplicitAutograd")
_library.impl("draw_seeds", _draw_under_vmap, "FuncTorchVmapMode")
torch.library.register_fake("dropout::draw_seeds", _fake_seeds, lib=_library)
torch.library.register_torch_dispatch(
    "dropout::draw_seeds", _CachingTorchDispatchMode, _save_seeds, lib=_library
)
# Draws in compiled code keep the order they have in eager mode, and with it their seeds.
_library._register_effectful_op("dropout::draw_seeds", EffectType.ORDERED)
