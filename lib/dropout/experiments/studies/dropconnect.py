"""DropConnect, dropout and neither: two hidden layers of 800 ReLU units on MNIST.

Wan et al. (2013) report for DropConnect an error of 1.20 %, and 1.12 % for the vote of five
networks (as the README of their code has it). Their objective has a mask for each example. Such
masks take 100 times the memory and arithmetic of the weights, so here are two substitutes: one mask
a batch, with exact coins; and a normal draw for what each unit receives, with the mean and variance
that an example's own mask gives it. The latter is the approximation that the source uses to
predict.

In both, what leads into the hidden layers is dropped at rate .5, the weights of the scores are not.
Dropout drops the hidden units at the same rate. Few images make noise useful within few steps. A
run trains one network.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from dropout.experiments import mnist_networks
from dropout.experiments.comparison import comparison, curve, finals, interval, product
from dropout.experiments.mnist_networks import CLASSES, PIXELS, TRAIN, measured, parts
from dropout.experiments.study import Finished, Result
from dropout.nn import DropConnect, Dropout
from dropout.training.data import Images
from dropout.training.seeds import seeds

PASSES = 20
LEAST = 1e-12  # variance, where all inputs are 0: the square root needs a slope


class NormalDropConnect(nn.Module):
    """A Linear with DropConnect at rate p, a mask an example, to the first two moments.

    With survivors scaled by 1/(1 - p), a unit's sum over many weights is about normal, with mean
    Wx + b and variance p/(1 - p) W²x², independent of the other units' as its coins are.
    """

    def __init__(self, layer: nn.Linear, p: float) -> None:
        super().__init__()
        self.layer, self.p = layer, p

    def forward(self, x: Float[Tensor, "examples inputs"]) -> Float[Tensor, "examples outputs"]:
        mean = self.layer(x)
        if not self.training:
            return mean
        variance = self.p / (1 - self.p) * linear(x.square(), self.layer.weight.square())
        drawn = torch.randn(mean.shape, dtype=mean.dtype).to(mean.device)  # the same on each device
        return mean + variance.clamp(min=LEAST).sqrt() * drawn


CONNECTED: dict[str, Callable[[nn.Linear, float], nn.Module]] = {
    "dropconnect": NormalDropConnect,
    "dropconnect, one mask a batch": DropConnect,
}


def network(widths: Sequence[int], arm: str, p: float) -> nn.Sequential:
    """A ReLU network with the noise of an arm at rate p in its hidden layers."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise([PIXELS, *widths]):
        layer = nn.Linear(inputs, outputs)
        layers += [CONNECTED[arm](layer, p) if arm in CONNECTED else layer, nn.ReLU()]
        if arm == "dropout":
            layers.append(Dropout(p))
    return nn.Sequential(*layers, nn.Linear(widths[-1], CLASSES))


def train(*, arm: str, judge: str, device: str, **settings: Any) -> Result:
    """Train one network and measure it, as `comparison` asks; the rest as in `fit`.

    A final run also has its "wrong" test images, each with the class it was taken for, and under
    "sampled" the test loss and error of the average over passes with noise.
    """
    data = parts(device)
    if judge == "validation":
        _, found = fit(arm, device=device, judged=data["validation"], **settings)
        return curve(found)
    model, _ = fit(arm, device=device, **settings)
    seen = slice(settings.get("examples", TRAIN))
    return {
        "train": measured(model, Images(data["train"].x[seen], data["train"].y[seen])),
        "test": measured(model, data["test"]),
        "wrong": wrong(model, data["test"]),
        "sampled": sampled(model, data["test"]),
    }


def fit(arm: str, **settings: Any) -> tuple[nn.Sequential, list[tuple[int, float, float]]]:
    """`mnist_networks.fit`, of this study's network of an arm."""
    return mnist_networks.fit(build=partial(network, arm=arm), **settings)


# --- Several predictions made one ---------------------------------------------------------------


@torch.no_grad()
def wrong(model: nn.Module, data: Images) -> list[list[int]]:
    """The images that a network takes for another class: [image, class] each."""
    said = model.eval()(data.x).argmax(1)
    images = (said != data.y).nonzero().flatten()
    return torch.stack([images, said[images]], 1).tolist()


@torch.no_grad()
def sampled(model: nn.Module, data: Images, passes: int = PASSES) -> dict[str, float]:
    """Loss (nats) and error (%) of the mean of the probabilities over passes with noise."""
    model.train()
    mean = torch.stack([model(data.x).softmax(1) for _ in range(passes)]).mean(0)
    error = 100 * (mean.argmax(1) != data.y).double().mean()
    return {"loss": cross_entropy(mean.log(), data.y).item(), "error": error.item()}


def vote(networks: Sequence[Sequence[Sequence[int]]], images: int) -> float:
    """Error (%) of the class most voted for, from what each network has `wrong`.

    Where classes tie, chance decides between them, and its expectation counts.

    >>> vote([[[0, 3]], [[0, 3]], [[1, 5]]], images=10)
    10.0
    """
    ballots = Counter((image, said) for network in networks for image, said in network)
    lost = 0.0
    for image in {image for image, _ in ballots}:
        against = [n for (i, _), n in ballots.items() if i == image]
        right = len(networks) - sum(against)
        if right <= (most := max(against)):
            lost += 1 - (right == most) / (1 + against.count(most))
    return 100 * lost / images


def summary(finished: Sequence[Finished]) -> Result:
    """What `comparison` tells, and for each arm the vote and the sampled prediction."""
    found = COMPARED.summary(finished)
    for arm, told in found["arms"].items():
        final = [each.result for each in finals(finished, arm)]
        if final:
            told["vote"] = vote([each["wrong"] for each in final], IMAGES)
            told["sampled"] = {
                name: interval([each["sampled"][name] for each in final])
                for name in ("loss", "error")
            }
    return found


IMAGES = 10_000  # for the test
ARMS = "none", "dropout", *CONNECTED
SIZE = {"widths": [800, 800], "p": 0.5, "examples": 10_000, "steps": 4500, "every": 1500}

COMPARED = comparison(
    "dropconnect",
    about="DropConnect, with one mask a batch or one an example, against dropout and no noise",
    beside="Wan et al. (2013), MNIST without augmentation, 800-800",
    scale="10,000 of the 60,000 images, 4,500 steps of 100 images (45 epochs), a mask an "
    "example by a normal approximation, ReLU only",
    train=train,
    arms=dict.fromkeys(ARMS, SIZE),
    grids=dict.fromkeys(ARMS, product(lr=(0.5, 1.0, 2.0, 4.0))),
    tuning_seeds=seeds(1, 900),
    seeds=seeds(5, 1000),
    check={"arm": "dropconnect", "judge": "test", "widths": [64, 64], "p": 0.5, "lr": 1.0,
           "steps": 300, "every": 300, "seed": 1},
    by="error",
)  # fmt: skip
STUDY = replace(COMPARED, summary=summary)
