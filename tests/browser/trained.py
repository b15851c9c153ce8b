"""Store the end of the default run of the live figure `train`, which takes too long to wait for.

python -m tests.browser.trained
"""

import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

from dropout.figures.widgets import HERE
from tests.browser.live import Evaluate, evaluator

FILE = HERE / "train.js"
STORED = re.compile(r'const STORED = \[\n.*?\]\.join\(""\)', re.DOTALL)
DIGITS = [chr(35 + k) for k in range(92) if chr(35 + k) != "\\"]
LINE = 114
TRAINED = """(() => {
  const number = ({ key, value }) => [key, Number(value) || 0];
  const run = figure.begun(base, Object.fromEntries(figure.controls.map(number)));
  while (run.step < figure.STEPS) figure.advance(base, run);
  return figure.result(run);
})()"""


def trained(evaluate: Evaluate) -> Any:
    """The default run, trained anew: its log, and the outputs over the picture."""
    return evaluate("train", TRAINED)


def digits(run: Any) -> Iterator[int]:
    """A run as `stored` of the figure reads it."""

    def pairs(values: Iterable[float]) -> Iterator[int]:
        for value in values:
            yield from divmod(min(round(value), len(DIGITS) ** 2 - 1), len(DIGITS))

    for entry in run["log"]:
        for net in entry["each"]:
            yield from pairs([1000 * net["train"], 1000 * net["test"]])
    for net in run["log"][-1]["each"]:
        yield from pairs([1000 * net["accuracy"], net["learned"]])
    for surface in run["surfaces"]:
        for value in surface:
            yield min(int(len(DIGITS) / (1 + math.exp(-value / 2))), len(DIGITS) - 1)


def main() -> None:
    packed = "".join(DIGITS[digit] for digit in digits(trained(evaluator(None))))
    rows = [f'  "{packed[k : k + LINE]}",\n' for k in range(0, len(packed), LINE)]
    text = f'const STORED = [\n{"".join(rows)}].join("")'
    FILE.write_text(STORED.sub(lambda _: text, FILE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
