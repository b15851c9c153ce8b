"""Dropout of tensors of some sizes, beside a copy of them and PyTorch's ways to drop."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dropout import MaskKey, functional
from dropout.bench.timing import in_turns, summaries, times_faster, times_of
from dropout.bench.timing import table as table_of

TURNS, BUDGET, KEY = 7, 0.04, MaskKey(1)


def both_ways(function: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], None]:
    """Forward and backward of a function."""
    leaf, grad = x.clone().requires_grad_(), torch.ones_like(x)

    def run():
        torch.autograd.grad(function(leaf), leaf, grad)

    return run


def contenders(x: Tensor, p: float, compiled: Callable) -> dict[str, Callable[[], object]]:
    """What is compared on x, by name."""
    out = torch.empty_like(x)
    channels = x.view(1, -1, 64) if x.numel() % 64 == 0 else x.view(1, 1, -1)
    return {
        "copy": lambda: out.copy_(x),
        "ours": lambda: functional.dropout(x, p),
        "ours, in place": lambda: functional.dropout(out, p, inplace=True),
        "ours, a coin for 64": lambda: functional.dropout1d(channels, p, key=KEY),
        "F.dropout": lambda: F.dropout(x, p),
        "native_dropout": lambda: torch.native_dropout(x, p, True),
        "compiled F.dropout": lambda: compiled(x, p),
        "ours, both ways": both_ways(lambda x: functional.dropout(x, p), x),
        "F.dropout, both ways": both_ways(lambda x: F.dropout(x, p), x),
    }


def run(
    device: str, sizes: list[int], dtypes: list[str], rates: list[float]
) -> list[dict[str, Any]]:
    """One row for each data type, size and rate."""
    rows = []
    for dtype in dtypes:
        for size in sizes:
            for p in rates:
                torch.compiler.reset()
                x = torch.randn(size, device=device).to(getattr(torch, dtype))
                functions = contenders(x, p, torch.compile(F.dropout, dynamic=False))
                row: dict[str, Any] = {"dtype": dtype, "size": size, "p": p}
                samples = in_turns(title(row), functions, TURNS, BUDGET, device)
                rows.append(row | {"seconds": summaries(samples)})
                print(table(rows[-1]), flush=True)
    return rows


def title(row: dict[str, Any]) -> str:
    """What a row is of."""
    return f"{row['dtype']}, {row['size']} elements, p = {row['p']}"


def table(row: dict[str, Any]) -> str:
    """A row's times, and their ratios to a copy and to what PyTorch takes for the same."""
    seconds = row["seconds"]
    both = times_faster(seconds, "F.dropout, both ways")
    gain = times_faster(seconds, "F.dropout")
    gain |= {name: ratio for name, ratio in both.items() if "both ways" in name}
    return table_of(title(row), seconds, {"/ copy": times_of(seconds, "copy"), "speed-up": gain})
