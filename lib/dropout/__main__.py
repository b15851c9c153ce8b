"""python -m dropout: `bench` times the engines here, `info` says which there are."""

import argparse
import json
import platform
import statistics
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import torch
import torch.nn.functional as F
from torch import Tensor

from dropout import MaskKey, functional
from dropout.op import drop

BUDGET = 0.15  # seconds for one sample
SAMPLES = 7


def info() -> dict:
    """The machine, the versions, and which engine serves which device."""
    compilers = {name: find_spec(name) is not None for name in ("numba", "triton")}
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "processor": platform.processor() or platform.machine(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cpu engine": "Numba" if compilers["numba"] else "portable: install numba for speed",
        "cuda engine": "Triton" if compilers["triton"] else "portable",
    }


def both_ways(function: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], None]:
    """Forward and backward of a function."""
    leaf, grad = x.clone().requires_grad_(), torch.ones_like(x)

    def run():
        torch.autograd.grad(function(leaf), leaf, grad)

    return run


def contenders(x: Tensor, p: float, compiled: Callable) -> dict[str, Callable[[], object]]:
    """What is compared on x, by name."""
    out, key = torch.empty_like(x), MaskKey(1)
    channels = x.view(-1, 64) if x.numel() % 64 == 0 else x.view(1, -1)
    return {
        "copy": lambda: out.copy_(x),
        "ours": lambda: functional.dropout(x, p),
        "ours, in place": lambda: functional.dropout(out, p, inplace=True),
        "ours, a coin for 64": lambda: drop(channels, p, (1,), key=key),
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


def measure(functions: dict[str, Callable[[], object]], device: str) -> dict[str, dict]:
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


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m dropout", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("info", help="engines, versions, machine")
    timing = commands.add_parser("bench", help="times, beside PyTorch's and a plain copy")
    timing.add_argument(
        "--sizes", type=int, nargs="+", default=[1 << 10, 1 << 16, 1 << 20, 1 << 24]
    )
    timing.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"],
                        choices=["float64", "float32", "bfloat16", "float16"])  # fmt: skip
    timing.add_argument("--rates", type=float, nargs="+", default=[0.1, 0.5])
    timing.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    timing.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args(arguments)
    found = info()
    print("\n".join(f"{name:12} {value}" for name, value in found.items()) + "\n")
    if options.command == "bench":
        rows = bench(options.sizes, options.dtypes, options.rates, options.device)
        if options.json:
            options.json.write_text(json.dumps({"machine": found, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
