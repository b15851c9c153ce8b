"""`bayes.predict`: a sample is a network, and the library's mask says which."""

import numpy as np
import pytest
import torch
from torch import nn

from dropout import MaskKey
from dropout import nn as ours
from dropout.bayes import predict
from dropout.mask import keep_mask
from tests.bayes.models import KEY, Calls, inputs, mlp


@pytest.mark.parametrize("dropout", [nn.Dropout, ours.Dropout])
def test_samples_equal_a_loop_over_the_same_masks(dropout):
    """One pass a sample, in NumPy, to 1e-12: products of other shapes are summed in other order."""
    model, x = mlp(dropout), inputs(9, 6)
    w1, b1, w2, b2, w3, b3 = (p.detach().numpy() for p in model.parameters())
    drawn = predict(model, x, 8, key=KEY)
    for t in range(8):
        kept = [
            keep_mask(MaskKey(5, 3 + i, 2), (8, n), p)[t]
            for i, (n, p) in enumerate([(20, 0.5), (16, 0.25)])
        ]
        h = np.maximum(x.numpy() @ w1.T + b1, 0) * kept[0] / 0.5
        h = np.tanh(h @ w2.T + b2) * kept[1] / 0.75
        assert np.allclose(drawn[t], h @ w3.T + b3, rtol=0, atol=1e-12)


def test_more_samples_begin_with_the_same_ones():
    model, x = mlp(), inputs(4, 6)
    few, many = (predict(model, x, n, key=KEY) for n in (5, 50))
    assert torch.allclose(few, many[:5], rtol=0, atol=1e-12)


@pytest.mark.unchecked
def test_numpys_integers_are_integers():
    model, x = mlp(), inputs(4, 6)
    found = predict(model, x, np.int64(5), key=KEY, memory=np.int32(1000))
    assert torch.equal(found, predict(model, x, 5, key=KEY, memory=1000))


def test_another_step_or_seed_draws_other_samples():
    model, x = mlp(), inputs(4, 6)
    outputs = [predict(model, x, 5, key=key) for key in (KEY, MaskKey(5, 3, 3), MaskKey(6, 3, 2))]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert (outputs[a] != outputs[b]).any(dim=-1).all()


def test_without_a_key_torch_manual_seed_settles_the_samples():
    model, x = mlp(), inputs(2, 6)
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        runs.append(predict(model, x, 3))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_equal_inputs_get_equal_outputs_in_every_sample():
    x = inputs(1, 6).expand(5, 6)
    drawn = predict(mlp(), x, 10, key=KEY)
    assert (drawn - drawn[:, :1]).abs().max() < 1e-12
    assert drawn.std(0).min() > 1e-3


def test_the_mean_tends_to_that_over_all_masks():
    """A logit of 6 inputs, over all 64 masks and over 100,000 samples: 5 standard errors."""
    x, w = inputs(2, 6)
    model = nn.Sequential(nn.Dropout(0.5), Calls(lambda self, x: (x @ w).sigmoid()))
    masks = (np.arange(64)[:, None] >> np.arange(6)) & 1
    exact = 1 / (1 + np.exp(-2 * masks @ (x * w).numpy()))
    drawn = predict(model, x[None], 100_000, key=KEY)[:, 0]
    assert abs(drawn.mean() - exact.mean()) < 5 * exact.std() / 100_000**0.5
