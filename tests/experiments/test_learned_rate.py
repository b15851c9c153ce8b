"""The networks of the study of learned rates are those of the layer, side by side."""

import pytest
import torch

from dropout.experiments.learned_rate import Networks, learned, split, together
from dropout.nn import ConcreteDropout


def alone(nets, k):
    """The k-th network, of the library's layers."""
    layers = []
    for place, (weight, bias) in enumerate(zip(nets.weights, nets.biases, strict=True)):
        _, inputs, outputs = weight.shape
        linear = torch.nn.Linear(inputs, outputs)
        layer = ConcreteDropout(linear, 0.5, nets.temperature)
        with torch.no_grad():
            linear.weight.copy_(weight[k].T)
            linear.bias.copy_(bias[k, 0])
            layer.logit.copy_(nets.logits[place, k, 0, 0])
        layers.append(layer)
    return torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1])


def test_outputs_in_evaluation_and_prices_are_the_layers():
    torch.manual_seed(0)
    nets = Networks([(0.1, 0.3), (0.5, 0.2), (0.02, 0.9)], learned=True)
    x = torch.randn(3, 7, 10)
    for length in (0.5, 3.0):
        prices = nets.kl(length)
        for k in range(3):
            model = alone(nets, k).eval()
            torch.testing.assert_close(model(x[k]).squeeze(-1), nets(x, training=False)[k])
            price = model[0].kl(length) + model[2].kl(length)
            torch.testing.assert_close(price, prices[k])


def test_fixed_rates_have_coins_and_no_entropy():
    torch.manual_seed(0)
    nets = Networks([(0.0, 0.0), (0.5, 0.5)], learned=False)
    x = torch.randn(2, 7, 10)
    assert torch.equal(nets(x)[0], nets(x, training=False)[0])
    assert not torch.equal(nets(x)[1], nets(x, training=False)[1])
    assert (nets.kl(1.0) > 0).all()
    assert torch.equal(nets.kl(0.0), torch.zeros(2))


def test_parts_do_not_share_patients_and_are_standardised():
    parts = split(3)
    rows = torch.cat([x[0] for x, _ in parts])
    assert rows.unique(dim=0).shape[0] == 442
    x, y = parts[0]
    torch.testing.assert_close(x.mean(1), torch.zeros(1, 10), atol=1e-6, rtol=0)
    torch.testing.assert_close(y.std(1, correction=0), torch.ones(1))
    small = split(3, 50)
    assert [len(y[0]) for _, y in small] == [50, 71, 71]
    assert together([parts[1]] * 3)[0].shape == (3, 71, 10)


@pytest.mark.parametrize("precision", [None, 2.0])
def test_a_known_noise_level_stays(precision):
    torch.manual_seed(0)
    train = together([split(1, 40)[0]] * 2)
    nets = Networks([(0.1, 0.1)] * 2, True, precision=precision).fit(train, steps=5)
    held = torch.equal(nets.log_precision, torch.full((2, 1), 2.0).log())
    assert held == (precision is not None)


def test_judged_has_a_number_a_split():
    run = learned([split(k, 30) for k in (1, 2)], steps=3)
    assert {len(values) for values in run.values()} == {2}
    assert all(0 < p < 1 for pair in run["rates"] for p in pair)
