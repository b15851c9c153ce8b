"""Each variant of dropout beside what others have for it."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F

from dropout import MaskKey, functional
from dropout.bench.timing import in_turns, summaries, times_of
from dropout.bench.timing import table as table_of

TURNS, BUDGET, KEY = 7, 0.04, MaskKey(1)


def relatives(device: str) -> dict[str, dict[str, Callable[[], object]]]:
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
            "ours": lambda: functional.alpha_dropout(x, 0.5, True, key=KEY),
            "F.alpha_dropout": lambda: F.alpha_dropout(x, 0.5, True),
        },
        "feature_alpha_dropout": {
            "ours": lambda: functional.feature_alpha_dropout(x, 0.5, True, key=KEY),
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


def run(device: str) -> list[dict[str, Any]]:
    """One row for each variant, with what is missing here, and why."""
    rows = []
    for variant, functions in relatives(device).items():
        missing = {}
        for name, function in list(functions.items()):
            try:
                function()
            except ImportError as error:
                missing[name] = str(error)
                del functions[name]
        samples = in_turns(variant, functions, TURNS, BUDGET, device)
        rows.append({"variant": variant, "seconds": summaries(samples), "missing": missing})
        print(table(rows[-1]), flush=True)
    return rows


def table(row: dict[str, Any]) -> str:
    """A variant's times, and how many times ours each of the others takes."""
    title = f"{row['variant']}, float32, 2^20 elements or weights, from a key to the output"
    lines = [table_of(title, row["seconds"], {"/ ours": times_of(row["seconds"], "ours")})]
    lines += [f"{name}: {reason}\n" for name, reason in row["missing"].items()]
    return "".join(lines)
