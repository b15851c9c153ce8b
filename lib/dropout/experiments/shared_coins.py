"""Dropout of elements, channels and blocks between convolutions: each arm tuned, on photographs.

CIFAR-10, 3,000 images for training. `python -m dropout.experiments.shared_coins` needs the data
(see `dropout.training.data.cifar10`) and some five minutes of one core; the result is stored as
"shared_coins". Each arm is kept as it is done, in a file beside the result: a study that is stopped
goes on where it was, with the same result.
"""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from dropout.experiments.cifar_shift import splits
from dropout.experiments.results import FOLDERS, write
from dropout.nn import DropBlock2d, Dropout, Dropout2d
from dropout.training.data import Images
from dropout.training.loops import evaluate, train_epoch
from dropout.training.seeds import seed, seeds

TRAIN = 3000
RATES = (0.1, 0.3)
LRS, WIDER, BUDGET, STEP, BATCH = (0.01, 0.03), 3, 12, 2, 100
TUNING_SEED, SEEDS = seed(100), seeds(3)
CONTROL = seeds(3, first=3)  # without dropout once more: how far does an arm differ from itself?
KINDS: dict[str, Callable[[float], nn.Module]] = {
    "element": Dropout,
    "channel": Dropout2d,
    "block": lambda p: DropBlock2d(p, block_size=3),
}
ARMS = ["none", *(f"{kind} {p}" for p in RATES for kind in KINDS)]


def network(arm: str) -> nn.Sequential:
    """Three convolutions and a linear layer, in single precision, no normalisation.

    The arm, such as "channel 0.3", says what drops behind each ReLU, maps of 16 x 16 and twice of
    8 x 8.
    """
    kind, _, rate = arm.rpartition(" ")
    layers: list[nn.Module] = []
    for inputs, outputs, stride in ((3, 16, 2), (16, 32, 2), (32, 32, 1)):
        layers += [nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1), nn.ReLU()]
        if kind:
            layers.append(KINDS[kind](float(rate)))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 8 * 8, 10))


def run(arm: str, data: Images, judged: Images, *, lr: float, epochs: int, number: int) -> Any:
    """Loss and accuracy on the judged images after each STEP epochs, and the network."""
    torch.manual_seed(number)
    model, found = network(arm), []
    optimiser = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    for epoch in range(1, epochs + 1):
        train_epoch(model, optimiser, data, BATCH)
        if epoch % STEP == 0:
            found.append(evaluate(model, judged))
    return found, model


def choose(arm: str, data: Images, validation: Images) -> dict[str, Any]:
    """The learning rate and the number of epochs with the least validation loss.

    While the best learning rate is at an end of those tried, one beyond it is tried too.
    """
    found, to_try = {}, list(LRS)
    while to_try:
        lr = to_try.pop()
        curve, _ = run(arm, data, validation, lr=lr, epochs=BUDGET, number=TUNING_SEED)
        losses = np.nan_to_num([loss for loss, _ in curve], nan=np.inf)
        found[lr] = losses.min(), STEP * (1 + int(losses.argmin()))
        if not to_try:
            best = min(found, key=lambda each: found[each][0])
            ends = {min(found): best / WIDER, max(found): best * WIDER}
            to_try = [ends[best]] if best in ends and len(found) < 4 else []
    return {"lr": best, "epochs": found[best][1], "validation_loss": float(found[best][0])}


def study(arm: str, data: Images, validation: Images, test: Images) -> dict[str, Any]:
    """An arm's choice, and its fresh networks: loss and accuracy in training and test."""
    chosen = choose(arm, data, validation)
    settings = {"lr": chosen["lr"], "epochs": chosen["epochs"]}
    numbers = SEEDS + CONTROL * (arm == "none")
    models = [run(arm, data, validation, number=each, **settings)[1] for each in numbers]
    return {
        "chosen": chosen,
        "train": [evaluate(model, data) for model in models],
        "test": [evaluate(model, test) for model in models],
    }


def main() -> None:
    torch.set_num_threads(1)
    everything, validation, test = splits()
    data = Images(everything.x[:TRAIN], everything.y[:TRAIN])
    kept = FOLDERS[0] / "shared_coins.part.jsonl"
    found = dict(map(json.loads, kept.read_text("utf-8").splitlines())) if kept.exists() else {}
    for arm in ARMS:
        if arm in found:
            continue
        found[arm] = study(arm, data, validation, test)
        with kept.open("a", encoding="utf-8") as out:
            out.write(json.dumps([arm, found[arm]]) + "\n")
        loss, accuracy = np.mean(found[arm]["test"], axis=0)
        print(f"{arm}: {found[arm]['chosen']}, test {loss:.3f} nats, {accuracy:.1%}", flush=True)
    write(
        "shared_coins",
        "python -m dropout.experiments.shared_coins",
        SEEDS,
        grid={"lrs": LRS, "epochs": BUDGET, "every": STEP, "tuning_seeds": [TUNING_SEED]},
        train=TRAIN,
        validation=len(validation.y),
        arms=found,
    )
    kept.unlink()


if __name__ == "__main__":
    main()
