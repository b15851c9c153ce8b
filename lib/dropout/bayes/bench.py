"""A hundred samples of MC dropout, beside the loop that everybody writes, and beside Baal.

    python -m dropout.bayes.bench

The models have PyTorch's own dropout. Each turn has inputs of its own, so that no cache outlives
it. Baal (https://github.com/baal-org/baal) is timed where it can be imported. The result is stored
as book/results/mc_dropout.json. About three minutes.
"""

import statistics
from collections.abc import Callable
from copy import deepcopy
from importlib.metadata import version
from importlib.util import find_spec
from itertools import pairwise
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from dropout import MaskKey
from dropout.bayes import predict
from dropout.experiments import write

SAMPLES, TURNS, SEED, P = 100, 7, 1, 0.5

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


def measure(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> dict[str, dict]:
    """Seconds of each contender, taken in turns so that all have the same weather."""
    torch.manual_seed(SEED)
    functions = contenders(build())
    times: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(-1, TURNS):
        for name, function in functions.items():
            x = torch.randn(shape)
            start = perf_counter()
            function(x)
            if turn >= 0:  # the one before compiles and touches the memory
                times[name].append(perf_counter() - start)
    return {
        name: {"median": statistics.median(t), "least": min(t), "greatest": max(t)}
        for name, t in times.items()
    }


def main() -> None:
    """Store the result, and print a table of it."""
    rows = {}
    for name, (build, shape) in MODELS.items():
        rows[name] = measure(build, shape)
        print(name)
        for who, t in rows[name].items():
            gain = rows[name]["loop"]["median"] / t["median"]
            spread = f"{t['least'] * 1e3:.0f} to {t['greatest'] * 1e3:.0f}"
            line = f"  {who:14}{t['median'] * 1e3:8.0f} ms ({spread}){gain:8.1f} x"
            print(line, flush=True)
    other = {"baal": version("baal")} if find_spec("baal") else {}
    settings: dict[str, Any] = {"samples": SAMPLES, "turns": TURNS, "p": P, "others": other}
    write("mc_dropout", "python -m dropout.bayes.bench", [SEED], **settings, seconds=rows)


if __name__ == "__main__":
    main()
