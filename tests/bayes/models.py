"""Models and inputs for the tests of `bayes.predict`."""

import torch
from torch import nn

from dropout import MaskKey

KEY = MaskKey(seed=5, stream=3, step=2)


def inputs(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(7))


def mlp(dropout=nn.Dropout):
    layers = [
        nn.Linear(6, 20),
        nn.ReLU(),
        dropout(0.5),
        nn.Linear(20, 16),
        nn.Tanh(),
        dropout(0.25),
    ]
    return nn.Sequential(*layers, nn.Linear(16, 3)).double()


class Calls(nn.Module):
    """A function as a module, which notes whether it ran in training."""

    def __init__(self, function):
        super().__init__()
        self.function, self.modes = function, []
        self.note = self.modes.append  # the list itself, where a forward's own attributes are lost

    def forward(self, x):
        self.note(self.training)
        return self.function(self, x)
