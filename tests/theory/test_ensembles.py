"""All sub-networks at once, against each of them run by itself."""

from itertools import pairwise, product
from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dropout import functional
from dropout.mask import LEVELS, MaskKey
from dropout.nn import DropConnect, Dropout, Dropout1d, DropPath, GaussianDropout, Uout
from dropout.theory.ensembles import (
    all_masks,
    all_sums,
    arithmetic_mean,
    geometric_mean,
    mask_probabilities,
    sub_networks,
)
from dropout.training.loops import mlp
from tests.statistics import FALSE_ALARM, plausible_mean

rates = st.sampled_from([0.1, 0.5, 0.75, 0.9])


def one_by_one(model, x):
    """Each sub-network's outputs, with its masks multiplied in by hand, and its probability.

    The last dropout's mask varies slowest, its first unit slowest of all.
    """
    drops = [(at, layer.p) for at, layer in enumerate(model) if isinstance(layer, nn.Dropout)]
    drops = [(at, p) for at, p in drops if p > 0]
    widths = [model[at + 1].in_features for at, _ in drops]
    outputs, probabilities = [], []
    for masks in product(*(product((0.0, 1.0), repeat=n) for n in reversed(widths))):
        kept = dict(zip((at for at, _ in drops), reversed(masks), strict=True))
        h = x
        for at, layer in enumerate(model):
            if at in kept:
                h = h * torch.tensor(kept[at], dtype=x.dtype) / (1 - layer.p)
            elif not isinstance(layer, nn.Dropout):
                h = layer(h)
        outputs.append(h)
        coins = [(1 - p if coin else p) for at, p in drops for coin in kept[at]]
        probabilities.append(prod(coins))
    return torch.stack(outputs), torch.tensor(probabilities, dtype=x.dtype)


@st.composite
def models(draw):
    """Up to four layers with dropout before some, with rates that 16 bits can hold, and a batch."""
    torch.manual_seed(draw(st.integers(0, 1000)))
    widths = draw(st.lists(st.integers(1, 3), min_size=2, max_size=5))
    layers = []
    for inputs, outputs in pairwise(widths):
        if draw(st.booleans()):
            layers.append(Dropout(draw(st.integers(0, 7)) / 8))
        layers.append(nn.Linear(inputs, outputs, bias=draw(st.booleans())))
        layers.append(draw(st.sampled_from([nn.ReLU, nn.Tanh]))())
    batch = draw(st.integers(0, 3))
    return nn.Sequential(*layers).double(), torch.randn(batch, widths[0]).double()


@given(st.integers(0, 6), st.integers(0, 3), st.integers(0, 1000))
@settings(max_examples=40)
def test_doubling_gives_the_sum_under_every_mask(units, outputs, seed):
    torch.manual_seed(seed)
    terms, start = torch.randn(units, outputs).double(), torch.randn(outputs).double()
    masks = torch.from_numpy(all_masks(units)).double()
    torch.testing.assert_close(all_sums(terms, start), masks @ terms + start)


@given(models())
@settings(max_examples=60)
def test_sub_networks_are_those_that_one_mask_at_a_time_makes(model_and_x):
    model, x = model_and_x
    outputs, probability = sub_networks(model, x)
    expected, chances = one_by_one(model, x)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(probability, chances)


def test_a_rate_of_one_leaves_the_empty_network():
    model, x = nn.Sequential(Dropout(1.0), nn.Linear(3, 2)).double(), torch.ones(1, 3).double()
    outputs, probability = sub_networks(model, x)
    assert (outputs == model[1].bias).all()
    assert probability.tolist() == [1.0] + [0.0] * 7


@given(st.integers(1, 12), rates)
@settings(max_examples=20)
def test_probabilities_are_those_of_the_masks_in_their_order(units, p):
    layer = nn.Linear(units, 1, bias=False, dtype=torch.float64)
    _, probability = sub_networks(nn.Sequential(Dropout(p), layer), torch.ones(1, units).double())
    realised = round(p * LEVELS) / LEVELS
    expected = mask_probabilities(all_masks(units), 1 - realised)
    torch.testing.assert_close(probability, torch.from_numpy(expected))


def test_a_million_sub_networks():
    torch.manual_seed(0)
    model = nn.Sequential(Dropout(0.3), nn.Linear(20, 5)).double()
    x = torch.rand(1, 20).double()
    scores, probability = sub_networks(model, x)
    assert scores.shape == (2**20, 1, 5)
    assert abs(probability.sum() - 1) < 1e-12
    scaled = model.eval()(x).detach()
    torch.testing.assert_close(torch.tensordot(probability, scores, 1), scaled)
    torch.testing.assert_close(geometric_mean(scores, probability), scaled.softmax(-1))
    assert (arithmetic_mean(scores, probability) - scaled.softmax(-1)).abs().max() > 1e-3


def test_every_example_of_a_batch_has_the_same_mask():
    torch.manual_seed(0)
    model, x = mlp(4, 3, 3, 2, p=0.5), torch.rand(5, 4).double()
    together, _ = sub_networks(model, x)
    for i in range(5):
        alone, _ = sub_networks(model, x[i : i + 1])
        torch.testing.assert_close(together[:, i : i + 1], alone)


def test_a_drawn_network_is_one_of_the_sub_networks():
    torch.manual_seed(0)
    model, x = nn.Sequential(Dropout(0.5), nn.Linear(8, 3)).double(), torch.rand(1, 8).double()
    outputs, _ = sub_networks(model, x)
    for step in range(20):
        model[0].key = MaskKey(1, step=step)
        distance = (outputs - model.train()(x)).abs().amax(dim=(1, 2))
        assert distance.min() < 1e-12


def test_the_mean_over_all_masks_is_that_of_many_drawn_masks():
    """A false alarm in each of two means has probability 1e-6."""
    torch.manual_seed(0)
    model, x = mlp(4, 5, 2, p=0.4), torch.rand(1, 4).double()
    scores, probability = sub_networks(model, x)
    hidden = model[1](x).relu().expand(50_000, 5)
    drawn = model[4](functional.dropout(hidden, 0.4, key=MaskKey(2))).softmax(-1)[:, 0]
    error = (drawn.std() / len(drawn) ** 0.5).item()
    expected = arithmetic_mean(scores, probability)[0, 0].item()
    assert FALSE_ALARM == 1e-6
    assert plausible_mean(drawn.mean().item(), expected, error)
    assert not plausible_mean(drawn.mean().item() + 10 * error, expected, error)


@given(st.integers(1, 5), st.integers(2, 4), rates, st.integers(0, 1000))
@settings(max_examples=40)
def test_both_means_are_distributions_and_the_geometric_is_that_of_the_products(
    units, classes, p, seed
):
    torch.manual_seed(seed)
    scores = torch.randn(2**units, 2, classes).double()
    probability = torch.from_numpy(mask_probabilities(all_masks(units), 1 - p))
    products = torch.prod(scores.softmax(-1) ** probability[:, None, None], dim=0)
    geometric = geometric_mean(scores, probability)
    torch.testing.assert_close(geometric, products / products.sum(-1, keepdim=True))
    for mean in (geometric, arithmetic_mean(scores, probability)):
        torch.testing.assert_close(mean.sum(-1), torch.ones(2).double())


@pytest.mark.parametrize(("drop", "exact"), [((False, True), True), ((True, True), False)])
def test_one_hidden_layer_is_exact_only_where_its_inputs_are_kept(drop, exact):
    torch.manual_seed(0)
    layers = [Dropout(0.5 * drop[0]), nn.Linear(4, 4), nn.ReLU()]
    model = nn.Sequential(*layers, Dropout(0.5 * drop[1]), nn.Linear(4, 3)).double()
    x = torch.randn(6, 4).double()
    gap = geometric_mean(*sub_networks(model, x)) - model.eval()(x).softmax(-1)
    assert (gap.abs().max() < 1e-12) == exact


# ---- refusals -------------------------------------------------------------------------------


@pytest.mark.unchecked
@pytest.mark.parametrize("n", [-1, 25])
def test_a_number_of_units_that_does_not_fit_is_named(n):
    with pytest.raises(ValueError, match=rf"n must be in \[0, 24\] .*got {n}"):
        all_masks(n)


def test_units_of_all_layers_count():
    with pytest.raises(ValueError, match="got 26"):
        sub_networks(mlp(4, 13, 13, 2, p=0.5), torch.ones(1, 4).double())


class Own(nn.Module):
    """A user's layer that draws coins by a key, as this library's do."""

    def __init__(self):
        super().__init__()
        self.key, self.generator = MaskKey(seed=1), None

    def forward(self, x):
        return functional.dropout(x, 0.5, self.training, key=self.key)


def become(layer, kind, **attributes):
    """A layer turned into one of another class, whose key and generator are then the class's."""
    layer.__class__ = kind
    vars(layer).update(attributes)
    return layer


@pytest.mark.parametrize(
    "layers",
    [
        (Dropout(0.5), nn.ReLU()),
        (nn.Linear(4, 4), Dropout(0.5)),
        (Dropout1d(0.5), nn.Linear(4, 4)),
        (GaussianDropout(0.5), nn.Linear(4, 4)),
        (DropPath(0.5), nn.Linear(4, 4)),
        (Uout(0.5), nn.Linear(4, 4)),
        (become(nn.Identity(), Uout, beta=0.5), nn.Linear(4, 4)),
        (Own(), nn.Linear(4, 4)),
        (nn.Sequential(Own()), nn.Linear(4, 4)),
        (DropConnect(nn.Linear(4, 4), 0.5),),
        (nn.Sequential(Dropout(0.5), nn.Linear(4, 4)),),
    ],
    ids=str,
)
def test_dropout_that_it_would_miss_is_refused(layers):
    with pytest.raises(ValueError, match=r"sub_networks knows|must follow"):
        sub_networks(nn.Sequential(*layers).double(), torch.ones(1, 4).double())


def test_layers_of_rate_zero_do_what_they_do_without_dropout():
    torch.manual_seed(0)
    linear, x = nn.Linear(4, 3), torch.randn(2, 4).double()
    layers = GaussianDropout(0.0), DropConnect(linear, 0.0), nn.Dropout(0.0), nn.ReLU()
    model = nn.Sequential(*layers, nn.Dropout(0.5), nn.Linear(3, 1)).double()
    outputs, _ = sub_networks(model, x)
    torch.testing.assert_close(outputs, sub_networks(nn.Sequential(linear, *model[3:]), x)[0])


@pytest.mark.parametrize("q", [-0.1, 1.5, float("nan")])
def test_units_are_not_kept_with_a_probability_that_is_none(q):
    with pytest.raises(ValueError, match=rf"q must be in \[0, 1\], got {q}"):
        mask_probabilities(all_masks(2), q)


@pytest.mark.unchecked
def test_a_small_integer_of_numpy_counts_all_masks():
    """2^8 is 0 in 8 bits."""
    assert all_masks(np.int8(8)).shape == (256, 8)


def test_an_array_of_rates_has_one_for_each_hidden_layer():
    model = mlp(6, 8, 7, 3, p=np.array([0.25, 0.5]))
    assert [layer.p for layer in model if isinstance(layer, Dropout)] == [0.0, 0.25, 0.5]
