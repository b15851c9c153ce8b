"""Dropout right before batch norm, with weights between, or after the last one: a small convnet.

CIFAR-10, 6,000 images for training. `python -m dropout.experiments.cifar_shift` needs the data
(see `dropout.training.data.cifar10`) and about half an hour of one core; the result is stored as
"cifar_shift".
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from dropout.experiments.batch_norm import scores
from dropout.experiments.results import write
from dropout.nn import Dropout
from dropout.theory.variance_shift import measure, reestimate
from dropout.training.data import Images, cifar10
from dropout.training.loops import evaluate, train_epoch
from dropout.training.seeds import seed, seeds

TRAIN, VALIDATION = 6000, 2000
RATES = (0.1, 0.3, 0.5)
# Without dropout "between" is "last"; "direct" has another order of layers even then.
ARMS = [("last", 0.0), ("direct", 0.0)]
ARMS += [(place, p) for p in RATES for place in ("last", "between", "direct")]
LRS, WIDER, BUDGET, STEP, BATCH = (0.005, 0.02), 4, 12, 2, 100
TUNING_SEED, SEEDS = seed(100), seeds(3)


def network(p: float, place: str) -> nn.Sequential:
    """Three convolutions of stride 2 and a linear layer, in single precision.

    "direct": convolution, ReLU, dropout, batch norm. "between": convolution, batch norm, ReLU,
    dropout. "last": the same, with dropout only before the linear layer.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 16), (16, 32), (32, 64)):
        convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
        norm = nn.BatchNorm2d(outputs)
        if place == "direct":
            layers += [convolution, nn.ReLU(), Dropout(p), norm]
        else:
            here = place == "between" or outputs == 64
            layers += [convolution, norm, nn.ReLU(), Dropout(p if here else 0.0)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 4 * 4, 10))


def train(
    p: float, place: str, data: Images, *, lr: float, epochs: int, seed: int
) -> Iterator[nn.Sequential]:
    """A network, trained by SGD with momentum 0.9: itself, after each epoch."""
    torch.manual_seed(seed)
    model = network(p, place)
    optimiser = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    for _ in range(epochs):
        train_epoch(model, optimiser, data, BATCH)
        yield model


def choose(p: float, place: str, data: Images, validation: Images) -> dict[str, Any]:
    """The learning rate and the number of epochs with the least validation loss.

    While the best learning rate is at an end of those tried, one beyond it is tried too.
    """
    found, to_try = [], list(LRS)
    while to_try:
        lr = to_try.pop()
        run = train(p, place, data, lr=lr, epochs=BUDGET, seed=TUNING_SEED)
        for epoch, model in enumerate(run, start=1):
            if epoch % STEP == 0:
                found.append((evaluate(model, validation)[0], lr, epoch))
        if not to_try:
            best, tried = min(found)[1], [lr for _, lr, _ in found]
            ends = {min(tried): best / WIDER, max(tried): best * WIDER}
            to_try = [ends[best]] if best in ends else []
    loss, lr, epochs = min(found)
    return {"lr": lr, "epochs": epochs, "validation_loss": loss}


def judge(model: nn.Sequential, data: Images, validation: Images, test: Images) -> dict[str, Any]:
    """Test loss and accuracy, as trained and with statistics taken anew, and the shifts."""
    batches: list[Tensor] = list(data.x.split(BATCH))
    noisy = deepcopy(model)
    update_bn(batches, noisy)  # dropout on, as in training
    return {
        "shift": [shift.ratio for shift in measure(noisy, data.x[:1000]).values()],
        "as trained": evaluate(model, test),
        "noisy": scores(noisy, validation, test),
        "clean": scores(reestimate(model, batches), validation, test),
    }


def splits() -> tuple[Images, Images, Images]:
    """Training, validation and test data: images of 3 x 32 x 32, in single precision, centred."""
    everything, test = cifar10(train=TRAIN + VALIDATION)
    shaped = [
        Images((part.x.float().reshape(-1, 3, 32, 32) - 0.5) * 4, part.y)
        for part in (everything, test)
    ]
    x, y = shaped[0].x, shaped[0].y
    return Images(x[:TRAIN], y[:TRAIN]), Images(x[TRAIN:], y[TRAIN:]), shaped[1]


def main() -> None:
    torch.set_num_threads(1)
    data, validation, test = splits()
    found: dict[str, Any] = {}
    for place, p in ARMS:
        chosen = choose(p, place, data, validation)
        settings = {"lr": chosen["lr"], "epochs": chosen["epochs"]}
        runs = []
        for number in SEEDS:
            *_, model = train(p, place, data, seed=number, **settings)
            runs.append(judge(model, data, validation, test))
        found[f"{place} {p}"] = {"chosen": chosen, "runs": runs}
        loss, accuracy = np.array([run["as trained"] for run in runs]).mean(axis=0)
        print(f"{place} {p}: {chosen}, test {loss:.3f} nats, {accuracy:.1%}", flush=True)
    write(
        "cifar_shift",
        "python -m dropout.experiments.cifar_shift",
        SEEDS,
        grid={"lrs": LRS, "epochs": BUDGET, "every": STEP, "tuning_seeds": [TUNING_SEED]},
        train=TRAIN,
        validation=VALIDATION,
        arms=found,
    )


if __name__ == "__main__":
    main()
