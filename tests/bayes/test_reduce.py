"""`bayes.predict`: samples that are folded need not be kept."""

import pytest
import torch
from torch import nn

from dropout.bayes import moments, predict
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
