"""The reviews of IMDB as words, split for training, validation and test: what two studies share."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int64

from dropout.training.data import shuffled
from dropout.training.reviews import Review, imdb

Part = Literal["train", "validation", "test"]
VALIDATION = 5_000  # of the 25,000 reviews for training
SPLIT = 0  # the seed of the split, which all studies share
WORD = re.compile(r"[a-z0-9']+")


@dataclass(frozen=True)
class Texts:
    """Reviews and their labels: 1 where a review praises, else 0."""

    texts: list[str]
    labels: Int64[np.ndarray, "n"]

    def words(self) -> Iterator[list[str]]:
        """The words of each review, in turn: together they would need a gigabyte."""
        return map(words, self.texts)


def words(text: str) -> list[str]:
    """The words of a review in small letters, without its line breaks.

    >>> words("It's great!<br />10 of 10.")
    ["it's", 'great', '10', 'of', '10']
    """
    return WORD.findall(text.replace("<br />", " ").lower())


def split(
    examples: int | None = None, load: Callable[[], tuple[list[Review], list[Review]]] = imdb
) -> dict[Part, Texts]:
    """The reviews in a drawn order, 5,000 of those for training held out as validation data.

    With `examples`, the first so many of each part. 123 of the 24,801 different texts for testing
    are among those for training too; they are left where they are, as in published results.
    """
    training, test = load()
    order = shuffled(len(training), SPLIT)
    cut: dict[Part, tuple[list[Review], np.ndarray]] = {
        "train": (training, order[VALIDATION:]),
        "validation": (training, order[:VALIDATION]),
        "test": (test, shuffled(len(test), SPLIT)),
    }
    return {
        part: Texts(
            [reviews[i].text for i in at[:examples]],
            np.array([reviews[i].label for i in at[:examples]], np.int64),
        )
        for part, (reviews, at) in cut.items()
    }
