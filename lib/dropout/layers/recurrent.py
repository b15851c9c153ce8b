"""Dropout in time: one coin for all steps of a sequence (Gal and Ghahramani, 2016)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.functional import linear
from torch.nn.modules.rnn import RNNBase

from dropout.coins import active, coins
from dropout.layers.base import CoinLayer, overridable
from dropout.layers.weights import reweighted
from dropout.mask import MaskKey, inverted_scale, threshold
from dropout.op import drop, idle, masked_scale
from dropout.shard import Shard, place

State = tuple[Tensor, ...]  # h, and in an LSTM c


@overridable
def locked_dropout(
    input: Float[Tensor, "time *batch features"],
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    batch_first: bool = False,
    key: MaskKey | None = None,
    generator: Generator | None = None,
    shard: Shard | None = None,
) -> Float[Tensor, "time *batch features"]:
    """Drop each feature of each sequence at all time steps or at none.

    The input is (time, batch, features), with `batch_first` (batch, time, features), or one
    sequence (time, features). p is the drop rate, survivors are multiplied by 1/(1 - p). Coins come
    from `key`, or from a seed drawn from `generator` (default: PyTorch's CPU generator); a `shard`
    places the input in a larger tensor. With `training=False` the input itself comes back.

    Raises ValueError for p outside [0, 1] and, where anything drops, for another rank, TypeError
    for a tensor that is to drop and not dense and floating point. Source: Gal and Ghahramani
    (2016), "A theoretically grounded application of dropout in recurrent neural networks", section
    4.

    >>> locked_dropout(torch.ones(3, 8), p=0.5, key=MaskKey(seed=1))
    tensor([[0., 2., 0., 2., 0., 2., 2., 2.],
            [0., 2., 0., 2., 0., 2., 2., 2.],
            [0., 2., 0., 2., 0., 2., 2., 2.]])
    """
    if idle(input, threshold(p), training):
        return input
    if input.dim() not in (2, 3):
        raise ValueError(f"x must have 2 or 3 dimensions, got shape {tuple(input.shape)}")
    time = 1 if batch_first and input.dim() == 3 else 0
    return drop(
        input, p, (time,), training, key=key, generator=generator, shard=shard, inplace=inplace
    )


class LockedDropout(CoinLayer):
    """`functional.locked_dropout` as a module: the identity in evaluation.

    >>> sequences = LockedDropout(p=0.5, batch_first=True)(torch.ones(2, 5, 3))
    >>> bool((sequences == sequences[:, :1]).all())
    True
    """

    function = staticmethod(locked_dropout)
    settings = ("p", "inplace", "batch_first")
    batched_rank = 3

    def __init__(
        self,
        p: float = 0.5,
        inplace: bool = False,
        batch_first: bool = False,
        *,
        key: MaskKey | None = None,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(p, key, generator)
        self.inplace = inplace
        self.batch_first = batch_first

    @property
    def batch_axis(self) -> int:  # type: ignore[override]
        return 0 if self.batch_first else 1


class WeightDrop(CoinLayer):
    """DropConnect on the hidden-to-hidden weights of an nn.LSTM, nn.GRU or nn.RNN.

    It wraps `rnn`, whose weights stay its own, under their own names. In training each forward runs
    the rnn with a dropped copy of them, the same at all time steps and for all sequences, so that
    PyTorch's fused kernels do the work; gradients reach the raw weights, or what they are computed
    from, as pruning and parametrisations do. In evaluation the rnn runs as it is. p is the drop
    rate; coins, one for each weight of all layers and directions stacked, come from `key` or
    `generator` as in `functional.dropout`.

    Raises TypeError if `rnn` is not recurrent, ValueError for p outside [0, 1].
    Source: Merity, Keskar and Socher (2018), section 2.

    >>> lstm = WeightDrop(torch.nn.LSTM(3, 4), p=0.5)
    >>> output, (h, c) = lstm(torch.ones(5, 2, 3))
    >>> output.shape
    torch.Size([5, 2, 4])
    """

    batch_axis = None

    def __init__(
        self,
        rnn: RNNBase,
        p: float = 0.5,
        *,
        key: MaskKey | None = None,
        generator: Generator | None = None,
    ) -> None:
        _check(rnn)
        super().__init__(p, key, generator)
        self.rnn = rnn

    def forward(self, input, hx=None):
        if not self.training:
            return self.rnn(input, hx)
        names = [f"weight_hh_{run}" for run in _runs(self.rnn)]
        return reweighted(self.rnn, names, partial(self._drop, names), input, hx)

    def _drop(self, names: list[str], run: Callable[..., Any], input, hx):
        stack = torch.stack([getattr(self.rnn, name) for name in names])
        dropped = drop(stack, self.p, **self.source(stack))
        return run(dict(zip(names, dropped, strict=True)), input, hx)


class VariationalRNN(CoinLayer):
    """An nn.LSTM, nn.GRU or nn.RNN with dropout that is the same at all steps of a sequence.

    It wraps `rnn`, whose weights stay its own, under their own names. In training each layer drops
    its inputs at rate p and the state that feeds its hidden-to-hidden weights at rate
    `recurrent_p`, and the last layer its outputs at rate `output_p` (default: p), every sequence by
    coins of its own. The state itself is carried on, and returned, undropped; but in an nn.RNN all
    of it goes on by those weights, so that `recurrent_p` thins it again and again. In evaluation
    the rnn runs as it is, by PyTorch's fused kernels; in training it is a loop over time, between
    the rnn's hooks, with the weights that pruning and parametrisations compute.

    Coins come from `key`, or from one seed for each forward drawn from `generator` (default:
    PyTorch's CPU generator). They have shape (places, batch, width), the widest of the places:
    each layer's input, then each layer's and direction's state, then the output.

    Raises TypeError if `rnn` is not recurrent or the input is packed where anything drops,
    ValueError for a rate outside [0, 1] and for an rnn that drops between its layers itself.
    Source: Gal and Ghahramani (2016), equation 7, one mask for all gates.

    >>> gru = VariationalRNN(torch.nn.GRU(3, 4, num_layers=2, bidirectional=True), p=0.2)
    >>> output, h = gru(torch.ones(5, 2, 3))
    >>> output.shape
    torch.Size([5, 2, 8])
    """

    settings = ("p", "recurrent_p", "output_p")
    batched_rank = 3

    def __init__(
        self,
        rnn: RNNBase,
        p: float = 0.5,
        recurrent_p: float | None = None,
        output_p: float | None = None,
        *,
        key: MaskKey | None = None,
        generator: Generator | None = None,
    ) -> None:
        _check(rnn)
        if rnn.dropout:
            raise ValueError(f"rnn must not drop by itself, got one with dropout={rnn.dropout}")
        super().__init__(p, key, generator)
        self.rnn = rnn
        self.recurrent_p = p if recurrent_p is None else recurrent_p
        self.output_p = p if output_p is None else output_p
        threshold(self.recurrent_p)
        threshold(self.output_p)

    def forward(self, input, hx=None):
        if not (self.training and active(self.training) and self.drops()):
            return self.rnn(input, hx)
        if not isinstance(input, Tensor):
            raise TypeError(f"input must be a tensor, got {type(input).__name__}")
        # Between the hooks of the rnn, which may compute its weights.
        return reweighted(
            self.rnn, [], lambda _, *args: self.unrolled(*args), input, hx, once=False
        )

    def drops(self) -> bool:
        return any(map(threshold, (self.p, self.recurrent_p, self.output_p)))

    def unrolled(self, input: Tensor, hx: Tensor | State | None = None):
        """The rnn as a loop over time, with the coins of one forward."""
        batch_axis, single = self.batch_axis, input.dim() == 2
        shard = self.shard(input, input.shape)
        x = input.unsqueeze(batch_axis) if single else input
        state = self._initial(x, hx, single)
        whole, start = place(x.shape, shard)
        rows = whole[batch_axis], start[batch_axis]
        output, state = self._layers(x.movedim(batch_axis, 1), state, *rows)
        output = output.movedim(1, batch_axis)
        if single:
            output, state = output.squeeze(batch_axis), tuple(s.squeeze(1) for s in state)
        return output, state if len(state) > 1 else state[0]

    def _initial(self, x: Tensor, hx: Tensor | State | None, single: bool) -> State:
        """The states to start from, each (layers · directions, batch, size), checked by the rnn."""
        rnn, lstm = self.rnn, self.rnn.mode == "LSTM"
        if hx is None:
            runs, batch = len(_runs(rnn)), x.shape[0 if rnn.batch_first else 1]
            sizes = [rnn.proj_size or rnn.hidden_size, rnn.hidden_size][: 1 + lstm]
            state = tuple(x.new_zeros(runs, batch, size) for size in sizes)
        else:
            parts = (hx,) if isinstance(hx, Tensor) else hx
            state = tuple(s.unsqueeze(1) if single else s for s in parts)
        rnn.check_forward_args(x, state if lstm else state[0], None)  # type: ignore[arg-type]
        return state

    def _layers(self, x: Tensor, state: State, batch: int, first: int) -> tuple[Tensor, State]:
        """The outputs (time, rows, features) and the last states of all layers.

        The rows are those from the `first` one on of a whole `batch`.
        """
        layers, runs = self.rnn.num_layers, _runs(self.rnn)
        sides = len(runs) // layers
        width = max(self.rnn.input_size, sides * (self.rnn.proj_size or self.rnn.hidden_size))
        whole = (layers + len(runs) + 1, 1, batch, width)
        lock = partial(_lock, coins(self.key, self.generator, x), whole, first)
        last: list[State] = []
        for layer in range(layers):
            x, outputs = lock(x, self.p, layer), []
            for run in range(layer * sides, (layer + 1) * sides):
                feed = partial(lock, p=self.recurrent_p, place=layers + run)
                start = tuple(s[run] for s in state)
                output, end = self._direction(x, runs[run], start, feed)
                outputs.append(output)
                last.append(end)
            x = torch.cat(outputs, dim=-1)
        x = lock(x, self.output_p, whole[0] - 1)
        return x, tuple(torch.stack(parts) for parts in zip(*last, strict=True))

    def _direction(
        self, x: Tensor, run: str, state: State, feed: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, State]:
        """The outputs and the last state of one layer in one direction."""
        w_ih, w_hh = (getattr(self.rnn, f"weight_{n}_{run}") for n in ("ih", "hh"))
        names = ("bias_ih", "bias_hh", "weight_hr")
        b_ih, b_hh, w_hr = (getattr(self.rnn, f"{n}_{run}", None) for n in names)
        order = -1 if run.endswith("reverse") else 1
        cell, outputs = CELLS[self.rnn.mode], []
        for inputs in linear(x, w_ih, b_ih).unbind()[::order]:
            state = cell(inputs, linear(feed(state[0]), w_hh, b_hh), state)
            if w_hr is not None:
                state = linear(state[0], w_hr), state[1]
            outputs.append(state[0])
        return torch.stack(outputs[::order]), state

    @property
    def batch_axis(self) -> int:  # type: ignore[override]
        return 0 if self.rnn.batch_first else 1


def _check(rnn: RNNBase) -> None:
    if not isinstance(rnn, RNNBase):
        raise TypeError(f"rnn must be an nn.LSTM, nn.GRU or nn.RNN, got {type(rnn).__name__}")


def _runs(rnn: RNNBase) -> list[str]:
    """The names of an rnn's layers and directions, as its weights have them: "l0", "l0_reverse"."""
    sides = ("", "_reverse") if rnn.bidirectional else ("",)
    return [f"l{layer}{side}" for layer in range(rnn.num_layers) for side in sides]


def _lock(
    coin: tuple[Tensor | int, int, int],
    whole: tuple[int, ...],
    first: int,
    x: Tensor,
    p: float,
    place: int,
) -> Tensor:
    """x (*time, batch, features) dropped by the coins of one place, the same at all times."""
    t = threshold(p)
    if t == 0:
        return x
    steps = x[(None,) * (4 - x.dim())]
    start = (place, 0, first, 0)
    return masked_scale(steps, *coin, t, inverted_scale(p), 0.0, 0.0, whole, start).view_as(x)


def _lstm(inputs: Tensor, recurrent: Tensor, state: State) -> State:
    i, f, g, o = (inputs + recurrent).chunk(4, dim=-1)
    c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def _gru(inputs: Tensor, recurrent: Tensor, state: State) -> State:
    (r, z, n), (hr, hz, hn) = inputs.chunk(3, dim=-1), recurrent.chunk(3, dim=-1)
    n, z = (n + (r + hr).sigmoid() * hn).tanh(), (z + hz).sigmoid()
    return ((1 - z) * n + z * state[0],)


CELLS: dict[str, Callable[[Tensor, Tensor, State], State]] = {
    "LSTM": _lstm,
    "GRU": _gru,
    "RNN_TANH": lambda inputs, recurrent, state: ((inputs + recurrent).tanh(),),
    "RNN_RELU": lambda inputs, recurrent, state: ((inputs + recurrent).relu(),),
}
