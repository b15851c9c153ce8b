"""What `python -m dropout bench` times: dropout beside PyTorch's, its family beside others'."""

import statistics
import sys
from collections.abc import Callable
from importlib import import_module
from time import perf_counter

import torch
import torch.nn.functional as F
from torch import Tensor

from dropout import MaskKey, functional
from dropout.op import drop

BUDGET = 0.15  # seconds for one sample
SAMPLES = 7
KEY = MaskKey(1)
Timed = dict[str, Callable[[], object]]


def both_ways(function: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], None]:
    """Forward and backward of a function."""
    leaf, grad = x.clone().requires_grad_(), torch.ones_like(x)

    def run():
        torch.autograd.grad(function(leaf), leaf, grad)

    return run


def contenders(x: Tensor, p: float, compiled: Callable) -> Timed:
    """What is compared on x, by name."""
    out = torch.empty_like(x)
    channels = x.view(-1, 64) if x.numel() % 64 == 0 else x.view(1, -1)
    return {
        "copy": lambda: out.copy_(x),
        "ours": lambda: functional.dropout(x, p),
        "ours, in place": lambda: functional.dropout(out, p, inplace=True),
        "ours, a coin for 64": lambda: drop(channels, p, (1,), key=KEY),
        "F.dropout": lambda: F.dropout(x, p),
        "native_dropout": lambda: torch.native_dropout(x, p, True),
        "compiled F.dropout": lambda: compiled(x, p),
        "ours, both ways": both_ways(lambda x: functional.dropout(x, p), x),
        "F.dropout, both ways": both_ways(lambda x: F.dropout(x, p), x),
    }


def sample(function: Callable[[], object], repeats: int, device: str) -> float:
    """Seconds for one call, the mean of some."""
    start = perf_counter()
    for _ in range(repeats):
        function()
    if device == "cuda":
        torch.cuda.synchronize()
    return (perf_counter() - start) / repeats


def measure(functions: Timed, device: str) -> dict[str, dict]:
    """Median, least and greatest time of each, in seconds; taken in turns, so that all have the
    same weather."""
    repeats = {}
    for name, function in functions.items():
        sample(function, 2, device)  # compiles, and touches the memory
        repeats[name] = max(1, int(BUDGET / 4 / sample(function, 3, device)))
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(SAMPLES):
        for name, function in functions.items():
            times[name].append(sample(function, repeats[name], device))
    return {
        name: {"median": statistics.median(t), "least": min(t), "greatest": max(t)}
        for name, t in times.items()
    }


def bench(sizes: list[int], dtypes: list[str], rates: list[float], device: str) -> list[dict]:
    """One row for each size, data type and rate, printed as it comes."""
    rows = []
    for name in dtypes:
        for size in sizes:
            for p in rates:
                torch._dynamo.reset()
                x = torch.randn(size, device=device).to(getattr(torch, name))
                functions = contenders(x, p, torch.compile(F.dropout, dynamic=False))
                print(f"{name}, {size} elements, p = {p} …", file=sys.stderr, flush=True)
                times = measure(functions, device)
                rows.append({"dtype": name, "size": size, "p": p, "seconds": times})
                print(table(rows[-1]), flush=True)
    return rows


def table(row: dict) -> str:
    """A row's times, and their ratios to a copy and to what PyTorch takes for the same."""
    seconds = row["seconds"]
    lines = [f"{row['dtype']}, {row['size']} elements, p = {row['p']}"]
    lines.append(
        f"{'':22}{'median µs':>12}{'least':>11}{'greatest':>11}{'/ copy':>9}{'speed-up':>10}"
    )
    for name, t in seconds.items():
        other = "F.dropout, both ways" if "both ways" in name else "F.dropout"
        gain = seconds[other]["median"] / t["median"]
        numbers = "".join(f"{t[k] * 1e6:{w}.1f}" for k, w in zip(t, (12, 11, 11), strict=True))
        lines.append(
            f"{name:22}{numbers}{t['median'] / seconds['copy']['median']:9.2f}{gain:10.2f}"
        )
    return "\n".join(lines) + "\n"


def relatives(device: str) -> dict[str, Timed]:
    """Each variant at 2^20 elements or weights, from its key, and what others have for it."""
    x, y = torch.randn(16, 64, 32, 32, device=device), torch.randn(64, 1024, device=device)
    flat, weight = x.view(32, 32, 1024), torch.randn(1024, 1024, device=device)
    timm_path, timm_block = other("timm.layers.drop_path"), other("timm.layers.drop_block_2d")
    vision_path = other("torchvision.ops.stochastic_depth")
    vision_block = other("torchvision.ops.drop_block2d")
    return {
        "dropout2d": {
            "ours": lambda: functional.dropout2d(x, 0.5, key=KEY),
            "F.dropout2d": lambda: F.dropout2d(x, 0.5),
        },
        "alpha_dropout": {
            "ours": lambda: functional.alpha_dropout(x, 0.5, key=KEY),
            "F.alpha_dropout": lambda: F.alpha_dropout(x, 0.5, True),
        },
        "feature_alpha_dropout": {
            "ours": lambda: functional.feature_alpha_dropout(x, 0.5, key=KEY),
            "F.feature_alpha_dropout": lambda: F.feature_alpha_dropout(x, 0.5, True),
        },
        "gaussian_dropout": {
            "ours": lambda: functional.gaussian_dropout(x, 0.5, key=KEY),
            "x * normal_(1, 1)": lambda: x * torch.empty_like(x).normal_(1, 1),
        },
        "uout": {
            "ours": lambda: functional.uout(x, 0.1, key=KEY),
            "x * uniform_(.9, 1.1)": lambda: x * torch.empty_like(x).uniform_(0.9, 1.1),
        },
        "locked_dropout": {
            "ours": lambda: functional.locked_dropout(flat, 0.5, key=KEY),
            "x * F.dropout(ones)": lambda: flat * F.dropout(torch.ones_like(flat[:1]), 0.5),
        },
        "drop_path": {
            "ours": lambda: functional.drop_path(x, 0.5, key=KEY),
            "timm.layers.drop_path": lambda: timm_path(x, 0.5, True),
            "torchvision.ops.stochastic_depth": lambda: vision_path(x, 0.5, "row"),
        },
        "drop_block2d, 7 x 7": {
            "ours": lambda: functional.drop_block2d(x, 0.1, 7, key=KEY),
            "timm.layers.drop_block_2d": lambda: timm_block(x, 0.1, 7, couple_channels=False),
            "torchvision.ops.drop_block2d": lambda: vision_block(x, 0.1, 7),
        },
        "drop_connect": {
            "ours": lambda: functional.drop_connect(y, weight, 0.5, key=KEY),
            "F.linear of F.dropout": lambda: F.linear(y, F.dropout(weight, 0.5)),
        },
    }


def other(name: str) -> Callable:
    """A function of another library; without that, one that says what is missing."""
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, RuntimeError, AttributeError) as error:  # or made for another PyTorch
        missing = ImportError(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")

    def absent(*arguments, **options):
        raise missing

    return absent


def family(device: str) -> list[dict]:
    """One row for each variant, printed as it comes."""
    rows = []
    print(f"float32, {1 << 20} elements or weights, from a key to the output\n{FAMILY_HEAD}")
    for variant, functions in relatives(device).items():
        missing = {}
        for name, function in list(functions.items()):
            try:
                function()
            except ImportError as error:
                missing[name] = str(error)
                del functions[name]
        rows.append({"variant": variant, "seconds": measure(functions, device), "missing": missing})
        print(family_lines(rows[-1]), flush=True)
    return rows


FAMILY_HEAD = f"{'':33}{'median µs':>12}{'least':>11}{'greatest':>11}{'of ours':>9}"


def family_lines(row: dict) -> str:
    """A variant's times, and how many times ours each of the others takes."""
    ours, lines = row["seconds"]["ours"]["median"], []
    for name, t in row["seconds"].items():
        label = row["variant"] if name == "ours" else f"  {name}"
        numbers = "".join(f"{t[k] * 1e6:{w}.1f}" for k, w in zip(t, (12, 11, 11), strict=True))
        lines.append(f"{label:33}{numbers}{t['median'] / ours:9.2f}")
    lines += [f"  {name}: {reason}" for name, reason in row["missing"].items()]
    return "\n".join(lines)
