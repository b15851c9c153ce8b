"""`bayes.predict`: samples that are folded need not be kept."""

import pytest
import torch
from torch import nn

from dropout.bayes import moments, predict, quantiles
from tests.bayes.models import KEY, Calls, inputs, mlp
from tests.bayes.test_parts import Peak


@pytest.mark.parametrize("memory", [1, 5_000, 1 << 20])
def test_moments_are_those_of_the_samples(memory):
    model, x = mlp(), inputs(5, 6)
    kept = predict(model, x, 33, key=KEY)
    found = predict(model, x, 33, key=KEY, memory=memory, reduce=moments)
    assert found.samples.tolist() == [33] * 5
    assert torch.allclose(found.mean, kept.mean(0), rtol=0, atol=1e-12)
    assert torch.allclose(found.variance, kept.var(0, correction=0), rtol=1e-9, atol=1e-12)


def test_each_tensor_of_an_output_is_folded():
    model = nn.Sequential(mlp(), Calls(lambda self, h: {"a": h, "b": (h[:, 0],)}))
    found = predict(model, inputs(5, 6), 9, key=KEY, reduce=moments)
    kept = predict(model, inputs(5, 6), 9, key=KEY)
    for a, b in ((found["a"], kept["a"]), (found["b"][0], kept["b"][0])):
        assert torch.allclose(a.mean, b.mean(0), rtol=0, atol=1e-12)


@pytest.mark.parametrize("memory", [1, 1 << 20])
def test_any_fold_will_do(memory):
    def votes(state, part):
        counts = nn.functional.one_hot(part.argmax(-1), part.shape[-1]).sum(0)
        return counts if state is None else state + counts

    model = mlp()
    kept = predict(model, inputs(5, 6), 9, key=KEY)
    found = predict(model, inputs(5, 6), 9, key=KEY, memory=memory, reduce=votes)
    assert torch.equal(found, votes(None, kept))


def test_moments_of_a_part_far_from_zero_keep_their_digits():
    rows = 1e6 + inputs(50, 2, 3)
    state = None
    for part in rows.split(7):
        state = moments(state, part)
    assert torch.allclose(state.variance, rows.var(0, correction=0), rtol=1e-9)
    half = torch.full((3, 2), 6e4, dtype=torch.half)
    assert (moments(moments(None, half), half).mean == half[0]).all()


def test_memory_does_not_grow_with_the_samples():
    wide = nn.Sequential(*mlp()[:-1], nn.Linear(16, 1000).double())
    memory, x = 1 << 20, inputs(2, 6)
    with Peak() as count:
        predict(wide, x, 3000, key=KEY, memory=memory, reduce=moments)
    assert count.peak < 1.5 * memory  # and all samples would be 48 MB


LEVELS = 0.0, 0.05, 0.31, 0.5, 0.9, 0.95, 1.0


@pytest.mark.parametrize("memory", [1, 5_000, 1 << 20])
@pytest.mark.parametrize("samples", [1, 2, 33])
def test_quantiles_are_those_of_the_samples(samples, memory):
    model, x = mlp(), inputs(5, 6)
    kept = predict(model, x, samples, key=KEY)
    fold = quantiles(*LEVELS, samples=samples)
    found = predict(model, x, samples, key=KEY, memory=memory, reduce=fold)
    expected = kept.quantile(torch.tensor(LEVELS).double(), dim=0)
    assert torch.allclose(torch.stack(found), expected, rtol=0, atol=1e-7)  # of float32 levels
    again = predict(model, x, samples, key=KEY, memory=memory, reduce=fold)
    assert torch.equal(torch.stack(again), torch.stack(found))


def test_quantiles_of_half_precision_are_taken_in_single():
    rows = inputs(9, 2, 3).half()
    (found,) = quantiles(0.3, samples=9)(None, rows)
    assert found.dtype == torch.float32
    assert torch.allclose(found, rows.float().quantile(0.3, dim=0), rtol=0, atol=1e-6)


def test_a_sample_that_is_no_number_leaves_none():
    rows = inputs(9, 2, 3)
    rows[4, 1, 2] = torch.nan
    for found in quantiles(0.1, 0.9, samples=9)(None, rows):
        assert found.isnan().nonzero().tolist() == [[1, 2]]


@pytest.mark.unchecked
def test_quantiles_of_another_number_of_samples_are_refused():
    with pytest.raises(ValueError, match="samples=8 got more of them"):
        predict(mlp(), inputs(5, 6), 9, reduce=quantiles(0.5, samples=8))
    with pytest.raises(ValueError, match="samples=8 got more of them"):
        predict(mlp(), inputs(5, 6), 9, memory=1, reduce=quantiles(0.5, samples=8))
    with pytest.raises(TypeError, match=r"reduce must end with .*samples=10 after 9"):
        predict(mlp(), inputs(5, 6), 9, reduce=quantiles(0.5, samples=10))
    with pytest.raises(ValueError, match=r"levels must be numbers in \[0, 1\], got \(1.5,\)"):
        quantiles(1.5, samples=9)
    with pytest.raises(ValueError, match=r"samples must be a positive integer, got 10\.5"):
        quantiles(0.5, samples=10.5)
    with pytest.raises(ValueError, match="samples must be a positive integer, got 0"):
        quantiles(0.5, samples=0)


class Segments(nn.Sequential):
    """A class for each pixel, from layers that drop channels."""

    def __init__(self):
        layers = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Dropout2d(), nn.Conv2d(8, 21, 1)
        super().__init__(*layers)


@pytest.mark.parametrize("fold", [moments, quantiles(0.05, 0.95, samples=100)])
def test_maps_of_many_classes_are_folded_in_bounded_memory(fold):
    """100 samples of two maps; the quantiles keep 12 of a map, and one more while they sort."""
    model, x, memory = Segments(), inputs(2, 3, 64, 64).float(), 1 << 21
    one = 21 * 64 * 64 * 4
    with Peak() as count:
        found = predict(model, x, 100, key=KEY, memory=memory, reduce=fold)
    assert found[1].shape == (2, 21, 64, 64)
    kept = 2 * 2 * one if fold is moments else (12 + 1 + 2 * 2) * one
    assert count.peak < 1.5 * memory + kept
    assert 200 * one > 2.5 * (1.5 * memory + kept)


def test_pieces_of_the_outputs_are_those_of_the_same_networks():
    """So that any function of all samples can be taken, a piece at a time."""
    model, x = Segments(), inputs(2, 3, 6, 5).float()

    def piece(rows):
        def fold(state, part):
            part = part[..., rows, :].transpose(0, 1)
            return part if state is None else torch.cat([state, part], 1)

        return predict(model, x, 30, key=KEY, memory=1 << 14, reduce=fold)

    pieces = torch.cat([piece(slice(0, 2)), piece(slice(2, 6))], -2)
    whole = predict(model, x, 30, key=KEY).transpose(0, 1)
    assert torch.allclose(pieces, whole, rtol=0, atol=1e-6)
