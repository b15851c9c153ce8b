"""Dropout compiled beside dropout as it stands, its masks and what backward needs: chapter 16.

    python -m dropout.experiments.compiling

A million ones go through PyTorch's dropout and through the library's, run as they are, compiled by
`torch.compile`, and compiled with PyTorch's switch for the random numbers of eager mode. It needs
the compiler that `torch.compile` needs; a minute on one core.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.functional import dropout

from dropout import functional
from dropout.experiments.results import write
from dropout.training.seeds import seeds

SHAPE, P = (1000, 1000), 0.5
WAYS: dict[str, Callable[[Tensor], Tensor]] = {
    "F.dropout": lambda x: dropout(x, P),
    "ours": lambda x: functional.dropout(x, P),
}
MODES = "eager", "compiled", "compiled, fallback_random"


def observed(drop: Callable[[Tensor], Tensor], seed: int, dtype: torch.dtype) -> dict[str, Any]:
    """One forward and backward from a seed: what was sent, and what was seen of it."""
    ones = torch.ones(SHAPE, dtype=dtype, requires_grad=True)
    kept: list[int] = []

    def weigh(saved: Tensor) -> Tensor:
        kept.append(saved.nbytes)
        return saved

    torch.manual_seed(seed)
    with saved_tensors_hooks(weigh, lambda saved: saved):
        sent = drop(ones)
    (gradient,) = torch.autograd.grad(sent.sum(), ones)
    zero = sent.detach() == 0
    return {
        "zero": zero,
        "kept": sum(kept),
        "same in backward": torch.equal(gradient == 0, zero),
        "pairs": (zero[:, 1:] & zero[:, :-1]).double().mean().item(),
    }


def compare(dtypes: tuple[torch.dtype, ...], numbers: list[int]) -> list[dict[str, Any]]:
    """A row for each way, mode and type; over seeds, the means."""
    rows = []
    for dtype in dtypes:
        for name, drop in WAYS.items():
            for mode in MODES:
                torch.compiler.reset()
                # The switch has compiled code take its random numbers from where eager mode does.
                options: dict[str, Any] = {"fallback_random": mode == MODES[2]}
                run = drop if mode == MODES[0] else torch.compile(drop, options=options)
                seen = [observed(run, number, dtype) for number in numbers]
                plain = [observed(drop, number, dtype) for number in numbers]
                pairs = list(zip(seen, plain, strict=True))
                others = [(a["zero"] != b["zero"]).double().mean().item() for a, b in pairs]
                rows.append(
                    {
                        "way": name,
                        "mode": mode,
                        "dtype": str(dtype).removeprefix("torch."),
                        "kept": max(each["kept"] for each in seen),
                        "elements": SHAPE[0] * SHAPE[1],
                        "other than eager": sum(others) / len(others),
                        "same in backward": all(each["same in backward"] for each in seen),
                        "pairs": sum(each["pairs"] for each in seen) / len(seen),
                    }
                )
    return rows


if __name__ == "__main__":
    numbers = seeds(5, first=1600)
    rows = compare((torch.float32, torch.bfloat16), numbers)
    write("compiling", "python -m dropout.experiments.compiling", numbers, p=P, rows=rows)
