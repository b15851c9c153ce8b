"""Max-norm: no unit's incoming weights are longer than c."""

import numpy as np
import pytest
import torch
from torch.nn.utils.parametrizations import weight_norm

from dropout import functional, reference

LAYERS = {
    "linear": (torch.nn.Linear(6, 4), "oi->o"),
    "conv1d": (torch.nn.Conv1d(4, 6, 3, groups=2), "oik->o"),
    "conv2d": (torch.nn.Conv2d(3, 4, (2, 3)), "oikl->o"),
    "conv3d": (torch.nn.Conv3d(2, 3, 2), "oiklm->o"),
    "transposed": (torch.nn.ConvTranspose2d(4, 3, 2), "iokl->o"),
}


def norms(layer, axes):
    weight = layer.weight.detach().double().numpy()
    return np.sqrt(
        np.einsum(f"{axes.partition('->')[0]},{axes.partition('->')[0]}->o", weight, weight)
    )


@pytest.mark.parametrize(("layer", "axes"), LAYERS.values(), ids=LAYERS)
def test_units_above_the_bound_are_scaled_to_it_and_the_others_keep_their_bits(layer, axes):
    before, bias, lengths = layer.weight.detach().clone(), layer.bias.clone(), norms(layer, axes)
    c = float(np.median(lengths)) * (1 + 1e-6)
    functional.max_norm_(layer, c)
    np.testing.assert_allclose(norms(layer, axes), np.minimum(lengths, c), rtol=1e-6)
    unit = axes.index("o")
    free = torch.from_numpy(lengths <= c)
    assert 0 < int(free.sum()) < len(free)
    assert torch.equal(layer.weight.movedim(unit, 0)[free], before.movedim(unit, 0)[free])
    assert torch.equal(layer.bias, bias)


def test_a_unit_of_a_grouped_transposed_convolution_is_a_channel_of_a_group():
    layer = torch.nn.ConvTranspose1d(4, 6, 1, groups=2, bias=False)
    functional.max_norm_(layer, 0.1)
    # Impulses, one for each input: what reaches an output is the column of its incoming weights.
    columns = layer(torch.eye(4)[:, :, None])[:, :, 0]
    np.testing.assert_allclose(columns.detach().norm(dim=0).numpy(), 0.1, rtol=1e-6)


def test_it_is_the_references():
    layer = torch.nn.Linear(5, 7, dtype=torch.double)
    expected = reference.max_norm(layer.weight.detach().numpy().copy(), 0.5)
    functional.max_norm_(layer, 0.5)
    np.testing.assert_allclose(layer.weight.detach().numpy(), expected, rtol=1e-15)


def test_it_reaches_every_layer_and_training_goes_on():
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 2), torch.nn.Flatten(), torch.nn.Sequential(torch.nn.Linear(8, 3))
    )
    optimiser = torch.optim.SGD(model.parameters(), lr=10.0)
    for _ in range(3):
        optimiser.zero_grad()
        model(torch.ones(4, 1, 3, 3)).square().sum().backward()
        optimiser.step()
        functional.max_norm_(model, 1.0)
        assert all(norms(model[0], "oikl->o") <= 1 + 1e-6)
        assert all(norms(model[2][0], "oi->o") <= 1 + 1e-6)


def test_a_unit_of_zeros_stays_so():
    layer = torch.nn.Linear(3, 2)
    layer.weight.data.zero_()
    functional.max_norm_(layer, 1.0)
    assert not layer.weight.any()


@pytest.mark.unchecked
@pytest.mark.parametrize("c", [0, -1.0, float("inf"), float("nan"), "3", None, True])
def test_a_bad_bound_is_named_and_nothing_changes(c):
    layer = torch.nn.Linear(3, 2)
    before = layer.weight.clone()
    with pytest.raises(ValueError, match=rf"c must be a number in \(0, inf\), got {c!r}"):
        functional.max_norm_(layer, c)
    assert torch.equal(layer.weight, before)


@pytest.mark.unchecked
def test_a_weight_that_is_computed_is_named_and_nothing_changes():
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), weight_norm(torch.nn.Linear(2, 2)))
    before = model[0].weight.clone()
    with pytest.raises(ValueError, match="the weight of '1' is no parameter"):
        functional.max_norm_(model, 1e-3)
    assert torch.equal(model[0].weight, before)


def test_a_norm_that_float16_does_not_hold_is_scaled_to_the_bound():
    """Its weights would be 0, scaled by c / inf."""
    layer = torch.nn.Linear(100, 2, bias=False, dtype=torch.half)
    with torch.no_grad():
        layer.weight[0], layer.weight[1] = 1e4, 1e-2
    functional.max_norm_(layer, 3.0)
    assert layer.weight[0].float().norm().item() == pytest.approx(3.0, rel=1e-3)
    assert (layer.weight[1] == torch.tensor(1e-2, dtype=torch.half)).all()
