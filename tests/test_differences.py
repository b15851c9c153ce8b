"""The page "Differences from torch.nn": what it says of both sides holds, point by point."""

import math
import re
import warnings
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as theirs
from torch._higher_order_ops.map import map as torch_map
from torch._higher_order_ops.scan import scan
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, distribute_tensor
from torch.export import export
from torch.utils.checkpoint import checkpoint

from dropout import MaskKey, nn, seeding
from dropout import functional as ours
from dropout.mask import realised_rate

KEY = MaskKey(seed=5)
PAGE = (Path(__file__).parents[1] / "book" / "differences.md").read_text("utf-8")
# PyTorch's compiler cannot trace the checks of shapes, and users' errors are seen without them.
pytestmark = pytest.mark.unchecked
TESTS = {}


def point(name):
    """The test of the page's point (diff-name)."""

    def enter(test):
        TESTS[name] = test
        return test

    return enter


def test_every_point_has_a_test_and_every_test_a_point():
    points = re.findall(r"^\(diff-([\w-]+)\)=\n### ", PAGE, re.MULTILINE)
    assert sorted(points) == sorted(TESTS)
    assert PAGE.count("\n### ") == len(points)


def test_the_code_on_the_page_runs():
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    space = {}
    for block in blocks:
        exec(block, space)
    assert space["model"](torch.ones(2, 4)).shape == (2, 3)
    assert [part.shape for part in space["nested"].unbind()] == [(2, 3), (1, 3)]
    assert len(blocks) == 2


# ---- the numbers ------------------------------------------------------------------------------


def state_after(f, *args):
    torch.manual_seed(0)
    f(*args)
    return torch.get_rng_state().tolist()


@point("masks")
def test_the_same_seed_gives_other_masks_and_a_call_takes_one_seed_of_any_size():
    torch.manual_seed(0)
    mine = ours.dropout(torch.ones(64))
    torch.manual_seed(0)
    assert not torch.equal(mine, theirs.dropout(torch.ones(64)))
    states = [state_after(ours.dropout, torch.ones(n), p) for n, p in ((0, 0.5), (64, 0.5), (9, 1))]
    assert states[0] == states[1] == states[2]
    others = [state_after(theirs.dropout, torch.ones(n)) for n in (0, 1, 64)]
    assert others[0] != others[1] != others[2]


@point("rate")
def test_the_rate_and_with_it_the_scale_is_a_multiple_of_one_in_65536():
    x = torch.ones(1000, dtype=torch.double)
    assert float(ours.dropout(x, 0.9, key=KEY).max()) == pytest.approx(9.99939, abs=5e-6)
    assert float(ours.dropout(x, 0.9, key=KEY).max()) == 1 / (1 - realised_rate(0.9))
    assert float(theirs.dropout(x, 0.9).max()) == 1 / (1 - 0.9)
    assert float(ours.dropout(x, 58982 / 65536, key=KEY).max()) == 65536 / (65536 - 58982)


@point("tiny-rate")
def test_a_rate_up_to_two_to_the_minus_17_gives_the_input_itself():
    x = torch.ones(8)
    assert ours.dropout(x, 2.0**-17) is x
    assert ours.dropout(x, 2.0**-17 * 1.01) is not x
    assert theirs.dropout(x, 2.0**-17).data_ptr() != x.data_ptr()
    assert theirs.dropout(x, 0.0) is x


@point("inf-nan")
def test_a_dropped_element_is_zero_whatever_was_there():
    for value in (torch.inf, torch.nan, -1.0):
        x = torch.full((64,), value, requires_grad=True)
        out = ours.dropout(x, key=KEY)
        out.backward(torch.full_like(x, value))
        dropped = ours.dropout(torch.ones(64), key=KEY) == 0
        assert out[dropped].tolist() == x.grad[dropped].tolist() == [0] * int(dropped.sum())
        assert not out[dropped].signbit().any()
        there = theirs.dropout(x)
        assert there.signbit().all() if value == -1 else there.isnan().any()


@point("saved")
def test_no_mask_is_kept_for_backward():
    for dropout, kept in ((ours.dropout, 0), (theirs.dropout, 1)):
        seen = []
        with torch.autograd.graph.saved_tensors_hooks(seen.append, lambda x: x):
            dropout(torch.ones(4, requires_grad=True))
        assert len(seen) == kept


# ---- arguments --------------------------------------------------------------------------------


@point("rate-type")
@pytest.mark.parametrize("p", [torch.tensor(0.5), True, float("nan")], ids=repr)
def test_a_rate_that_is_no_plain_number_is_refused_at_once(p):
    x = torch.ones(8)
    for drop in (lambda: nn.Dropout(p), lambda: ours.dropout(x, p, training=False)):
        with pytest.raises((TypeError, ValueError), match="p must be"):
            drop()
    torch.nn.Dropout(p)
    if not math.isnan(p):
        assert set(theirs.dropout(x, p).tolist()) <= {0.0, 2.0}


@point("types")
@pytest.mark.filterwarnings("ignore:.*nested tensors:UserWarning")
def test_to_drop_takes_a_dense_floating_point_tensor():
    whole, complex_ = torch.ones(4, dtype=torch.int64), torch.ones(4, dtype=torch.complex64)
    nested = torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(1, 3)])
    for x in (whole, complex_, nested):
        assert ours.dropout(x, training=False) is ours.dropout(x, 0.0) is x
        with pytest.raises(TypeError, match="dense floating-point tensor"):
            ours.dropout(x, 1.0)
    assert not theirs.dropout(whole, 1.0).any()
    assert not theirs.dropout(complex_, 1.0).any()
    assert theirs.dropout(nested, 0.5).is_nested
    with pytest.raises(RuntimeError):
        theirs.dropout(whole, 0.5)


@point("alpha-inplace")
@pytest.mark.parametrize("name", ["AlphaDropout", "FeatureAlphaDropout"])
def test_alpha_layers_heed_inplace(name):
    x = torch.zeros(2, 8)
    assert getattr(torch.nn, name)(0.5, inplace=True)(x) is not x
    assert not x.any()
    assert getattr(nn, name)(0.5, inplace=True)(x) is x
    assert x.any()


@point("block-size")
def test_a_block_larger_than_its_map_is_refused():
    with pytest.raises(ValueError, match=r"block_size must be at most .* got 7 for a map of 5 x 5"):
        nn.DropBlock2d(0.1, block_size=7)(torch.ones(1, 3, 5, 5))


# ---- layers -----------------------------------------------------------------------------------


@point("type")
def test_a_layer_is_a_subclass_of_torch_nns():
    layer = nn.Dropout()
    assert isinstance(layer, torch.nn.Dropout)
    assert type(layer) is not torch.nn.Dropout
    traced = torch.fx.symbolic_trace(lambda x: ours.dropout(x, 0.5, False))
    assert ours.dropout in [node.target for node in traced.graph.nodes]


@point("inside")
def test_layers_of_torch_nn_that_drop_inside_are_refused_by_seeded():
    for layer in (torch.nn.MultiheadAttention(4, 2, 0.1), torch.nn.LSTM(4, 4, 2, dropout=0.1)):
        with pytest.raises(ValueError, match="whose dropout takes no key"):
            seeding.seeded(torch.nn.Sequential(layer), seed=1)
    assert not hasattr(nn, "MultiheadAttention")


@point("checkpoint")
def test_checkpointing_gives_a_generator_of_ones_own_no_state_back():
    def gradient(**source):
        x = torch.ones(64, requires_grad=True)
        out = checkpoint(lambda x: ours.dropout(x, **source) * x, x, use_reentrant=False)
        out.sum().backward()
        return torch.equal(x.grad, 2 * out.detach())

    assert gradient()
    assert gradient(key=KEY)
    assert not gradient(generator=torch.Generator().manual_seed(3))


@pytest.fixture
def mesh():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


@point("dtensor")
@pytest.mark.filterwarnings("ignore:DTensor random operators:UserWarning")
def test_a_dtensor_needs_a_key(mesh):
    x = distribute_tensor(torch.ones(8), mesh, [Replicate()])
    with pytest.raises(ValueError, match="a DTensor needs a key"):
        ours.dropout(x)
    expected = ours.dropout(torch.ones(8), key=KEY)
    assert torch.equal(ours.dropout(x, key=KEY).to_local(), expected)
    assert theirs.dropout(x).to_local().shape == (8,)


# ---- compiler and export ----------------------------------------------------------------------


@point("trace")
@pytest.mark.filterwarnings("ignore:`torch.jit.trace")
def test_jit_trace_is_refused_in_training_only():
    with pytest.raises(RuntimeError, match=r"torch.jit.trace cannot record dropout in training"):
        torch.jit.trace(nn.Dropout(), torch.ones(8))
    assert torch.jit.trace(nn.Dropout().eval(), torch.ones(8))(torch.ones(8)).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        traced = torch.jit.trace(torch.nn.Dropout(), torch.ones(8), check_trace=False)
    assert "aten::dropout" in str(traced.inlined_graph)


@point("script")
@pytest.mark.filterwarnings("ignore:`torch.jit.script")
def test_jit_script_fails():
    for what in (nn.Dropout(), ours.dropout):
        with pytest.raises((OSError, torch.jit.frontend.NotSupportedError)):
            torch.jit.script(what)
    assert torch.jit.script(torch.nn.Dropout())(torch.ones(8)).shape == (8,)


@point("export")
def test_an_exported_graph_has_our_operators_in_training_and_none_in_evaluation():
    def operators(layer):
        return {str(node.target).removesuffix(".default") for node in export(layer, x).graph.nodes}

    x = (torch.ones(8),)
    assert operators(nn.Dropout()) == {"input", "output", "dropout.draw_seed",
                                       "dropout.masked_scale"}  # fmt: skip
    assert operators(nn.Dropout().eval()) == {"input", "output"}
    assert "aten.dropout" in operators(torch.nn.Dropout())


CONTROL = {
    "cond": lambda f, x: torch.cond(x.sum() > 0, f, torch.clone, (x,)),
    "map": torch_map,
    "scan": lambda f, x: scan(lambda c, row: (c + 1, f(row)), torch.zeros(1), x)[1],
}


@point("control-flow")
@pytest.mark.parametrize("name", CONTROL)
def test_in_compiled_control_flow_seeds_are_not_drawn_and_keys_do_their_work(name):
    def run(f, compiled=True):
        torch._dynamo.reset()
        control = CONTROL[name]

        def whole(x):
            return control(f, x)

        x = torch.ones(3, 8)
        return torch.compile(whole, backend="aot_eager")(x) if compiled else whole(x)

    expected = run(lambda x: ours.dropout(x, key=KEY), compiled=False)
    assert torch.equal(run(lambda x: ours.dropout(x, key=KEY)), expected)
    assert run(lambda x: ours.dropout(x), compiled=False).shape == (3, 8)
    assert run(lambda x: theirs.dropout(x)).shape == (3, 8)
    with pytest.raises(Exception, match=r"FakeTensor|tangents_token"):
        run(lambda x: ours.dropout(x))


@point("grad")
def test_a_compiled_torch_func_grad_is_refused():
    x = torch.ones(8)
    for dropout, fails in ((ours.dropout, True), (theirs.dropout, False)):
        gradient = torch.func.grad(lambda x, dropout=dropout: dropout(x).sum())
        assert gradient(x).shape == (8,)
        torch._dynamo.reset()
        compiled = torch.compile(gradient, backend="aot_eager", fullgraph=True)
        if fails:  # in words that newer versions of PyTorch have changed
            with pytest.raises(RuntimeError, match=r"setup_context|Observed exception"):
                compiled(x)
        else:
            assert compiled(x).shape == (8,)


class Block(torch.nn.Module):
    def __init__(self, dropout):
        super().__init__()
        self.linear, self.dropout = torch.nn.Linear(8, 8), dropout

    @torch.compiler.nested_compile_region
    def forward(self, x):
        return self.dropout(self.linear(x))


@point("region")
def test_in_a_compiled_region_that_is_used_again_only_keys_have_gradients():
    def run(model):
        torch._dynamo.reset()
        out = torch.compile(model, backend="aot_eager")(torch.ones(4, 8))
        if torch.is_grad_enabled():
            out.sum().backward()
        return out

    def blocks(layer):
        return torch.nn.Sequential(*[Block(layer()) for _ in range(3)])

    model = blocks(nn.Dropout)
    with pytest.raises(RuntimeError, match=r"nested_compile_region .*: give it a key"):
        run(model)
    with torch.no_grad():
        torch.manual_seed(1)
        drawn = run(model)
        torch.manual_seed(1)
        assert torch.equal(drawn, model(torch.ones(4, 8)))
    for whole in (seeding.seeded(model, seed=1), blocks(torch.nn.Dropout)):
        run(whole)
        assert all(weight.grad.any() for weight in whole.parameters())


@point("budget")
def test_below_a_whole_memory_budget_only_keys_are_taken():
    x = torch.ones(8, requires_grad=True)
    with torch._functorch.config.patch(activation_memory_budget=0.5):
        for dropout in (lambda x: ours.dropout(x, key=KEY), lambda x: theirs.dropout(x)):
            torch._dynamo.reset()
            assert torch.compile(dropout, backend="aot_eager")(x).shape == (8,)
        torch._dynamo.reset()
        with pytest.raises(RuntimeError, match="activation_memory_budget below 1: give it a key"):
            torch.compile(lambda x: ours.dropout(x), backend="aot_eager")(x)


@point("compiled-generator")
def test_a_generator_of_ones_own_breaks_the_compilers_graph():
    def drop(x):
        return ours.dropout(x, generator=generator)

    generator, x = torch.Generator().manual_seed(3), torch.ones(64)
    with pytest.raises(torch._dynamo.exc.Unsupported):
        torch.compile(drop, backend="aot_eager", fullgraph=True)(x)
    torch._dynamo.reset()
    out = torch.compile(drop, backend="aot_eager")(x)
    generator.manual_seed(3)
    assert torch.equal(out, drop(x))


@point("functionalize")
def test_functionalize_is_refused():
    x = torch.ones(8)
    with pytest.raises(RuntimeError, match="Functionalize rule for custom_function_call"):
        torch.func.functionalize(lambda x: ours.dropout(x, key=KEY))(x)
    assert torch.func.functionalize(lambda x: theirs.dropout(x))(x).shape == (8,)
    compiled = torch.compile(lambda x: ours.dropout(x, key=KEY), backend="aot_eager")
    assert torch.equal(compiled(x), ours.dropout(x, key=KEY))
