"""Where in a small transformer dropout belongs, at which rate, and blocks that drop: chapter 12.

    python -m dropout.experiments.transformer_places

A transformer of pre-norm blocks reads the eight rows of a digit, eight pixels a word, and names the
digit. It learns from 300 of them with dropout at one place of its blocks, or at three as BERT has,
each at several rates and learning rates; a network's split of the data has the number of its seed.
And deeper ones train with whole blocks dropped, which are then taken away. A few minutes.
"""

from collections.abc import Sequence
from itertools import combinations, product
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from dropout.experiments.results import write
from dropout.training.data import digits
from dropout.training.seeds import seeds

WIDTH, HEADS, WORDS, TRAIN, BATCH = 32, 4, 8, 300, 50
PLACES = "embeddings", "weights", "outputs", "inside"
THREE = "embeddings", "weights", "outputs"  # as in BERT and GPT-2
RATES, LRS, EPOCHS, EVERY = (0.1, 0.3, 0.5, 0.7), (0.0015, 0.003, 0.006), 60, 5
TUNING, SEEDS = seeds(2, first=700), seeds(6, first=710)
BLOCKS, BLOCK_RATES = 4, (0.0, 0.2, 0.4)

Rates = dict[str, float]
Data = tuple[Tensor, Tensor]


class Transformers:
    """Small transformers side by side, each with its own rates, by place, and weights.

    `blocks_p` drops a whole block for the whole batch, and scales nothing, as LayerDrop does.
    """

    def __init__(
        self, rates: Sequence[Rates], blocks: int = 2, blocks_p: Sequence[float] | None = None
    ) -> None:
        n, d, blocks_p = len(rates), WIDTH, blocks_p or [0.0] * len(rates)
        columns = {place: [each.get(place, 0.0) for each in rates] for place in PLACES}
        self.rates = {place: torch.tensor(each) for place, each in columns.items()}
        self.blocks_p = torch.tensor(blocks_p)

        def dense(inputs: int, outputs: int) -> Tensor:
            return torch.randn(n, inputs, outputs) / inputs**0.5

        ones, zeros = torch.ones(n, 1, d), torch.zeros(n, 1, d)
        self.free: dict[str, Tensor] = {
            "embed": dense(8, d),
            "positions": 0.1 * torch.randn(n, 1, WORDS, d),
            "head": 0.1 * dense(d, 10),
            "head_bias": torch.zeros(n, 1, 10),
        }
        for k in range(blocks):
            self.free |= {
                f"qkv{k}": dense(d, 3 * d),
                f"out{k}": 0.5 * dense(d, d),
                f"up{k}": dense(d, 4 * d) * 2**0.5,
                f"down{k}": 0.5 * dense(4 * d, d),
                f"up_bias{k}": torch.zeros(n, 1, 4 * d),
                f"down_bias{k}": zeros.clone(),
                f"gain1{k}": ones.clone(),
                f"gain2{k}": ones.clone(),
            }
        for tensor in self.free.values():
            tensor.requires_grad_()
        self.blocks = blocks

    def __call__(
        self, x: Float[Tensor, "n b w 8"], training: bool = True, keep: Sequence[int] | None = None
    ) -> Float[Tensor, "n b 10"]:
        """Scores of ten classes; in evaluation only the blocks that are to `keep` run."""
        n, batch, free = *x.shape[:2], self.free

        def drop(h: Tensor, place: str) -> Tensor:
            p = self.rates[place].view(-1, *[1] * (h.dim() - 1))
            return h * (torch.rand_like(h) >= p) / (1 - p) if training and p.any() else h

        def linear(h: Tensor, name: str) -> Tensor:
            flat = h.flatten(1, -2) @ free[name]
            return flat.view(*h.shape[:-1], -1)

        def norm(h: Tensor, name: str) -> Tensor:
            h = torch.nn.functional.layer_norm(h, (WIDTH,))
            return h * free[name].unsqueeze(1)

        h = drop(linear(x, "embed") + free["positions"], "embeddings")
        for k in range(self.blocks) if keep is None else keep:
            before = h
            qkv = linear(norm(h, f"gain1{k}"), f"qkv{k}")
            q, key, v = qkv.view(n, batch, WORDS, 3, HEADS, -1).movedim(3, 0).transpose(-2, -3)
            weights = (q @ key.mT / q.shape[-1] ** 0.5).softmax(-1)
            heads = (drop(weights, "weights") @ v).transpose(-2, -3).flatten(-2)
            h = h + drop(linear(heads, f"out{k}"), "outputs")
            inside = linear(norm(h, f"gain2{k}"), f"up{k}") + free[f"up_bias{k}"].unsqueeze(1)
            down = linear(drop(inside.relu(), "inside"), f"down{k}")
            h = h + drop(down + free[f"down_bias{k}"].unsqueeze(1), "outputs")
            if training and self.blocks_p.any():
                coin = (torch.rand(n) >= self.blocks_p).view(n, 1, 1, 1)
                h = torch.where(coin, h, before)
        h = torch.nn.functional.layer_norm(h, (WIDTH,)).mean(2)
        return h @ free["head"] + free["head_bias"]

    def fit(
        self, data: list[Data], lr: Sequence[float], epochs: int = EPOCHS
    ) -> Float[np.ndarray, "times n"]:
        """Train, each network by Adam at its rate, cosine to 0; validation losses on the way."""
        (x, y), (x_val, y_val) = data
        step = torch.tensor(lr)
        moments = [(torch.zeros_like(w), torch.zeros_like(w)) for w in self.free.values()]
        steps, t, losses = epochs * -(-x.shape[1] // BATCH), 0, []
        for epoch in range(epochs):
            order = torch.rand(x.shape[:2]).argsort(1)
            for rows in order.split(BATCH, dim=1):
                each = torch.arange(len(x))[:, None]
                scores = self(x[each, rows])
                loss = cross_entropy(scores.flatten(0, 1), y[each, rows].flatten(), reduction="sum")
                gradients = torch.autograd.grad(loss / rows.shape[1], list(self.free.values()))
                t += 1
                scale = step * 0.5 * (1 + np.cos(np.pi * t / steps))
                with torch.no_grad():
                    for w, g, (m, v) in zip(self.free.values(), gradients, moments, strict=True):
                        m.lerp_(g, 0.1)
                        v.lerp_(g * g, 0.02)
                        size = (v / (1 - 0.98**t)).sqrt_().add_(1e-8)
                        w -= scale.view(-1, *[1] * (w.dim() - 1)) * (m / (1 - 0.9**t)) / size
            if (epoch + 1) % EVERY == 0:
                losses.append(self.judged((x_val, y_val))[0])
        return np.array(losses)

    @torch.no_grad()
    def judged(self, data: Data, keep: Sequence[int] | None = None) -> tuple[list, list]:
        """Loss (nats) and accuracy of each network in evaluation."""
        x, y = data
        scores = self(x, training=False, keep=keep)
        losses = cross_entropy(scores.movedim(2, 1), y, reduction="none").mean(1)
        return losses.tolist(), (scores.argmax(2) == y).double().mean(1).tolist()


def splits(numbers: Sequence[int], train: int = TRAIN) -> list[Data]:
    """Training, validation and test part, one split of the digits for each network."""
    parts = zip(*(digits(train=train, seed=number) for number in numbers), strict=True)
    return [
        (
            torch.stack([each.x.float().view(-1, 8, 8) for each in part]),
            torch.stack([each.y for each in part]),
        )
        for part in parts
    ]


def run(arms: Sequence[Rates], lrs: Sequence[float], numbers: Sequence[int]) -> dict[str, Any]:
    """Train each arm at its learning rate with each seed: validation curves, test at the end."""
    found: dict[str, Any] = {"validation": [], "loss": [], "accuracy": []}
    for number in numbers:
        torch.manual_seed(number)
        train, validation, test = splits([number] * len(arms))
        nets = Transformers(arms)
        curve = nets.fit([train, validation], lrs)
        found["validation"].append(curve.min(0).tolist())
        loss, accuracy = nets.judged(test)
        found["loss"].append(loss)
        found["accuracy"].append(accuracy)
    return {key: np.array(value) for key, value in found.items()}


def places() -> dict[str, Any]:
    """Each place at each rate, its learning rate chosen on validation data, then fresh seeds."""
    names = [("none", 0.0), *product((*PLACES, "three"), RATES)]
    arms: list[Rates] = [
        {} if p == 0 else dict.fromkeys(THREE if place == "three" else (place,), p)
        for place, p in names
    ]
    tuning = [run(arms, [lr] * len(arms), TUNING)["validation"].mean(0) for lr in LRS]
    chosen = np.argmin(tuning, 0)
    final = run(arms, [LRS[k] for k in chosen], SEEDS)
    return {
        "arms": names,
        "lr": [LRS[k] for k in chosen],
        "tuning": np.array(tuning).tolist(),
        **{key: value.T.tolist() for key, value in final.items()},
    }


def layer_drop() -> dict[str, Any]:
    """Networks of four blocks, trained with blocks that drop: test accuracy with blocks gone."""
    found: dict[str, Any] = {"rates": BLOCK_RATES, "lr": [], "accuracy": []}
    for p in BLOCK_RATES:
        tuning = []
        for lr in LRS:
            torch.manual_seed(TUNING[0])
            train, validation, _ = splits(TUNING, 1000)
            nets = Transformers([{}] * len(TUNING), BLOCKS, [p] * len(TUNING))
            tuning.append(nets.fit([train, validation], [lr] * len(TUNING), 20).mean(1).min())
        lr = LRS[int(np.argmin(tuning))]
        torch.manual_seed(SEEDS[0])
        train, validation, test = splits(SEEDS, 1000)
        nets = Transformers([{}] * len(SEEDS), BLOCKS, [p] * len(SEEDS))
        nets.fit([train, validation], [lr] * len(SEEDS), 20)
        by_count = [
            np.mean([nets.judged(test, keep)[1] for keep in combinations(range(BLOCKS), k)], 0)
            for k in range(1, BLOCKS + 1)
        ]
        found["lr"].append(lr)
        found["accuracy"].append(np.array(by_count).tolist())
    return found


def main() -> None:
    """Run the study and store it."""
    results = {"places": places(), "layer_drop": layer_drop()}
    settings = {"train": TRAIN, "epochs": EPOCHS, "batch": BATCH, "width": WIDTH, "lrs": LRS}
    command = "python -m dropout.experiments.transformer_places"
    write("transformer_places", command, [*TUNING, *SEEDS], **settings, **results)


if __name__ == "__main__":
    main()
