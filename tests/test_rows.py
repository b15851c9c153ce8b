"""Rows of a batch, told by hand: layers drop in them what the whole batch would drop there."""

import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch.utils.checkpoint import checkpoint

from dropout import MaskKey, nn
from dropout.bayes import predict
from dropout.seeding import Rows, gather_rows, seeded, set_step
from tests.test_module_life import LIVES, every_module, gradients, run

TIME_FIRST = ("LockedDropout", "VariationalRNN", "WeightDrop")
# Those whose coins are of weights, or of the words of a table: alike for all rows.
FOR_ALL_ROWS = ("EmbeddingDropout", "WeightDrop")
ELEMENTWISE = {
    "Dropout": nn.Dropout,
    "AlphaDropout": nn.AlphaDropout,
    "GaussianDropout": nn.GaussianDropout,
    "Uout": nn.Uout,
    "WordDropout": lambda: nn.WordDropout(0, 0.5),
}
every_elementwise = pytest.mark.parametrize("make", ELEMENTWISE.values(), ids=ELEMENTWISE)


def numbers(*shape):
    return torch.randint(1, 9, shape).double()


def words_or_numbers(make, *shape):
    x = numbers(*shape)
    return x.long() if isinstance(make(), nn.WordDropout) else x


def in_parts(total):
    """Rows of a batch in parts of other sizes, one of them empty."""
    cuts = 0, 1, 1, total - 1, total
    return [Rows(a, b - a, total) for a, b in pairwise(cuts)]


def cut(x, rows, axis):
    each = x.shape[axis] // rows.total
    return x.narrow(axis, each * rows.start, each * rows.count)


def dropped(layer, x, axis, rows):
    return layer(cut(x, rows, axis)) if rows else layer(x)


# ---- the same as the whole batch ----------------------------------------------------------------


@pytest.mark.parametrize("name", LIVES)
def test_in_its_rows_a_layer_drops_what_the_whole_batch_drops_there(name):
    """Outputs and gradients: to the bit, but for the sums of products that come behind."""
    make, give = LIVES[name]
    layer, x = seeded(make(), 2**63 + 5).double(), give()
    x = x.double() if x.is_floating_point() else x
    axis = int(name in TIME_FIRST)
    out, *grads = gradients(set_step(layer, 3), x)
    found = []
    for rows in in_parts(x.shape[axis]):
        found.append(gradients(set_step(layer, 3, rows), cut(x, rows, axis)))
    products = any(True for _ in layer.parameters())
    tolerance = {"rtol": 0, "atol": 1e-12 if products else 0}
    torch.testing.assert_close(torch.cat([f[0] for f in found], axis), out, **tolerance)
    for i, grad in enumerate(grads, 1):
        parts = [f[i] for f in found]
        of_input = x.is_floating_point() and i == len(grads)
        total = torch.cat(parts, axis) if of_input else sum(parts)
        torch.testing.assert_close(total, grad, **tolerance)


@pytest.mark.parametrize("name", LIVES)
def test_without_rows_a_part_drops_as_if_it_were_the_whole(name):
    """Which is wrong, but for layers that drop the same for all rows."""
    make, give = LIVES[name]
    layer, x = seeded(make(), 1), give()
    axis = int(name in TIME_FIRST)
    rows = Rows(x.shape[axis] // 2, x.shape[axis] // 2, x.shape[axis])
    part = cut(x, rows, axis)
    told, untold = run(set_step(layer, 3, rows), part), run(set_step(layer, 3), part)
    assert torch.equal(told, untold) == (name in FOR_ALL_ROWS)


@every_elementwise
@pytest.mark.parametrize(("shape", "axis"), [((5, 4, 3), 1), ((3, 2, 4), -1), ((4,), 0)])
def test_the_batch_of_a_layer_that_drops_elements_may_be_any_axis(make, shape, axis):
    x, layer = words_or_numbers(make, *shape), seeded(make(), 1, batch_axis=axis)
    whole = set_step(layer, 2)(x)
    for rows in in_parts(4):
        assert torch.equal(set_step(layer, 2, rows)(cut(x, rows, axis)), cut(whole, rows, axis))


@every_elementwise
def test_a_batch_that_is_flattened_with_time_has_several_elements_to_a_row(make):
    x, layer = words_or_numbers(make, 4 * 3, 5), seeded(make(), 1)
    whole = set_step(layer, 2)(x)
    for rows in in_parts(4):
        assert torch.equal(set_step(layer, 2, rows)(cut(x, rows, 0)), cut(whole, rows, 0))


def test_layers_of_one_model_may_have_the_batch_along_other_axes():
    model = torch.nn.ModuleDict({"first": nn.Dropout(), "second": nn.Dropout()})
    seeded(model, 1, batch_axis=1)
    model["second"].batch_axis = 0
    x = numbers(2, 4)
    for name, axis, batch in (("first", 1, x), ("second", 0, x.T)):
        whole = set_step(model, 2)[name](batch)
        for rows in in_parts(4):
            part = set_step(model, 2, rows)[name](cut(batch, rows, axis))
            assert torch.equal(part, cut(whole, rows, axis))


def test_what_has_no_batch_drops_alike_for_all_rows():
    layer, positions = seeded(nn.Dropout(), 1), numbers(1, 5, 3)
    layer.batch_axis = None
    whole = set_step(layer, 2)(positions)
    for rows in in_parts(4):
        assert torch.equal(set_step(layer, 2, rows)(positions), whole)


def test_layers_that_know_their_axis_keep_it():
    layer = seeded(nn.LockedDropout(batch_first=True), 1, batch_axis=1)
    assert layer.batch_axis == 0
    assert seeded(nn.Dropout2d(), 1, batch_axis=1).batch_axis == 0
    assert seeded(nn.VariationalRNN(torch.nn.GRU(3, 4)), 1).batch_axis == 1


def test_gradients_of_parts_in_turn_are_those_of_the_whole_batch():
    model = torch.nn.Sequential(torch.nn.Linear(3, 8), nn.Dropout(), torch.nn.Linear(8, 1)).double()
    seeded(model, 1)
    x = numbers(6, 3)
    _, *expected = gradients(set_step(model, 2), x)
    sums = [0] * 4
    for start in (0, 2, 4):
        _, *found = gradients(set_step(model, 2, Rows(start, 2, 6)), x[start : start + 2])
        sums = [a + b for a, b in zip(sums, found, strict=False)]
    for a, b in zip(sums, expected[:4], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=0)


# ---- where rows do not count --------------------------------------------------------------------


@every_module
def test_evaluation_takes_a_batch_of_any_size(make, give):
    layer, x = make().eval(), give()
    expected = run(layer, x)
    set_step(seeded(layer, 1), 2, Rows(3, 7, 64))
    assert torch.equal(run(layer, x), expected)


def test_a_rate_of_zero_takes_any_tensor():
    for layer in (nn.Dropout(0.0), nn.Uout(0.0), nn.DropPath(0.0), nn.Dropout1d(0.0)):
        x = numbers(5, 3)
        assert set_step(seeded(layer, 1), 2, Rows(3, 7, 64))(x) is x


def test_samples_of_a_model_are_of_the_whole_batch():
    model = torch.nn.Sequential(torch.nn.Linear(3, 8), nn.Dropout(), nn.VariationalRNN(
        torch.nn.GRU(8, 4, batch_first=True)))  # fmt: skip
    x, key = torch.randn(4, 2, 3), MaskKey(1)
    expected = predict(model, x, 5, key=key)
    set_step(seeded(model, 1), 2, Rows(4, 4, 16))
    for found, one in zip(predict(model, x, 5, key=key), expected, strict=True):
        assert torch.equal(found, one)


def test_the_next_step_without_rows_is_of_the_whole_batch():
    layer, x = seeded(nn.Dropout(), 1), numbers(4, 5)
    whole = set_step(layer, 2)(x)
    assert not torch.equal(set_step(layer, 2, Rows(4, 4, 8))(x), whole)
    for again in (lambda: set_step(layer, 2), lambda: seeded(layer, 1, step=2)):
        set_step(layer, 2, Rows(4, 4, 8))
        assert torch.equal(again()(x), whole)


def test_a_number_of_rows_is_the_whole_batch_in_one_process():
    assert gather_rows(4) == Rows(0, 4, 4)
    assert set_step(seeded(nn.Dropout(), 1), 2, 4).rows == Rows(0, 4, 4)


# ---- copies, checkpoints, graphs ----------------------------------------------------------------


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_has_the_rows_and_the_axis(clone):
    layer, x = seeded(nn.Dropout(), 1, batch_axis=1), numbers(3, 4)
    set_step(layer, 2, Rows(4, 4, 8))
    assert torch.equal(clone(layer)(x), layer(x))


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_a_checkpoint_replays_the_mask_of_the_rows(use_reentrant):
    layer, x = seeded(nn.Dropout(), 1), numbers(4, 5).requires_grad_()
    set_step(layer, 2, Rows(4, 4, 8))
    checkpoint(lambda x: layer(x) * x, x, use_reentrant=use_reentrant).sum().backward()
    assert torch.equal(x.grad, 2 * layer(x.detach()))


@pytest.mark.unchecked
def test_a_compiled_model_is_not_compiled_anew_for_the_rows_of_every_step():
    counter = CompileCounter()
    model = torch.nn.Sequential(nn.Dropout(), nn.LockedDropout(batch_first=True), nn.Uout())
    seeded(model, 1)

    torch.compiler.reset()
    with torch._dynamo.config.patch(allow_unspec_int_on_nn_module=True):
        compiled = torch.compile(model, backend=counter, fullgraph=True)
        for step in range(6):
            x = numbers(4, 2, 3)
            set_step(model, step, Rows(4, 4, 16))
            assert torch.equal(compiled(x), model(x))
        assert counter.frame_count == 2  # one for the first step, and one for any
        for rows in (Rows(3, 3, 13), Rows(6, 2, 9), Rows(4, 5, 19)):
            x = numbers(rows.count, 2, 3)
            set_step(model, 7, rows)
            assert torch.equal(compiled(x), model(x))
    assert counter.frame_count <= 4  # one for other rows, and one for any


@pytest.mark.unchecked
def test_a_compiled_layer_takes_several_elements_to_a_row():
    layer, x = seeded(nn.Dropout(), 1), numbers(4 * 3, 5)
    set_step(layer, 2, Rows(4, 4, 8))
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(x), layer(x))


def test_a_graph_of_torch_fx_heeds_the_rows_of_the_moment():
    model = seeded(torch.nn.Sequential(torch.nn.Tanh(), nn.Dropout()), 1)
    traced, x = torch.fx.symbolic_trace(set_step(model, 2, Rows(0, 4, 8))), numbers(4, 5)
    for rows in (Rows(0, 4, 8), Rows(4, 4, 8)):
        assert torch.equal(set_step(traced, 2, rows)(x), set_step(model, 2, rows)(x))


@pytest.mark.parametrize("rows", [None, Rows(0, 3, 4)])
def test_a_branch_that_all_rows_skip_has_a_gradient_where_others_may_wait_for_it(rows):
    model = nn.StochasticDepth(torch.nn.Linear(3, 3), p=1.0)
    x = torch.randn(3, 3, requires_grad=True)
    out = set_step(seeded(model, 1), 2, rows)(x)
    out.sum().backward()
    assert torch.equal(out, x)
    for p in model.parameters():
        assert p.grad is None if rows is None else not p.grad.any()


# ---- bad input ----------------------------------------------------------------------------------


@pytest.mark.unchecked
def test_a_length_that_rows_do_not_divide_is_refused():
    layer = set_step(seeded(nn.Dropout(), 1), 2, Rows(4, 4, 16))
    expected = (
        r"Dropout cannot drop shape \(6, 4\) by Rows\(start=4, count=4, total=16\): "
        r"the 6 along axis 0 are no multiple of 4: set its batch_axis"
    )
    with pytest.raises(ValueError, match=expected):
        layer(numbers(6, 4))
    with pytest.raises(ValueError, match="the 6 along axis 0 are no multiple of 0"):
        set_step(layer, 2, Rows(4, 0, 16))(numbers(6, 5))


@pytest.mark.unchecked
def test_time_that_may_pass_for_several_elements_to_a_row_is_refused_until_the_axis_is_said():
    layer, x = set_step(seeded(nn.Dropout(), 1), 2, Rows(4, 4, 16)), numbers(8, 4, 3)
    with pytest.raises(ValueError, match=r"is axis 0 or axis 1 the batch's\? Set its batch_axis"):
        layer(x)
    for axis in (0, 1):
        set_step(seeded(layer, 1, batch_axis=axis), 2, Rows(4, 4, 16))
        assert layer(x).shape == x.shape


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Dropout(), ()),
        (nn.Dropout1d(), (4, 3)),
        (nn.Dropout3d(), (4, 2, 2, 2)),
        (nn.DropBlock2d(0.5, 2), (4, 3, 3)),
        (nn.LockedDropout(), (4, 3)),
        (nn.VariationalRNN(torch.nn.GRU(3, 4).double()), (4, 3)),
        (nn.DropConnect(torch.nn.Linear(3, 4).double(), per_example=True), (3,)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_rows_of_an_input_without_a_batch_are_refused(layer, shape):
    set_step(seeded(layer, 1), 2, Rows(4, 4, 16))
    with pytest.raises(ValueError, match=f"{type(layer).__name__} cannot .* has no batch axis"):
        layer(numbers(*shape))


@pytest.mark.unchecked
def test_attention_without_a_batch_is_refused():
    layer, x = seeded(nn.Attention(0.5), 1), numbers(4, 3)
    with pytest.raises(ValueError, match=r"Attention cannot drop shape \(4, 4\) .* no batch axis"):
        set_step(layer, 2, Rows(4, 4, 16))(x, x, x)


@pytest.mark.unchecked
def test_rows_are_checked_and_nothing_changed():
    for bad in ((-1, 2, 4), (0, -2, 4), (3, 2, 4)):
        with pytest.raises(ValueError, match=r"rows must lie inside the whole batch, got Rows"):
            Rows(*bad)
    for bad in ((0.0, 2, 4), (0, True, 4), (0, 2, "4")):
        with pytest.raises(TypeError, match=r"must be an integer, got"):
            Rows(*bad)
    layer = seeded(nn.Dropout(), 1)
    for bad in (1.5, True, "4", (0, 2, 4)):
        with pytest.raises(TypeError, match="count must be an integer, got"):
            set_step(layer, 2, bad)
    with pytest.raises(TypeError, match=r"batch_axis must be an integer or None, got 'time'"):
        seeded(layer, 2, batch_axis="time")
    with pytest.raises(TypeError, match=r"batch_axis must be an integer or None, got True"):
        seeded(layer, 2, batch_axis=True)
    assert layer.key == MaskKey(1)
    assert seeded(layer, 2, batch_axis=np.int64(1)).batch_axis == 1


@pytest.mark.unchecked
def test_a_layer_that_has_a_key_and_takes_no_rows_is_named():
    class Mine(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.key = self.generator = None

    model = seeded(torch.nn.Sequential(nn.Dropout(), Mine()), 1)
    with pytest.raises(ValueError, match="'1', a Mine, takes no rows"):
        set_step(model, 2, Rows(0, 2, 4))
    assert set_step(model, 2)[1].key == MaskKey(1, stream=1, step=2)
