"""Where every chapter takes its seeds from, so that all of them can be shifted at once.

A claim about a trained network or a drawn mask should hold for seeds that nobody looked at.
`make robust` runs the chapters again with DROPOUT_SEED_SHIFT at 1, 2, 3, and so on, and counts how
often each assertion held.
"""

import os

STRIDE = 1_000_003  # more seeds than a chapter uses, so that no two shifts share one


def seed(number: int = 0) -> int:
    """The seed with this number: the number itself, or another one for each shift.

    DROPOUT_SEED_SHIFT names the shift, a whole number from 0 (where it is unset). Raises ValueError
    where it is anything else.

    >>> seed(7)
    7
    """
    shift = os.environ.get("DROPOUT_SEED_SHIFT", "0")
    if not shift.isascii() or not shift.isdigit():
        raise ValueError(f"DROPOUT_SEED_SHIFT must be a whole number from 0, got {shift!r}")
    return number + STRIDE * int(shift)


def seeds(count: int, first: int = 0) -> list[int]:
    """The `count` seeds from number `first` on.

    >>> seeds(3)
    [0, 1, 2]
    """
    return [seed(number) for number in range(first, first + count)]
