"""`bayes.predict`: everything but dropout is as in evaluation, and as it was afterwards."""

import pytest
import torch
from torch import nn

from dropout import MaskKey
from dropout import nn as ours
from dropout.bayes import predict
from dropout.mask import keep_mask
from tests.bayes.models import KEY, Calls, inputs, mlp


def test_batch_normalisation_stays_as_in_evaluation():
    norm = nn.BatchNorm1d(20)
    model = nn.Sequential(nn.Linear(6, 20), norm, nn.Dropout(0.5)).double().train()
    model(inputs(32, 6))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    drawn = predict(model, inputs(8, 6), 10, key=KEY)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    kept = torch.from_numpy(keep_mask(KEY, (10, 20), 0.5))[:, None]
    expected = 2 * model[:2].eval()(inputs(8, 6)) * kept
    assert torch.allclose(drawn, expected, rtol=0, atol=1e-12)


def test_training_flags_come_back_even_from_an_error():
    def fail(self, x):
        raise RuntimeError("stop")

    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout(), nn.Tanh()), Calls(fail))
    model[0].eval()
    flags = [layer.training for layer in model.modules()]
    with pytest.raises(RuntimeError, match="stop"):
        predict(model, torch.ones(2, 2), 3)
    assert [layer.training for layer in model.modules()] == flags


def test_keys_and_generators_of_layers_are_left_alone():
    generator = torch.Generator().manual_seed(3)
    state = generator.get_state()
    model = nn.Sequential(ours.Dropout(key=MaskKey(1)), ours.Dropout(generator=generator))
    before = torch.random.get_rng_state()
    first = predict(model, inputs(2, 6), 9, key=KEY)
    assert len(first[:, 0].unique(dim=0)) > 1
    assert model[0].key == MaskKey(1)
    assert torch.equal(generator.get_state(), state)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_no_gradient_is_kept():
    assert not predict(mlp(), inputs(2, 6).requires_grad_(), 2, key=KEY).requires_grad
