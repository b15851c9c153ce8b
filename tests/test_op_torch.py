"""The operator under PyTorch's machinery: autograd of any mode, torch.func, compile, export."""

import pytest
import torch
from torch.torch_version import TorchVersion
from torch.utils.checkpoint import checkpoint

from dropout import MaskKey, functional, nn
from dropout.op import drop

KEY = MaskKey(2**63 + 7, stream=1)


def keyed(x):
    return drop(x, 0.3, (-1,), scale=0.7, shift=0.5, dropped=-1.0, key=KEY)


def leaf(*shape):
    n = torch.Size(shape).numel()
    return torch.linspace(-2, 2, n, dtype=torch.double).view(shape).requires_grad_()


def after_seed(function, *arguments):
    torch.manual_seed(5)
    return function(*arguments)


def model():
    layers = torch.nn.Linear(8, 8), nn.Dropout(0.5), torch.nn.Tanh(), nn.Dropout(0.2)
    return torch.nn.Sequential(*layers)


@pytest.mark.parametrize("f", [keyed, lambda x: functional.dropout(x, 0.3, key=KEY)])
def test_gradients_pass_every_mode_of_gradcheck(f):
    assert torch.autograd.gradcheck(
        f,
        leaf(4, 5),
        check_forward_ad=True,
        check_batched_grad=True,
        check_batched_forward_grad=True,
    )
    assert torch.autograd.gradgradcheck(
        f, leaf(4, 5), check_fwd_over_rev=True, check_rev_over_rev=True, check_batched_grad=True
    )


def test_a_write_in_place_carries_its_tangent():
    x, tangent = torch.ones(64), torch.arange(1.0, 65.0)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x.clone(), tangent.clone())
        out = functional.dropout(dual, inplace=True, key=KEY)
        found = torch.autograd.forward_ad.unpack_dual(out).tangent
    assert torch.equal(found, functional.dropout(tangent, key=KEY))


@pytest.mark.parametrize("grad", [False, True])
def test_a_write_in_place_counts_as_one(grad):
    x = torch.ones(64, requires_grad=grad) * 1
    before = x._version
    functional.dropout(x, inplace=True, key=KEY)
    assert x._version == before + 1


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_output_and_gradient_keep_the_memory_format(layout):
    x = torch.ones(2, 3, 4, 5).contiguous(memory_format=layout).requires_grad_()
    out = functional.dropout(x, key=KEY)
    (gradient,) = torch.autograd.grad(out, x, torch.ones_like(out))
    assert out.is_contiguous(memory_format=layout)
    assert gradient.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints_replay_the_mask(reentrant):
    net, x = model(), torch.linspace(-1, 1, 32).view(4, 8).requires_grad_()
    plain = after_seed(net, x)
    replayed = after_seed(lambda: checkpoint(net, x, use_reentrant=reentrant))
    assert torch.equal(plain, replayed)
    a = torch.autograd.grad(plain.sum(), net[0].weight)[0]
    replayed.sum().backward()
    assert torch.equal(a, net[0].weight.grad)


def test_what_is_not_what_lies_in_memory_is_read_right():
    negative = torch.complex(torch.zeros(64), torch.linspace(-2, 2, 64)).conj().imag
    assert negative.is_neg()
    expected = functional.dropout(negative.clone(), key=KEY)
    assert torch.equal(functional.dropout(negative, key=KEY), expected)
    functional.dropout(negative, inplace=True, key=KEY)
    assert torch.equal(negative, expected)
    assert torch.equal(functional.dropout(torch._efficientzerotensor(8), key=KEY), torch.zeros(8))


# --- torch.func ---------------------------------------------------------------------------------


def test_under_vmap_a_key_does_what_it_does_in_a_loop():
    x = leaf(6, 4, 5).detach()
    loop = torch.stack([keyed(a) for a in x])
    assert torch.equal(torch.vmap(keyed)(x), loop)
    assert torch.equal(torch.vmap(keyed, in_dims=2)(x.movedim(0, 2)), loop)
    nested = torch.vmap(torch.vmap(lambda a: functional.dropout(a, key=KEY)))(x)
    assert torch.equal(nested, functional.dropout(x[0, 0], key=KEY).ne(0) * x * 2)


def test_vmap_asks_for_one_mask_or_many():
    x = torch.ones(5, 64)
    same = after_seed(torch.vmap(functional.dropout, randomness="same"), x)
    assert torch.equal(same, after_seed(functional.dropout, x[0]).expand(5, 64))
    different = after_seed(torch.vmap(functional.dropout, randomness="different"), x)
    loop = after_seed(lambda: torch.stack([functional.dropout(a) for a in x]))
    assert torch.equal(different, loop)
    unbatched = torch.vmap(lambda a: functional.dropout(x[0]) * a, randomness="different")(x)
    assert len({tuple(row.tolist()) for row in unbatched}) == 5
    with pytest.raises(
        RuntimeError, match="called random operation while in randomness error mode"
    ):
        torch.vmap(functional.dropout)(x)


def test_under_vmap_a_generator_of_ones_own_draws_as_in_a_loop():
    def drop(x):
        return functional.dropout(x, generator=generator)

    def draws(f, *args):
        generator.manual_seed(3)
        return f(*args)

    generator, x = torch.Generator(), torch.ones(5, 64)
    loop = draws(lambda: torch.stack([drop(a) for a in x]))
    assert torch.equal(draws(torch.vmap(drop, randomness="different"), x), loop)
    assert torch.equal(draws(torch.vmap(drop, randomness="same"), x), loop[:1].expand(5, 64))
    gradient = torch.func.grad(lambda a: drop(a).sum())
    assert torch.equal(draws(torch.vmap(gradient, randomness="different"), x), loop)
    with pytest.raises(
        RuntimeError, match="called random operation while in randomness error mode"
    ):
        torch.vmap(drop)(x)


def test_jacobians_of_both_modes_and_examples_gradients_agree():
    x = leaf(3, 5).detach()
    assert torch.equal(torch.func.jacfwd(keyed)(x), torch.func.jacrev(keyed)(x))
    each = torch.func.vmap(torch.func.grad(lambda a: keyed(a).square().sum()))(x)
    loop = [torch.func.grad(lambda a: keyed(a).square().sum())(a) for a in x]
    assert torch.equal(each, torch.stack(loop))


# --- compiler and export ------------------------------------------------------------------------


def tangled(x):
    """Five draws used in another order than drawn: a compiler could reorder them or merge them.

    The factors are powers of two: one that rounds a product and a sum at once rounds as eager mode.
    """
    outs = [functional.dropout(x * 2**i, 0.5) for i in range(5)]
    return torch.stack([outs[3], outs[0], outs[4], outs[1]])


@pytest.mark.unchecked
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled_whole_it_draws_the_masks_of_eager_mode(backend):
    x = torch.linspace(1, 2, 64).requires_grad_()
    compiled = torch.compile(tangled, fullgraph=True, backend=backend)
    for seed in range(3):
        results = []
        for function in (tangled, compiled):
            torch.manual_seed(seed)
            out = function(x)
            results.append((out, *torch.autograd.grad(out.sum(), x), torch.get_rng_state()))
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def checkpointed(x):
    """Two blocks run again in backward, with a draw before, between and after."""

    def block(x):
        return functional.dropout(x * 3, 0.5) * x

    x = checkpoint(block, functional.dropout(x, 0.1), use_reentrant=False)
    return functional.dropout(checkpoint(block, x, use_reentrant=False), 0.1) * x


def each_its_own(x):
    return torch.vmap(lambda x: functional.dropout(x, 0.5), randomness="different")(x)


def all_the_same(x):
    return torch.vmap(lambda x: functional.dropout(x, 0.5), randomness="same")(x)


@pytest.mark.skipif(torch.__version__ < TorchVersion("2.13"), reason="PyTorch 2.11 cannot")
@pytest.mark.unchecked
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.parametrize("f", [checkpointed, each_its_own, all_the_same])
def test_compiled_checkpoints_and_vmap_draw_the_masks_of_eager_mode(f, backend):
    x = torch.linspace(1, 2, 64).view(4, 16).requires_grad_()
    results = []
    for function in (f, torch.compile(f, fullgraph=True, backend=backend)):
        torch.manual_seed(5)
        out = function(x)
        results.append((out, *torch.autograd.grad(out.sum(), x), torch.get_rng_state()))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)  # zeros are exact


@pytest.mark.unchecked
@pytest.mark.parametrize("budget", [0.5, 0.0])
def test_under_a_memory_budget_backward_has_the_forwards_masks_or_is_refused(budget):
    """Below 1 PyTorch computes parts of the forward again, and would draw other seeds for it."""

    def block(x, keys=(None, None)):
        for key in keys:
            x = functional.dropout(x.sin(), 0.5, key=key)
        return (x * x).sum()

    def keyed(x):
        return block(x, (MaskKey(1), MaskKey(2)))

    x = torch.linspace(1, 2, 64, dtype=torch.double).requires_grad_()
    with torch._functorch.config.patch(activation_memory_budget=budget):
        (found,) = torch.autograd.grad(torch.compile(keyed, backend="inductor")(x), x)
        with pytest.raises(RuntimeError, match="activation_memory_budget below 1: give it a key"):
            torch.compile(block, backend="inductor")(x)
    (expected,) = torch.autograd.grad(keyed(x), x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


@pytest.mark.unchecked
def test_torch_func_grad_inside_a_compiled_function_is_right_or_refused():
    """PyTorch's limit for operators of one's own, up to 2.13: compile around it, or leave it."""
    gradient = torch.func.grad(lambda x: keyed(x).square().sum())
    x = torch.linspace(1, 2, 60).view(3, 4, 5)
    for f in (gradient, torch.vmap(gradient)):
        compiled = torch.compile(f, backend="aot_eager")
        plain = x.clone().requires_grad_()
        uncompiled = torch.vmap(keyed)(plain) if f is not gradient else keyed(plain)
        (expected,) = torch.autograd.grad(uncompiled.square().sum(), plain)
        torch.testing.assert_close(f(x), expected, rtol=1e-6, atol=0)
        if torch.__version__ >= TorchVersion("2.14"):
            torch.testing.assert_close(compiled(x), expected, rtol=1e-6, atol=0)
        else:
            with pytest.raises(RuntimeError, match="setup_context"):
                compiled(x)


@pytest.mark.unchecked
def test_a_compiled_step_is_a_new_mask_and_no_new_graph():
    counter = torch._dynamo.testing.CompileCounter()

    @torch.compile(fullgraph=True, backend=counter)
    def compiled(x, step):
        return functional.dropout(x, key=MaskKey(7, 1, step))

    x = torch.ones(64)
    for step in range(6):
        assert torch.equal(compiled(x, step), functional.dropout(x, key=MaskKey(7, 1, step)))
    assert counter.frame_count <= 3  # 0 and 1 are special to the compiler, the rest is a symbol


@pytest.mark.unchecked
def test_compiled_in_place_writes_into_the_input():
    compiled = torch.compile(
        lambda x: functional.dropout(x, inplace=True, key=KEY), fullgraph=True, backend="aot_eager"
    )
    x = torch.ones(64)
    compiled(x)
    assert torch.equal(x, functional.dropout(torch.ones(64), key=KEY))


TRACED = {
    "a key": nn.Dropout(0.5, key=KEY),
    "a drawn seed": nn.Dropout(0.5),
    "shared coins": nn.Dropout1d(0.5, key=KEY),
    "noise": nn.GaussianDropout(0.5, key=KEY),
    "in place": nn.Dropout(0.5, inplace=True, key=KEY),
}


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # on sizes
@pytest.mark.parametrize("grad", [False, True], ids=["", "with gradient"])
@pytest.mark.parametrize("layer", TRACED.values(), ids=TRACED)
def test_tracing_is_refused_in_training_and_right_in_evaluation(layer, grad):
    x = torch.ones(2, 4, 8, requires_grad=grad)
    model = torch.nn.Sequential(Doubles(), layer).train()
    with pytest.raises(RuntimeError, match=r"torch\.jit\.trace cannot record dropout in training"):
        torch.jit.trace(model, x)
    assert torch.equal(torch.jit.trace(model.eval(), x)(3 * x), 6 * x)


class Doubles(torch.nn.Module):
    def forward(self, x):
        return 2 * x


def test_an_exported_model_draws_in_training_and_is_rid_of_dropout_in_evaluation():
    net, x = model(), torch.linspace(-1, 1, 32).view(4, 8)
    exported = torch.export.export(net.train(), (x,))
    assert torch.equal(after_seed(exported.module(), x), after_seed(net, x))
    graph = torch.export.export(net.eval(), (x,)).graph
    assert not [node for node in graph.nodes if "dropout" in str(node.target)]


def test_the_drawing_of_seeds_keeps_pytorchs_rules():
    checks = ("test_schema", "test_faketensor", "test_autograd_registration")
    torch.library.opcheck(torch.ops.dropout.draw_seed.default, (torch.rand(0),), test_utils=checks)
