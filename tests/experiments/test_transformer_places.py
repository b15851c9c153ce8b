"""The transformers of the study are transformers, and drop where they say."""

import numpy as np
import pytest
import torch
from torch.nn.functional import layer_norm, scaled_dot_product_attention

from dropout.experiments.transformer_places import (
    HEADS,
    PLACES,
    WIDTH,
    Transformers,
    splits,
)
from dropout.training.seeds import seeds


def alone(nets, k, x):
    """What network k says, one step after the other, in evaluation."""
    free = {name: w[k] for name, w in nets.free.items()}
    h = x @ free["embed"] + free["positions"]
    for b in range(nets.blocks):
        u = layer_norm(h, (WIDTH,)) * free[f"gain1{b}"]
        parts = (u @ free[f"qkv{b}"]).unflatten(-1, (3, HEADS, -1)).unbind(-3)
        queries, keys, values = (part.transpose(-2, -3) for part in parts)
        heads = scaled_dot_product_attention(queries, keys, values).transpose(-2, -3)
        h = h + heads.flatten(-2) @ free[f"out{b}"]
        u = layer_norm(h, (WIDTH,)) * free[f"gain2{b}"]
        inside = (u @ free[f"up{b}"] + free[f"up_bias{b}"]).relu()
        h = h + inside @ free[f"down{b}"] + free[f"down_bias{b}"]
    return layer_norm(h, (WIDTH,)).mean(1) @ free["head"] + free["head_bias"]


def test_each_is_a_transformer_of_its_own():
    torch.manual_seed(0)
    nets = Transformers([{}, {"weights": 0.5}, {"inside": 0.3}])
    x = torch.randn(3, 5, 8, 8)
    scores = nets(x, training=False)
    for k in range(3):
        torch.testing.assert_close(scores[k], alone(nets, k, x[k]))
    torch.testing.assert_close(nets(x)[0], scores[0])  # its rates are 0


@pytest.mark.parametrize("place", PLACES)
def test_a_place_drops_in_its_network_alone_and_keeps_the_mean_of_what_it_drops(place):
    torch.manual_seed(1)
    nets = Transformers([{}, {place: 0.4}])
    x = torch.randn(2, 4, 8, 8)
    first, second = nets(x), nets(x)
    torch.testing.assert_close(first[0], second[0])
    assert not torch.allclose(first[1], second[1])


def test_dropped_blocks_pass_on_what_came():
    torch.manual_seed(2)
    nets = Transformers([{}] * 2, blocks=3, blocks_p=[1.0, 0.0])
    x = torch.randn(2, 4, 8, 8)
    torch.testing.assert_close(nets(x)[0], nets(x, training=False, keep=())[0])
    torch.testing.assert_close(nets(x)[1], nets(x, training=False)[1])


def test_training_lowers_the_loss():
    torch.manual_seed(3)
    train, validation, test = splits(seeds(2), 100)
    nets = Transformers([{}, {"weights": 0.1}])
    losses = nets.fit([train, validation], [0.004, 0.004], epochs=15)
    assert losses.shape == (3, 2)
    assert (losses[-1] < losses[0]).all()
    assert (np.array(nets.judged(test)[1]) > 0.3).all()
