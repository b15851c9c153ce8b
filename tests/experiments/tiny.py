"""A study of a second or two, on which runner and store are tried."""

import os
import signal
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from dropout.experiments.comparison import comparison, product
from dropout.experiments.study import Finished
from dropout.nn import Dropout

KILLER = "DROPOUT_TEST_KILLER"  # names a file: who finds none writes it and is killed
LOG = "DROPOUT_TEST_LOG"  # names a file: a line for each run, the process's number


def train(*, arm, p, lr, seed, judge, device, stop=None, slow=0.0):
    """A network of a few units on random labels: numbers that any change of a bit would change."""
    torch.manual_seed(seed)
    x, y = torch.randn(64, 8, device=device), torch.randint(0, 3, (64,), device=device)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), Dropout(p), nn.Linear(16, 3)).to(device)
    optimiser, losses = torch.optim.SGD(model.parameters(), lr=lr), []
    if arm == "killer" and not (mark := Path(os.environ[KILLER])).exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if arm == "faulty":
        raise ValueError("this arm is at fault")
    if log := os.environ.get(LOG):
        with Path(log).open("a", encoding="utf-8") as out:
            out.write(f"{os.getpid()}\n")
    for _ in range(stop or 6):
        model.train()
        optimiser.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        optimiser.step()
        model.eval()
        losses.append(cross_entropy(model(x), y).item())
        time.sleep(slow / 6)
    if judge == "validation":
        return {"at": list(range(1, 7)), "validation": {"loss": losses, "error": losses}}
    part = {"loss": losses[-1], "error": losses[-1]}
    return {"train": part, "test": part}


def study(*arms: str, slow: float = 0.0, version: int = 1, lrs=(0.1, 0.3), tuning_seeds=(0,)):
    return comparison(
        "tiny", about="a study that is over in a second", beside="nothing", scale="tiny",
        train=train, arms={arm: {"p": 0.5, "slow": slow} for arm in arms},
        grids={arm: product(lr=lrs) for arm in arms},
        tuning_seeds=tuning_seeds, seeds=(1, 2, 3),
        check={"arm": arms[0], "p": 0.5, "lr": 0.1, "seed": 9, "judge": "test", "stop": 2},
        version=version,
    )  # fmt: skip


def done(settings) -> Finished:
    """A run, done here."""
    given = {key: value for key, value in settings.items() if key != "stage"}
    return Finished(settings, train(**given, device="cpu"), 1.0, {"machine": "here"})


STUDY = study("one", "two")
SLOW = study("one", "two", slow=0.2)
WIDER = study("one", "two", lrs=(0.1, 0.3, 0.9))
LONG = study("one", "two", slow=60.0)
KILLING = study("one", "killer")
FAULTY = study("one", "faulty")
