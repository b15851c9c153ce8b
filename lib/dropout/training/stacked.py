"""Layers of many networks as one: stacked along a leading axis, with their gradients by hand.

A narrower network is a wider one whose other weights are 0: so are their gradients, and SGD leaves
them 0. A layer keeps from its forward what its backward reads. The gradients are those of the loss
times the learning rate of each network, so that a step subtracts the velocity as it is.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from dropout.kernels.many import masked_scale
from dropout.mask import inverted_scale, threshold
from dropout.nn import Dropout


class Stack:
    """A tensor that each of many networks has, with zeros up to the size of the largest."""

    def __init__(self, parts: Sequence[Tensor]) -> None:
        self.parts = [part if part.ndim == 2 else part[None] for part in parts]  # a bias is a row
        rows, columns = (max(part.shape[axis] for part in self.parts) for axis in (0, 1))
        self.value = parts[0].new_zeros(len(parts), rows, columns)
        for k, part in enumerate(self.parts):
            self.value[k, : part.shape[0], : part.shape[1]] = part

    def give_back(self) -> None:
        """Copy the values into the networks."""
        for k, part in enumerate(self.parts):
            part.copy_(self.value[k, : part.shape[0], : part.shape[1]])


class Parameter(Stack):
    """A parameter of many networks, and the velocity of SGD with momentum."""

    def __init__(self, parts: Sequence[Tensor], momentum: float, decay: Tensor) -> None:
        super().__init__(parts)
        self.velocity = torch.zeros_like(self.value)
        self.momentum, self.decay = momentum, decay if decay.any() else None

    def step(self, grad: Tensor) -> None:
        self.velocity.mul_(self.momentum).add_(grad)
        self.move()

    def step_product(self, a: Tensor, b: Tensor) -> None:
        """A step whose gradient is the product of a and b, added to the velocity by the product."""
        self.velocity.baddbmm_(a, b, beta=self.momentum)
        self.move()

    def move(self) -> None:
        if self.decay is not None:
            self.velocity.addcmul_(self.value, self.decay)
        self.value.sub_(self.velocity)


class Layer:
    """A layer of many networks, whose inputs are `widths` wide."""

    stacks: tuple[Stack, ...] = ()

    def __init__(
        self, layers: Sequence[nn.Module], widths: Sequence[int], momentum: float, decay: Tensor
    ) -> None: ...

    def forward(
        self, x: Float[Tensor, "networks batch inputs"]
    ) -> Float[Tensor, "networks batch outputs"]:
        raise NotImplementedError

    def backward(
        self, grad: Float[Tensor, "networks batch outputs"]
    ) -> Float[Tensor, "networks batch inputs"]:
        """The gradient with respect to the input of the last forward."""
        raise NotImplementedError

    def update(self, grad: Float[Tensor, "networks batch outputs"]) -> None:
        """Take a step with the layer's own parameters."""

    def give_back(self) -> None:
        """Copy what was trained into the networks."""
        for stack in self.stacks:
            stack.give_back()


class Linears(Layer):
    def __init__(self, layers, widths, momentum, decay):
        self.weight = Parameter([layer.weight for layer in layers], momentum, decay)
        self.bias = Parameter([layer.bias for layer in layers], momentum, decay)
        self.stacks = self.weight, self.bias

    def forward(self, x):
        self.x = x
        return torch.baddbmm(self.bias.value, x, self.weight.value.mT)

    def backward(self, grad):
        return torch.bmm(grad, self.weight.value)

    def update(self, grad):
        self.weight.step_product(grad.mT, self.x)
        self.bias.step(grad.sum(1, keepdim=True))


class ReLUs(Layer):
    def forward(self, x):
        self.y = x.relu()
        return self.y

    def backward(self, grad):
        return torch.ops.aten.threshold_backward(grad, self.y, 0)


class Tanhs(Layer):
    def forward(self, x):
        self.y = x.tanh()
        return self.y

    def backward(self, grad):
        return torch.ops.aten.tanh_backward(grad, self.y)


class Dropouts(Layer):
    """Before each step, `seeds` is set to what the networks' generators draw for it."""

    seeds: np.ndarray

    def __init__(self, layers, widths, momentum, decay):
        rates, self.widths = [layer.p for layer in layers], np.array(widths)
        self.thresholds = np.array([threshold(p) for p in rates], np.int32)
        self.scales = decay.new_tensor([inverted_scale(p) for p in rates]).cpu().numpy()

    def forward(self, x):
        return self._drop(x)

    def backward(self, grad):
        return self._drop(grad)

    def _drop(self, x):
        if not self.thresholds.any():
            return x
        return masked_scale(x, self.seeds, self.widths, self.thresholds, self.scales)


class Norms(Layer):
    """What batch and layer normalisation share: z = (x - mean) / sqrt(var + eps), y = z γ + β."""

    eps: float
    z: Tensor
    deviation: Tensor

    def __init__(self, layers, widths, momentum, decay):
        self.eps = layers[0].eps
        self.gamma = Parameter([layer.weight for layer in layers], momentum, decay)
        self.beta = Parameter([layer.bias for layer in layers], momentum, decay)
        self.stacks = self.gamma, self.beta

    def mean(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def centre(self, x: Tensor) -> Tensor:
        return x - self.mean(x)

    def normalise(self, centred: Tensor, variance: Tensor) -> Tensor:
        self.deviation = (variance + self.eps).sqrt()
        self.z = centred / self.deviation
        return torch.addcmul(self.beta.value, self.z, self.gamma.value)

    def backward(self, grad):
        below = grad * self.gamma.value
        below = self.centre(below) - self.z * self.mean(below * self.z)
        return below / self.deviation

    def update(self, grad):
        self.gamma.step((grad * self.z).sum(1, keepdim=True))
        self.beta.step(grad.sum(1, keepdim=True))


class BatchNorms(Norms):
    def __init__(self, layers, widths, momentum, decay):
        super().__init__(layers, widths, momentum, decay)
        self.rate = layers[0].momentum
        self.running_mean = Stack([layer.running_mean for layer in layers])
        self.running_var = Stack([layer.running_var for layer in layers])
        self.counts, self.batches = [layer.num_batches_tracked for layer in layers], 0
        self.stacks = *self.stacks, self.running_mean, self.running_var

    def mean(self, x):
        return x.mean(1, keepdim=True)

    def forward(self, x):
        mean, n = self.mean(x), x.shape[1]
        variance = self.mean((x - mean).square())
        self.running_mean.value.lerp_(mean, self.rate)
        self.running_var.value.lerp_(variance * (n / (n - 1)), self.rate)
        self.batches += 1
        return self.normalise(x - mean, variance)

    def give_back(self):
        super().give_back()
        for count in self.counts:
            count.add_(self.batches)
        self.batches = 0


class LayerNorms(Norms):
    """Only the units that a network has are centred: the others stay 0."""

    def __init__(self, layers, widths, momentum, decay):
        super().__init__(layers, widths, momentum, decay)
        self.widths = decay.new_tensor(widths)[:, None, None]
        self.has = torch.arange(max(widths), device=decay.device) < self.widths

    def mean(self, x):
        return x.sum(2, keepdim=True) / self.widths

    def centre(self, x):
        return (x - self.mean(x)) * self.has

    def forward(self, x):
        centred = self.centre(x)
        return self.normalise(centred, self.mean(centred.square()))


STACKED: dict[type, type[Layer]] = {
    nn.Linear: Linears,
    nn.ReLU: ReLUs,
    nn.Tanh: Tanhs,
    Dropout: Dropouts,
    nn.BatchNorm1d: BatchNorms,
    nn.LayerNorm: LayerNorms,
}
