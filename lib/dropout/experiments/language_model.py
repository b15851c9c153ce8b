"""When a language model wants dropout: a small transformer on film reviews, for chapter 12.

    python -m dropout.experiments.language_model

The same number of steps over much text once, over a fifth of it five times, or over a twenty-fifth
of it twenty-five times, at several rates of dropout. The learning rate after its warm-up is
constant, so that each point of a run is one where it may be stopped. For each arm learning rate and
point are chosen on validation data. About a quarter of an hour on one core; an arm that is stored
already is not run again with `--resume`.

It needs the reviews of IMDB (see `dropout.training.reviews.imdb`).
"""

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dropout.experiments.results import read, write
from dropout.layers.attention import TransformerBlock, TransformerEmbedding
from dropout.training.data import shuffled
from dropout.training.reviews import Review, imdb
from dropout.training.seeds import seed, seeds

WORDS, LENGTH, WIDTH, HEADS, LAYERS = 1000, 32, 64, 2, 2
STEPS, BATCH, WARM_UP, POINTS = 800, 8, 80, 10
ARMS = [(passes, p) for passes in (1, 25, 5) for p in (0.0, 0.1, 0.2, 0.3)[: 3 + (passes == 25)]]
LRS = 0.000625, 0.00125, 0.0025, 0.005
TUNING_SEED, SEEDS, SPLIT = seed(1200), seeds(3, first=1201), seed(1210)
WINDOWS = STEPS * BATCH
VALIDATION, TEST = 320, 1600  # windows

Windows = Int64[Tensor, "windows length_and_one"]


def words(reviews: Sequence[Review], count: int) -> list[str]:
    """The first `count` words of reviews, which are shuffled: they are sorted by class."""
    found: list[str] = []
    for k in shuffled(len(reviews), SPLIT):
        found += split_words(reviews[k].text)
        if len(found) >= count:
            break
    return found[:count]


def split_words(review: str) -> list[str]:
    """Words in lower case, numbers, and each mark of its own; a line's end at the end.

    >>> split_words("It's 10/10!<br />")
    ['it', "'", 's', '10', '/', '10', '!', '\\n']
    """
    text = review.lower().replace("<br />", " ")
    return [*re.findall(r"[a-z]+|[0-9]+|[^\sa-z0-9]", text), "\n"]


def windows(tokens: Sequence[int], length: int = LENGTH) -> Windows:
    """Rows of length + 1 tokens, each beginning with the last of the row before."""
    return torch.tensor(tokens).unfold(0, length + 1, length)


@cache
def texts() -> tuple[Windows, Windows, Windows]:
    """Training, validation and test windows; the last are of other films' reviews.

    The words are numbered by the training text: the commonest from 1 on, and 0 for all others.
    """
    train = WINDOWS * LENGTH + 1
    reviews, others = imdb()
    read = words(reviews, train + VALIDATION * LENGTH)
    common = [word for word, _ in Counter(read[:train]).most_common(WORDS - 1)]
    number = {word: k for k, word in enumerate(common, start=1)}
    parts = read[:train], read[train - 1 :], words(others, TEST * LENGTH + 1)
    encoded = [windows([number.get(word, 0) for word in part]) for part in parts]
    return encoded[0], encoded[1], encoded[2]


class LanguageModel(nn.Module):
    """A causal transformer with post-norm; p on embeddings, attention weights, both sublayers."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.embedding = TransformerEmbedding(WORDS, LENGTH, WIDTH, p)
        blocks = [TransformerBlock(WIDTH, HEADS, p, causal=True) for _ in range(LAYERS)]
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(WIDTH, WORDS)

    def forward(self, tokens: Int64[Tensor, "b length"]) -> Float[Tensor, "b length words"]:
        return self.head(self.blocks(self.embedding(tokens)))


def batches(text: Windows, steps: int, batch: int = BATCH) -> Iterator[Windows]:
    """`steps` batches: pass after pass, each in a new order, each window once a pass."""
    left = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        while len(left) < batch:
            left = torch.cat([left, torch.randperm(len(text))])
        yield text[left[:batch]]
        left = left[batch:]


def loss(model: nn.Module, text: Windows) -> Float[Tensor, ""]:
    """Mean loss a word, in nats, in the model's mode."""
    return cross_entropy(model(text[:, :-1]).flatten(0, 1), text[:, 1:].flatten())


@torch.no_grad()
def judge(model: nn.Module, text: Windows) -> tuple[float, float]:
    """Loss in nats a word and the share of words foreseen, in evaluation mode."""
    model.eval()
    total, right = 0.0, 0.0
    for part in text.split(160):
        scores, targets = model(part[:, :-1]).flatten(0, 1), part[:, 1:].flatten()
        total += float(cross_entropy(scores, targets, reduction="sum"))
        right += float((scores.argmax(1) == targets).sum())
    model.train()
    return total / text[:, 1:].numel(), right / text[:, 1:].numel()


def train(
    p: float, text: Windows, *, lr: float, seed: int, steps: int = STEPS, points: int = POINTS
) -> Iterator[LanguageModel]:
    """A model trained by Adam: itself, at `points` equally distant points, the last at the end."""
    torch.manual_seed(seed)
    model = LanguageModel(p)
    optimiser = torch.optim.Adam(model.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 0.1, 1.0, WARM_UP)
    for step, batch in enumerate(batches(text, steps), start=1):
        optimiser.zero_grad()
        loss(model, batch).backward()
        optimiser.step()
        schedule.step()
        if step % (steps // points) == 0:
            yield model


def choose(p: float, text: Windows, validation: Windows) -> dict[str, Any]:
    """Learning rate and point with the least validation loss, and the losses on the way."""
    curves = {}
    for lr in LRS:
        run = train(p, text, lr=lr, seed=TUNING_SEED)
        curves[lr] = [judge(model, validation)[0] for model in run]
    return chosen(curves)


def chosen(curves: dict[float, list[float]]) -> dict[str, Any]:
    """The least of the losses: its learning rate and its point, counted from 1."""
    lr = min(curves, key=lambda lr: min(curves[lr]))
    named = {str(lr): curve for lr, curve in curves.items()}
    return {"lr": lr, "point": int(np.argmin(curves[lr])) + 1, "curves": named}


def final(p: float, text: Windows, choice: dict[str, Any], number: int) -> dict[str, Any]:
    """One fresh seed: loss and accuracy at the chosen point, in test and in training."""
    run = train(p, text, lr=choice["lr"], seed=number)
    *_, model = islice(run, choice["point"])
    return {"test": judge(model, texts()[2]), "train": judge(model, text[:VALIDATION])}


def main() -> None:
    """Run the study, and store it after each arm."""
    torch.set_num_threads(1)
    everything, validation, test = texts()
    settings: dict[str, Any] = {"words": WORDS, "length": LENGTH, "width": WIDTH, "layers": LAYERS}
    settings |= {"steps": STEPS, "batch": BATCH, "points": POINTS, "lrs": LRS}
    settings["sizes"] = {"train": WINDOWS * LENGTH}
    settings["sizes"] |= {"validation": VALIDATION * LENGTH, "test": TEST * LENGTH}
    settings["other"] = float((test == 0).float().mean())
    settings["parameters"] = sum(w.numel() for w in LanguageModel(0.0).parameters())
    numbers = [TUNING_SEED, *SEEDS, SPLIT]
    arms: list[dict[str, Any]] = read("language_model")["arms"] if "--resume" in sys.argv else []
    for passes, p in ARMS[len(arms) :]:
        text = everything[: WINDOWS // passes]
        choice = choose(p, text, validation)
        runs = [final(p, text, choice, number) for number in SEEDS]
        arms.append({"passes": passes, "p": p, "chosen": choice, "runs": runs})
        mean = np.mean([run["test"][0] for run in runs])
        print(passes, p, choice["lr"], choice["point"], f"{mean:.4f}", flush=True)
        command = "python -m dropout.experiments.language_model"
        write("language_model", command, numbers, **settings, arms=arms)


if __name__ == "__main__":
    main()
