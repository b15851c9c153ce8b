"""What happens to a module in its life: copied, stored, replicated, cast, called as a function."""

import copy
import pickle
from functools import partial

import pytest
import torch
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from dropout import nn
from dropout.seeding import seeded


def features(*shape):
    return torch.randn(shape)


def tokens():
    return torch.randint(9, (4, 5))


class SelfAttending(torch.nn.Module):
    """Attention of an input to itself."""

    def __init__(self):
        super().__init__()
        self.attention = nn.Attention(0.5)

    def forward(self, x):
        return self.attention(x, x, x)


# For each module: how to make one, and an input for it.
LIVES = {
    "AlphaDropout": (nn.AlphaDropout, partial(features, 4, 5)),
    "Attention": (SelfAttending, partial(features, 4, 5, 6)),
    "ConcreteDropout": (
        lambda: nn.ConcreteDropout(torch.nn.Conv1d(4, 6, 3), 0.5),
        partial(features, 4, 4, 9),
    ),
    "DropBlock2d": (lambda: nn.DropBlock2d(0.5, 2), partial(features, 4, 3, 6, 6)),
    "DropConnect": (
        lambda: nn.DropConnect(torch.nn.Conv1d(4, 6, 3, groups=2), per_example=True),
        partial(features, 4, 4, 9),
    ),
    "DropPath": (nn.DropPath, partial(features, 16, 5)),
    "Dropout": (nn.Dropout, partial(features, 4, 5)),
    "Dropout1d": (nn.Dropout1d, partial(features, 4, 5, 6)),
    "Dropout2d": (nn.Dropout2d, partial(features, 4, 5, 6, 7)),
    "Dropout3d": (nn.Dropout3d, partial(features, 4, 5, 2, 3, 2)),
    "EmbeddingDropout": (lambda: nn.EmbeddingDropout(torch.nn.Embedding(9, 3), 0.5), tokens),
    "FeatureAlphaDropout": (nn.FeatureAlphaDropout, partial(features, 4, 5, 6)),
    "GaussianDropout": (nn.GaussianDropout, partial(features, 4, 5)),
    "LockedDropout": (nn.LockedDropout, partial(features, 4, 5, 6)),
    "SelfAttention": (lambda: nn.SelfAttention(6, 2, 0.5), partial(features, 4, 5, 6)),
    "StochasticDepth": (
        lambda: nn.StochasticDepth(torch.nn.Linear(6, 6)),
        partial(features, 16, 6),
    ),
    "TransformerBlock": (lambda: nn.TransformerBlock(6, 2, 0.5), partial(features, 4, 5, 6)),
    "TransformerEmbedding": (lambda: nn.TransformerEmbedding(9, 5, 6, 0.5), tokens),
    "Uout": (nn.Uout, partial(features, 4, 5)),
    "VariationalRNN": (
        lambda: nn.VariationalRNN(torch.nn.LSTM(6, 4, num_layers=2)),
        partial(features, 5, 4, 6),
    ),
    "WeightDrop": (
        lambda: nn.WeightDrop(torch.nn.GRU(6, 4, bidirectional=True)),
        partial(features, 5, 4, 6),
    ),
    "WordDropout": (
        lambda: torch.nn.Sequential(nn.WordDropout(0, 0.5), torch.nn.Embedding(9, 3)),
        tokens,
    ),
}
every_module = pytest.mark.parametrize(("make", "give"), LIVES.values(), ids=LIVES)


def run(module, x):
    """The first output, whatever else comes."""
    out = module(x)
    return out[0] if isinstance(out, tuple) else out


def gradients(module, x, call=run):
    """The output, and the gradients of the weights and of an input that can have one."""
    module.zero_grad()
    if x.is_floating_point():
        x = x.detach().requires_grad_()
    out = call(module, x)
    out.square().sum().backward()
    return [
        out.detach(),
        *(p.grad for p in module.parameters()),
        *([x.grad] if x.requires_grad else []),
    ]


def assert_equal(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a, b)


def test_every_module_is_here():
    assert sorted(LIVES) == sorted(nn.__all__)


@every_module
def test_two_forwards_differ_and_a_seed_makes_them_one(make, give):
    module, x = make(), give()
    assert not torch.equal(run(module, x), run(module, x))
    seeded(module, seed=1)
    assert torch.equal(run(module, x), run(module, x))


@every_module
@pytest.mark.parametrize("clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_drops_what_the_original_drops(make, give, clone):
    module, x = seeded(make(), 1), give()
    assert_equal(gradients(clone(module), x), gradients(module, x))


@every_module
def test_a_state_dict_has_the_weights_and_nothing_more(make, give):
    module, fresh, x = make(), make(), give()
    state = module.state_dict()
    assert list(state) == [name for name, _ in module.named_parameters()]
    fresh.load_state_dict(state)
    assert_equal(gradients(seeded(fresh, 1), x), gradients(seeded(module, 1), x))


@every_module
def test_it_can_be_called_as_a_function_of_its_weights(make, give):
    module, other, x = seeded(make(), 1), seeded(make(), 1), give()
    weights = {name: p.detach() for name, p in other.named_parameters()}

    def call(weights, x):
        out = functional_call(module, weights, (x,))
        return (out[0] if isinstance(out, tuple) else out).square().sum()

    found = torch.func.grad(call)(weights, x) if weights else {}
    _, *expected = gradients(other, x)
    assert_equal(found.values(), expected[: len(weights)])
    assert torch.equal(call(weights, x), run(other, x).square().sum())


def replica(module):
    """A copy as DataParallel makes it: weights that are tensors, and no longer parameters."""
    copied = module._replicate_for_data_parallel()
    copied._former_parameters = {}
    for name, child in module._modules.items():
        copied._modules[name] = replica(child)
    for name, weight in module._parameters.items():
        if weight is not None:
            setattr(copied, name, weight.clone())
            copied._former_parameters[name] = weight
    return copied


@every_module
def test_a_replica_drops_what_the_original_drops_and_trains_it(make, give):
    module, x = seeded(make(), 1), give()
    expected = gradients(module, x)
    found = gradients(module, x, lambda module, x: run(replica(module), x))
    assert_equal(found, expected)


@every_module
def test_autocast_leaves_the_mask_as_it_is(make, give):
    """What bfloat16 changes is small beside what another mask does."""
    module, x = seeded(make(), 1), give()
    full = run(module, x)
    with torch.autocast("cpu", torch.bfloat16):
        cast = run(module, x)
    other = run(seeded(module, 2), x)
    assert (cast - full).abs().max() < 0.05 * (other - full).abs().max()


@every_module
@pytest.mark.parametrize("use_reentrant", [True, False])
def test_activation_checkpointing_replays_the_mask(make, give, use_reentrant):
    """From a drawn seed: the gradients are to the bit those of a run without checkpointing."""
    module, x = make(), give()

    def checkpointed(module, x):
        # Its own argument lets a reentrant checkpoint of tokens, which have no gradient, have one.
        anchor = torch.ones((), requires_grad=True)
        return checkpoint(
            lambda x, anchor: run(module, x) * anchor, x, anchor, use_reentrant=use_reentrant
        )

    torch.manual_seed(3)
    expected = gradients(module, x, lambda module, x: run(module, x) * torch.ones(()))
    torch.manual_seed(3)
    assert_equal(gradients(module, x, checkpointed), expected)


@pytest.mark.unchecked
@every_module
def test_compiled_it_drops_the_same_without_a_graph_break(make, give):
    module, x = seeded(make(), 1).double(), give()
    x = x.double() if x.is_floating_point() else x
    # How many examples go through the branch is known only as it runs: PyTorch breaks the graph.
    whole = not isinstance(module, nn.StochasticDepth)
    torch.compiler.reset()
    with torch._dynamo.config.patch(allow_rnn=True):  # PyTorch refuses its own nn.LSTM otherwise
        compiled = torch.compile(module, backend="aot_eager", fullgraph=whole)
        found = gradients(module, x, lambda _, x: run(compiled, x))
    # On some processors PyTorch rounds its own nn.GRU otherwise when it is compiled.
    tolerance = 1e-12 if isinstance(module, nn.WeightDrop) else 0
    for a, b in zip(found, gradients(module, x), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance)


@pytest.mark.unchecked
@every_module
@pytest.mark.parametrize("training", [True, False])
def test_torch_fx_takes_it_as_it_takes_torch_nns(make, give, training):
    """Traced in one mode, it heeds the other too."""

    class First(torch.nn.Module):
        """A model that has the layer in it."""

        def __init__(self):
            super().__init__()
            self.layer = make()

        def forward(self, x):
            out = self.layer(x)
            return out[0] if isinstance(self.layer, (nn.VariationalRNN, nn.WeightDrop)) else out

    model, x = First().train(training), give()
    traced = torch.fx.symbolic_trace(model)
    for mode in (True, False):
        for either in (model, traced):
            seeded(either.train(mode), 1)
        assert torch.equal(traced(x), model(x))
