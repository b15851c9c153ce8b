"""One seed for a model: streams, steps, checkpointing, and keys that are used twice."""

import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch.utils.checkpoint import checkpoint

from dropout import MaskKey, nn
from dropout.seeding import seeded, set_step, unique_keys


def model():
    return torch.nn.Sequential(
        nn.Dropout(0.5),
        torch.nn.Sequential(torch.nn.Linear(99, 99), nn.Dropout(0.5)),
        nn.Dropout(0.5),
    )


def test_each_layer_has_its_stream_and_all_have_the_seed_and_step():
    seeds = seeded(model(), seed=2**64 - 1, step=7)
    keys = [seeds[0].key, seeds[1][1].key, seeds[2].key]
    assert keys == [MaskKey(2**64 - 1, stream, 7) for stream in range(3)]


def test_the_same_seed_and_step_drop_the_same_and_others_other():
    net, x = model(), torch.ones(99)
    first = seeded(net, seed=1)(x)
    assert torch.equal(net(x), first)
    assert not torch.equal(set_step(net, 1)(x), first)
    assert torch.equal(set_step(net, 0)(x), first)
    assert not torch.equal(seeded(net, seed=2)(x), first)


def test_layers_of_one_size_drop_other_units():
    net = seeded(torch.nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5)), seed=1)
    first, second = (layer(torch.ones(99)) for layer in net)
    assert not torch.equal(first, second)


def test_a_key_takes_the_place_of_a_generator():
    net = torch.nn.Sequential(nn.Dropout(generator=torch.Generator().manual_seed(3)))
    assert torch.equal(seeded(net, seed=1)(torch.ones(99)), net(torch.ones(99)))


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_checkpointing_replays_the_masks_of_the_step(use_reentrant):
    net = seeded(torch.nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5)), seed=1)
    for step in range(3):
        x = torch.ones(99, requires_grad=True)
        set_step(net, step)
        out = checkpoint(lambda x: net(x) * x, x, use_reentrant=use_reentrant)
        out.sum().backward()
        assert torch.equal(x.grad, 2 * out)  # d(s m x²)/dx at x = 1, if both masks are one


@pytest.mark.unchecked
def test_a_compiled_model_is_not_compiled_anew_for_every_step():
    counter = CompileCounter()
    net = seeded(torch.nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5)), seed=1)

    torch.compiler.reset()
    with torch._dynamo.config.patch(allow_unspec_int_on_nn_module=True):
        compiled = torch.compile(net, backend=counter, fullgraph=True)
        for step in range(12):
            set_step(net, step)
            assert torch.equal(compiled(torch.ones(99)), net(torch.ones(99)))
    assert counter.frame_count == 2  # one for the first step, and one for any


# ---- unique keys --------------------------------------------------------------------------------


def test_two_layers_with_one_key_are_both_named():
    net = model()
    net[0].key = net[1][1].key = MaskKey(1)
    with unique_keys(net), pytest.raises(RuntimeError, match=r"'0' and '1\.1' both drop by"):
        net(torch.ones(99))


def test_one_layer_called_twice_is_named():
    layer = nn.Dropout(0.5)
    net = seeded(torch.nn.Sequential(layer, torch.nn.Tanh(), layer), seed=1)
    with unique_keys(net), pytest.raises(RuntimeError, match="'0' and '0' both drop"):
        net(torch.ones(99))


def test_keys_that_differ_drawn_seeds_and_evaluation_pass():
    for net in (seeded(model(), seed=1), model()):
        with unique_keys(net):
            assert net(torch.ones(99)).shape == net(torch.ones(99)).shape
    net[0].key = net[2].key = MaskKey(1)
    with unique_keys(net.eval()):
        net(torch.ones(99))


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_the_second_run_of_a_checkpoint_is_not_counted(use_reentrant):
    class Checkpointed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5))

        def forward(self, x):
            return checkpoint(self.inner, x, use_reentrant=use_reentrant)

    net = seeded(Checkpointed(), seed=1)
    x = torch.ones(99, requires_grad=True)
    with unique_keys(net):
        net(x).sum().backward()
    assert x.grad.any()


def test_a_forward_that_failed_does_not_count_what_comes_after():
    net = seeded(model(), seed=1)
    with unique_keys(net):
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            net(torch.ones(98))
        assert net[0](torch.ones(99)).shape == (99,)


def test_afterwards_the_model_is_as_before_even_after_an_error():
    net = model()
    net[0].key = net[2].key = MaskKey(1)
    with unique_keys(net), pytest.raises(RuntimeError, match="both drop"):
        net(torch.ones(99))
    net(torch.ones(99))
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in net.modules())


# ---- bad input ----------------------------------------------------------------------------------


@pytest.mark.unchecked
@pytest.mark.parametrize(
    "layer",
    [
        torch.nn.Dropout(0.5),
        torch.nn.LSTM(3, 4, num_layers=2, dropout=0.5),
        torch.nn.MultiheadAttention(4, 2, dropout=0.5),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_layer_that_takes_no_key_is_named_and_nothing_changed(layer):
    net = torch.nn.Sequential(nn.Dropout(0.5), layer)
    with pytest.raises(ValueError, match=f"'1' is torch.nn's {type(layer).__name__}, whose"):
        seeded(net, seed=1)
    assert net[0].key is None


@pytest.mark.unchecked
def test_seeds_and_steps_outside_their_range_are_named_and_nothing_changed():
    net = seeded(model(), seed=1)
    for step in (-1, 2**32):
        with pytest.raises(ValueError, match=rf"step must be in \[0, 2\*\*32\), got {step}"):
            set_step(net, step)
    with pytest.raises(ValueError, match=r"seed must be in \[0, 2\*\*64\), got -1"):
        seeded(net, seed=-1)
    assert net[2].key == MaskKey(1, stream=2, step=0)


@pytest.mark.unchecked
def test_a_step_without_a_key_is_refused():
    with pytest.raises(ValueError, match=r"'0' has no key .*: call seeded first"):
        set_step(model(), 1)
