"""A hundred samples of MC dropout, beside the loop that everybody writes, and beside Baal.

The models have PyTorch's own dropout. Each turn has inputs of its own, so that no cache outlives
it. Baal (https://github.com/baal-org/baal) is timed where it can be imported.
"""

from collections.abc import Callable
from copy import deepcopy
from importlib.metadata import version
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from dropout import MaskKey
from dropout.bayes import predict
from dropout.bench import SEED
from dropout.bench.timing import in_turns, summaries, times_faster
from dropout.bench.timing import table as table_of
from dropout.experiments import write

SAMPLES, TURNS, P = 100, 7, 0.5

Predictor = Callable[[Tensor], object]


def mlp(*widths: int) -> nn.Sequential:
    """A ReLU network with dropout after each hidden layer."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths[:-1]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(P)]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


def cnn() -> nn.Sequential:
    """Two convolutions on 28 x 28 pixels, and dropout in the head only."""
    body = nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)
    return nn.Sequential(*body, nn.Flatten(), *mlp(9216, 128, 10))


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "CNN, dropout in the head, 64 inputs": (cnn, (64, 1, 28, 28)),
    "784-512-512-10, 64 inputs": (lambda: mlp(784, 512, 512, 10), (64, 784)),
    "784-1024-1024-10, 256 inputs": (lambda: mlp(784, 1024, 1024, 10), (256, 784)),
}


def loop(model: nn.Module) -> Predictor:
    """The procedure of the sources: training mode, and as many forward passes."""
    model.train()

    @torch.no_grad()
    def run(x):
        return torch.stack([model(x) for _ in range(SAMPLES)])

    return run


def baal(model: nn.Module, cached: bool) -> Predictor:
    """Baal's way: the whole input tiled, or a loop with the layers before dropout cached."""
    from baal.bayesian.caching_utils import MCCachingModule  # type: ignore[import-not-found]
    from baal.bayesian.dropout import MCDropoutModule  # type: ignore[import-not-found]
    from baal.modelwrapper import ModelWrapper, TrainingArgs  # type: ignore[import-not-found]

    model = MCDropoutModule(model)
    model = MCCachingModule(model).eval() if cached else model.eval()
    arguments = TrainingArgs(replicate_in_memory=not cached, use_cuda=False)
    wrapper = ModelWrapper(model, arguments)
    return lambda x: wrapper.predict_on_batch(x, iterations=SAMPLES)


def contenders(model: nn.Module) -> dict[str, Predictor]:
    """What is compared on a model, each with a copy of its own."""
    ours = deepcopy(model)
    found = {
        "loop": loop(deepcopy(model)),
        "ours": lambda x: predict(ours, x, SAMPLES, key=MaskKey(SEED)),
    }
    if find_spec("baal"):
        found["Baal, tiled"] = baal(deepcopy(model), cached=False)
        found["Baal, cached"] = baal(deepcopy(model), cached=True)
    return found


def on_each(predictor: Predictor, inputs: list[Tensor]) -> Callable[[], object]:
    """A predictor that takes the next of the inputs at each call."""
    turns = iter(inputs)
    return lambda: predictor(next(turns))


def run() -> list[dict[str, Any]]:
    """One row for each model."""
    rows = []
    for name, (build, shape) in MODELS.items():
        inputs = [torch.randn(shape) for _ in range(1 + TURNS)]
        functions = {who: on_each(f, inputs) for who, f in contenders(build()).items()}
        row: dict[str, Any] = {"model": name, "samples": SAMPLES, "turns": TURNS, "p": P}
        rows.append(row | {"seconds": summaries(in_turns(name, functions, TURNS))})
        print(table(rows[-1]), flush=True)
    return rows


def table(row: dict[str, Any]) -> str:
    """A model's times, and how many times faster than the loop each way is."""
    title = f"{row['model']}, {row['samples']} samples"
    return table_of(title, row["seconds"], {"speed-up": times_faster(row["seconds"], "loop")})


def store(rows: list[dict[str, Any]], command: str) -> None:
    """Keep the rows as book/results/mc_dropout.json."""
    settings = {key: rows[0][key] for key in ("samples", "turns", "p")}
    others = {"baal": version("baal")} if find_spec("baal") else {}
    seconds = {row["model"]: row["seconds"] for row in rows}
    write("mc_dropout", command, [SEED], **settings, others=others, seconds=seconds)
