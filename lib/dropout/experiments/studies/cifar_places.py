"""Where dropout stands in a small convolutional network on CIFAR-10, with and without batch norm.

With batch norm: the arrangements of chapter 08 at three rates, with the statistics as training left
them and taken anew. Without: does dropout in the convolutions help, and is it, as the paper says of
SVHN (table 3), because the dense layers above get noisy inputs? Two arms part the two: "above"
gives the noise of the convolutions to the dense layers alone, "below" to the convolutions alone.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from itertools import product as combinations

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import update_bn

from dropout.experiments import cifar_shift
from dropout.experiments.comparison import comparison, curve, finals, interval, product
from dropout.experiments.mnist_networks import measured
from dropout.experiments.study import Finished, Result, Settings
from dropout.nn import Dropout
from dropout.theory.variance_shift import measure, reestimate
from dropout.training.data import Images, cifar10
from dropout.training.seeds import seed, seeds

TRAIN, VALIDATION, TEST = 10_000, 5000, 5000
BATCH, EPOCHS, EVERY, MOMENTUM = 100, 20, 2, 0.9
RATES, LRS = (0.1, 0.3, 0.5), (0.1, 0.3, 0.9)
NORMED, PARTED = ("last", "between", "direct"), ("above", "below")
CHANNELS, SIDE, DENSE, CLASSES = (3, 16, 32, 64), 4, 256, 10
DENSE_RATE, CONV_RATES = 0.5, (0.1, 0.25)  # those of the paper, in part


def arms() -> dict[str, Settings]:
    """The arrangement and rate of each arm, by name; the first eleven have batch norm."""
    placed = [(place, 0.0) for place in ("last", "direct")]
    placed += combinations(NORMED, RATES)
    placed += [("plain", 0.0), ("dense", 0.0)]
    placed += combinations(("conv", "both"), CONV_RATES)
    placed += [(place, CONV_RATES[-1]) for place in PARTED]
    return {f"{place} {p}" if p else place: {"place": place, "p": p} for place, p in placed}


@lru_cache(maxsize=1)
def parts(device: str = "cpu") -> dict[str, Images]:
    """Images of 3 x 32 x 32, in single precision, centred.

    The first 10,000 training images train, the next 5,000 are for validation, 5,000 more for the
    test; "official" are the first 1,000 test images, too few for the differences of interest.
    """
    training, official = cifar10(train=TRAIN + VALIDATION + TEST)
    x, y = training.x.split([TRAIN, VALIDATION, TEST]), training.y.split([TRAIN, VALIDATION, TEST])
    found = dict(zip(("train", "validation", "test"), map(Images, x, y), strict=True))
    found["official"] = official
    return {
        name: Images(
            ((part.x.float() - 0.5) * 4).reshape(-1, 3, 32, 32).to(device), part.y.to(device)
        )
        for name, part in found.items()
    }


def network(p: float, place: str) -> nn.Sequential:
    """Three convolutions of stride 2, and one dense hidden layer where there is no batch norm.

    "last", "between" and "direct" are those of `cifar_shift`. "plain" has no dropout, "dense" drops
    half of the dense hidden units, "conv" a share p behind each convolution, the others do both.
    """
    if place in NORMED:
        return cifar_shift.network(p, place)
    convolutions: list[nn.Module] = []
    for inputs, outputs in pairwise(CHANNELS):
        convolutions += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ReLU(), Dropout(p)]
    dense = [
        nn.Linear(CHANNELS[-1] * SIDE**2, DENSE),
        nn.ReLU(),
        Dropout(0.0 if place in ("plain", "conv") else DENSE_RATE),
        nn.Linear(DENSE, CLASSES),
    ]
    return nn.Sequential(nn.Sequential(*convolutions, nn.Flatten()), nn.Sequential(*dense))


class Parted(nn.Module):
    """A network of convolutions and dense layers, of which in training one half sees the noise.

    Its training output are scores of both, one below the other. The first move only the dense
    layers, the second only the convolutions; the noise of the convolutions is in the first where
    `place` is "above", in the second where it is "below".
    """

    def __init__(self, network: nn.Sequential, place: str) -> None:
        super().__init__()
        self.convolutions, self.dense = network
        self.above = place == "above"

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "*n classes"]:
        if not self.training:
            return self.dense(self.convolutions(x))
        noisy = self.convolutions(x)
        self.convolutions.eval()
        clean = self.convolutions(x)
        self.convolutions.train()
        upper, lower = (noisy, clean) if self.above else (clean, noisy)
        fixed = {name: weight.detach() for name, weight in self.dense.named_parameters()}
        moving = self.dense(upper.detach())
        return torch.cat([moving, functional_call(self.dense, fixed, (lower,))])


def loss_of(scores: Float[Tensor, "n classes"], y: Int64[Tensor, "n"]) -> Tensor:
    """Cross-entropy; of the scores of `Parted` the sum of both halves'."""
    halves = len(scores) // len(y)
    return halves * cross_entropy(scores, y.repeat(halves))


def fit(
    model: nn.Module, train: Images, judged: Images | None, *, lr: float, epochs: int, stop: int
) -> list[tuple[int, float, float]]:
    """Train for `stop` of `epochs` epochs; loss and error on `judged` after every second.

    `lr` is what a step is in the long run, lr / (1 - momentum) of PyTorch's; it falls to 0 in a
    straight line over all epochs.
    """
    rate = lr * (1 - MOMENTUM)
    optimiser = torch.optim.SGD(model.parameters(), lr=rate, momentum=MOMENTUM)
    steps = epochs * -(-len(train.y) // BATCH)
    falling = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / steps)
    found = []
    for epoch in range(1, stop + 1):
        model.train()
        for batch in torch.randperm(len(train.y)).split(BATCH):
            optimiser.zero_grad()
            loss_of(model(train.x[batch]), train.y[batch]).backward()
            optimiser.step()
            falling.step()
        if judged and epoch % EVERY == 0:
            now = measured(model, judged)
            found.append((epoch, now["loss"], now["error"]))
    return found


def train(
    *, arm: str, place: str, p: float, lr: float, seed: int, judge: str, device: str,
    epochs: int = EPOCHS, stop: int = EPOCHS, examples: int = TRAIN,
) -> Result:  # fmt: skip
    """Train one network on the first `examples` images and measure it, as `comparison` asks."""
    data = parts(device)
    images = Images(data["train"].x[:examples], data["train"].y[:examples])
    torch.manual_seed(seed)
    model: nn.Module = network(p, place).to(device)
    if place in PARTED:
        model = Parted(model, place)  # type: ignore[arg-type]
    if judge == "validation":
        found = fit(model, images, data["validation"], lr=lr, epochs=epochs, stop=stop)
        return curve(found)
    fit(model, images, None, lr=lr, epochs=epochs, stop=stop)
    result: Result = {
        name: measured(model, part)
        for name, part in (
            ("train", images),
            ("test", data["test"]),
            ("official", data["official"]),
        )
    }
    if place in NORMED:
        result |= taken_anew(model, images, data["test"])
    return result


def taken_anew(model: nn.Module, train: Images, test: Images) -> Result:
    """Test loss and error with statistics taken anew, and the shift at each batch norm.

    "noisy" with dropout on, "clean" with dropout off, both means over the same batches, so that
    they differ by the shift and by nothing else. `shift` is of 1,000 training images.
    """
    batches = list(train.x.split(BATCH))
    noisy = deepcopy(model)
    update_bn(batches, noisy)
    shift = [each.ratio for each in measure(noisy, train.x[:1000]).values()]
    found = {"noisy": measured(noisy, test)}
    found["clean"] = measured(reestimate(model, batches), test)
    return found | {"shift": shift}


STUDY = comparison(
    "cifar_places",
    about="Where should dropout stand in a convolutional network, with batch norm and without?",
    beside="Srivastava et al. 2014, table 3 (SVHN: dropout in the convolutions too), and Li et al. "
    "2018 (dropout beside batch norm)",
    scale="CIFAR-10 for SVHN: 10,000 training images, 5,000 further ones to test beside the first "
    "1,000 of the official test; 16, 32 and 64 channels of stride 2 and 256 dense units; 20 epochs",
    train=train,
    arms=arms(),
    grids={arm: product(lr=LRS) for arm in arms()},
    tuning_seeds=[seed(100)],
    seeds=seeds(4),
    check={
        "arm": "between 0.3", "place": "between", "p": 0.3, "lr": 0.3, "seed": seed(200),
        "judge": "test", "epochs": 3, "stop": 1, "examples": 2000,
    },
)  # fmt: skip


def summary(finished: Sequence[Finished]) -> Result:
    """What `comparison` tells, and for each arm the official images and the statistics anew."""
    found = compared(finished)
    for arm, told in found["arms"].items():
        results = [each.result for each in finals(finished, arm)]
        for part in ("official", "noisy", "clean"):
            if results and part in results[0]:
                told[part] = {
                    name: interval([each[part][name] for each in results])
                    for name in ("loss", "error")
                }
        if results and "shift" in results[0]:
            told["shift"] = np.mean([each["shift"] for each in results], axis=0).tolist()
    return found


compared = STUDY.summary
STUDY = replace(STUDY, summary=summary)
