"""One seed for a whole model: a stream for each layer that drops, a step for each forward.

In training on several processes, each with rows of its own of the batch, `set_step` tells layers
which rows, and together they drop what one process with the whole batch would drop::

    model = DistributedDataParallel(seeded(model, seed=1))  # the same seed in all processes
    for step, (x, y) in enumerate(loader):
        rows = gather_rows(len(x))
        set_step(model, step, rows)
        loss = cross_entropy(model(x), y, reduction="sum") / rows.total
        (loss * get_world_size()).backward()  # DDP and FSDP take the mean of the gradients
        optimizer.step()
        optimizer.zero_grad()

Layers without keys draw seeds from PyTorch's CPU generator in each process. Where those generators
are seeded alike, processes drop alike, as with torch.nn's layers: give each process a seed of its
own, such as `torch.manual_seed(1000 * seed + rank)`, or the model keys. `unique_keys` notices. The
replicas of torch.nn.DataParallel have one key and no rows, and drop alike.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from hashlib import sha256
from numbers import Integral
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import Module, MultiheadAttention
from torch.nn.modules.rnn import RNNBase

from dropout.layers.base import TORCH_DROPOUTS, Coins, draws_coins
from dropout.mask import MaskKey
from dropout.shard import Rows

M = TypeVar("M", bound=Module)


def seeded(model: M, seed: int, step: int = 0, batch_axis: int | None = None) -> M:
    """Give each layer of `dropout.nn` in a model the key (seed, its own stream, step), in place.

    Streams count the layers in the order of `model.named_modules()`, so that the same model with
    the same seed drops the same units, anywhere. The step stays what it is until `set_step`: call
    that before each forward in training, once the backward of the one before is done. Activation
    checkpointing, which runs layers again in backward, then drops again what the forward dropped.
    Where a generator was a layer's source of coins, the key takes its place.

    `batch_axis` says for the layers that drop single elements (Dropout, AlphaDropout,
    GaussianDropout, Uout, WordDropout) which axis the rows of `set_step` lie along: 1 where time
    comes first. Where parts of a model differ, set a layer's own `batch_axis`; None is for what
    has no batch, as positions (1, time, features), and drops alike for all rows. Not said, it is 0.
    Other layers know their axis.

    Under torch.compile, set `torch._dynamo.config.allow_unspec_int_on_nn_module = True`: PyTorch
    otherwise takes a module's integers for constants and compiles anew for every step. An
    activation_memory_budget below 1 needs keys; in PyTorch 2.11 a compiled checkpoint does too.

    Raises ValueError for a layer of torch.nn that drops and takes no key, before any change.

    >>> from torch import nn, ones
    >>> from dropout.nn import Dropout
    >>> model = seeded(nn.Sequential(Dropout(0.5), nn.Tanh(), Dropout(0.5)), seed=1)
    >>> [layer.key.stream for layer in model if isinstance(layer, Dropout)]
    [0, 1]
    >>> bool((set_step(model, 7)(ones(8)) == model(ones(8))).all())
    True
    """
    if batch_axis is not None:
        if not isinstance(batch_axis, Integral) or isinstance(batch_axis, bool):
            raise TypeError(f"batch_axis must be an integer or None, got {batch_axis!r}")
        batch_axis = int(batch_axis)
    layers = _layers(model)
    keys = [MaskKey(seed, stream, step) for stream in range(len(layers))]
    for layer, key in zip(layers.values(), keys, strict=True):
        layer.key, layer.generator = key, None
        if hasattr(layer, "rows"):
            layer.rows = None
        if batch_axis is not None and getattr(layer, "elementwise", False):
            layer.batch_axis = batch_axis
    return model


def set_step(model: M, step: int, rows: Rows | int | None = None) -> M:
    """Set the step of each key in a model, so that all its layers drop anew; give the model back.

    `rows` says which rows of the whole batch the next forward has, on one of several processes
    that share a batch or in one of several forwards whose gradients are summed: by hand
    `Rows(rank * n, n, world * n)`, where all have n. A number, that of the rows here, stands for
    `gather_rows` of it. Layers that drop in the batch then drop what the whole batch would drop in
    those rows. Those that drop weights or words of a table (DropConnect, WeightDrop,
    EmbeddingDropout) drop the same for all rows. Without `rows`, the batch is whole.

    Rows lie along the axis that `seeded` tells of. One that is longer by a whole factor, as that of
    (batch x time, features) is, has so many elements to a row. A forward in training raises
    ValueError for any other length, and where another axis than the unsaid 0 has just as many
    elements as there are rows. Where time comes first, say so: a time as long as the rows would
    pass for the batch.

    Raises ValueError for a layer without a key, a step outside [0, 2**32), and rows for a layer
    that takes none, before anything is changed.

    >>> from torch import ones
    >>> from dropout.nn import Dropout
    >>> model = seeded(Dropout(0.5), seed=1)
    >>> whole, part = set_step(model, 7)(ones(4, 8)), set_step(model, 7, Rows(2, 2, 4))(ones(2, 8))
    >>> bool((part == whole[2:]).all())
    True
    """
    layers = _layers(model)
    for name, layer in layers.items():
        if layer.key is None:
            raise ValueError(f"{name!r} has no key whose step could be set: call seeded first")
        if rows is not None and not hasattr(layer, "rows"):
            raise ValueError(f"{name!r}, a {type(layer).__name__}, takes no rows")
    keys = [replace(layer.key, step=step) for layer in layers.values()]
    if not (rows is None or isinstance(rows, Rows)):
        rows = gather_rows(rows)
    for layer, key in zip(layers.values(), keys, strict=True):
        layer.key = key
        if hasattr(layer, "rows"):
            layer.rows = rows
    return model


def gather_rows(count: int, group: Any = None) -> Rows:
    """The rows that this process has, `count` of them, in the batch that all processes share.

    The batch is that of a process group of torch.distributed (default: of all processes), its rows
    in the order of the ranks. The counts may differ. Each process of the group has to call this,
    also one without rows, and waits for the others; `Rows` by hand need no waiting. Where some
    have the same rows, as in tensor parallelism, the group is of those that have other ones.
    Without torch.distributed the rows are the whole batch.

    Raises TypeError for a count that is no integer, ValueError for one below 0 and in a process
    that is not of the group.

    >>> gather_rows(16)
    Rows(start=0, count=16, total=16)
    """
    alone = Rows(0, count, count)
    if not _several():
        return alone
    rank = dist.get_rank(group)
    if rank < 0:
        raise ValueError("this process is not in the group whose rows are to be gathered")
    counts = [0] * dist.get_world_size(group)
    dist.all_gather_object(counts, alone.count, group=group)
    return Rows(sum(counts[:rank]), counts[rank], sum(counts))


@contextmanager
def unique_keys(model: Module) -> Iterator[None]:
    """A debug mode: within one forward of the model in training, no key may be used twice.

    Raises RuntimeError at the second layer that drops by a key, or at the second call of one layer,
    and names both. Layers without a key draw a seed each, and cannot share one. That activation
    checkpointing calls layers again in backward is right, and not counted.

    On several processes of torch.distributed, each of which has to run the forward, it raises
    RuntimeError, in all of them, for a layer that is about to drop alike on ranks whose inputs
    differ: by the same key without the rows of each rank, or by generators seeded alike. Ranks
    with equal inputs, as in tensor parallelism, may drop alike, and weights may on all.

    >>> from torch import nn, ones
    >>> from dropout.nn import Dropout
    >>> model = nn.Sequential(Dropout(key=MaskKey(seed=1)), Dropout(key=MaskKey(seed=1)))
    >>> with unique_keys(model):
    ...     model(ones(8))
    Traceback (most recent call last):
    RuntimeError: '0' and '1' both drop by MaskKey(seed=1, stream=0, step=0): give each its own key
    """
    layers = _layers(model)
    names: dict[MaskKey, str] = {}
    running = False

    def begin(_, args, kwargs):
        nonlocal running
        _check_ranks(layers, (args, kwargs))
        running = True
        names.clear()

    def end(*_):
        nonlocal running
        running = False

    def note(name, layer, _):
        if not (running and layer.training and layer.key):
            return
        if layer.key in names:
            both = f"{names[layer.key]!r} and {name!r} both drop by {layer.key}"
            raise RuntimeError(f"{both}: give each its own key")
        names[layer.key] = name

    with ExitStack() as hooks:
        hooks.enter_context(model.register_forward_pre_hook(begin, prepend=True, with_kwargs=True))
        hooks.enter_context(model.register_forward_hook(end, always_call=True))
        for name, layer in layers.items():
            hooks.enter_context(layer.register_forward_pre_hook(partial(note, name)))
        yield


def _layers(model: Module) -> dict[str, Any]:
    """The layers of a model that draw coins, by name."""
    layers: dict[str, Any] = {}
    for name, layer in model.named_modules():
        if draws_coins(layer):
            layers[name] = layer
        elif _drops(layer):
            kind = f"{name!r} is torch.nn's {type(layer).__name__}"
            raise ValueError(f"{kind}, whose dropout takes no key: use one of dropout.nn")
    return layers


def _drops(layer: Module) -> bool:
    """Whether a layer of torch.nn drops by itself."""
    if isinstance(layer, (MultiheadAttention, RNNBase)):
        return layer.dropout > 0
    return isinstance(layer, TORCH_DROPOUTS) and layer.p > 0


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _check_ranks(layers: dict[str, Any], inputs: Any) -> None:
    """Raise RuntimeError if a layer in training would drop alike on ranks whose inputs differ."""
    training = {name: layer for name, layer in layers.items() if layer.training}
    if not (training and _several()):
        return
    from dropout.bayes.tree import tensors  # takes a while: for those who need it

    digest = sha256(b"".join(map(content, tensors(inputs)))).digest()
    sources = {name: _source(layer) for name, layer in training.items() if _in_batch(layer)}
    ranks: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(ranks, (digest, sources))
    alike: dict[Any, list[tuple[bytes, int]]] = {}
    for rank, (digest, sources) in enumerate(ranks):
        for source in sources.items():
            alike.setdefault(source, []).append((digest, rank))
    for (name, source), found in alike.items():
        if len({digest for digest, _ in found}) > 1:
            those = ", ".join(str(rank) for _, rank in found)
            if isinstance(source, bytes):
                why = "their generators are in one state. Seed each rank by a number of its own"
                why += ", or use seeded, and set_step with rows"
            else:
                why = f"they have {source[0]} and {source[1] or 'no rows'}"
                why += ". Call set_step with the rows of each"
            raise RuntimeError(
                f"{name!r} would drop alike on ranks {those}, whose inputs differ: {why}"
            )


def _in_batch(layer: Any) -> bool:
    """Whether a layer drops, and not the same for all rows of a batch."""
    return not isinstance(layer, Coins) or (layer.batch_axis is not None and layer.drops())


def _source(layer: Any) -> bytes | tuple[MaskKey, Rows | None]:
    """What settles a layer's coins: its key and its rows, or else the state of a generator."""
    if layer.key is not None:
        return layer.key, getattr(layer, "rows", None)
    generator = layer.generator or torch.default_generator
    return sha256(content(generator.get_state())).digest()


def content(x: Tensor) -> bytes:
    """The numbers in a tensor, if it is dense and this process's own."""
    x = x.detach()
    if type(x).__module__ == "torch.distributed.tensor" or x.is_nested or x.layout != torch.strided:
        return b""
    return x.resolve_conj().resolve_neg().cpu().flatten().view(torch.uint8).numpy().tobytes()
