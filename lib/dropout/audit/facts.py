"""What a record of a forward consists of."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from dropout.audit.calls import INSIDE
from dropout.torch_private import unbatched

Key = int | tuple[str, int]


def key(x: Tensor) -> Key:
    """The memory of a tensor, by which it is known; itself, where it has none."""
    x = unbatched(x)
    try:
        return x.untyped_storage().data_ptr() or ("id", id(x))
    except (NotImplementedError, RuntimeError):
        return ("id", id(x))


@dataclass
class Place:
    """Where something ran."""

    module: str
    kind: str  # the module's class
    source: str | None
    named: str  # the names on the way: path, class, function
    owner: str  # the innermost module that is no layer of dropout
    layer: Any = field(repr=False, default=None)


@dataclass
class Value:
    """What a tensor depends on: which draws, and whether the model's inputs or parameters."""

    draws: frozenset[int] = frozenset()
    data: bool = False
    binary: bool = False
    producer: int | None = None  # the operator that wrote it last


@dataclass
class Op:
    """One operator: what it read, who had made that, and what it wrote."""

    name: str
    made_by: list[int | None]
    reads: list[Key]
    sizes: list[int]  # of what it read
    is_view: bool
    place: Place | None
    site: int | None
    norm: bool  # whether it is a part of a batch norm
    factor: float | None  # of a product of data with a plain number


@dataclass
class Draw:
    """Random numbers: the operator, a copy of them or the words that name them, and where."""

    name: str
    value: Any
    place: Place
    backward: bool

    @property
    def count(self) -> int:
        return self.value.numel() if isinstance(self.value, Tensor) else 64


@dataclass
class Site:
    """A dropout that ran: a call of a function that drops, or a mask that code made by itself."""

    name: str
    place: Place
    p: float | None
    input: Key | None = None
    shape: tuple[int, ...] = ()
    made_by: int | None = None  # the operator that made its input
    training: bool = True
    inplace: bool = False
    keyed: bool = False
    last: int = 0  # the first operator that is no longer its own
    outputs: list[Key] = field(default_factory=list)
    draws: list[int] = field(default_factory=list)
    mask: Tensor | None = None
    custom: bool = False
    chosen: bool = False  # custom, by `where` or the like, which scales nothing
    integers: bool = False  # custom, of indices of words
    on_constant: bool = False  # only the mask of a dropout that code makes by itself
    on_parameter: bool = False
    lowest: float | None = None  # of the input, where it should be normal: of alpha dropout

    @property
    def acts(self) -> bool:
        return bool(self.draws) or (self.training and self.p == 1)

    @property
    def on_units(self) -> bool:
        """Whether it drops in what it is given, not in weights: of attention, a table, a layer."""
        return self.name not in INSIDE


@dataclass
class Norm:
    """What one batch norm met."""

    place: Place
    training: bool
    tracks: bool
    variance: float
    examples: int
    made_by: int | None
