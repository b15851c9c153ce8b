"""Feed the coins to dieharder, a published battery of tests, and store what it says.

    python tests/battery.py

Needs Debian's package dieharder, and about 20 minutes of one core. The bits are whole lanes, all 16
of each, so that every threshold is tested. The tests are those that dieharder itself rates good,
with its own numbers of samples; tests of many sizes run at the sizes in TESTS.
"""

import json
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import numba
import numpy as np

from dropout.kernels.loops import draw as philox
from dropout.mask import MaskKey, lanes

REPORT = Path(__file__).parent.parent / "book/results/battery.json"
SEED = 1
BLOCKS = 8  # a mask of 64 elements, or a stretch of a longer one
CHUNK = 1 << 13  # masks, 1 MiB
APART = 1 << 28  # masks from one test's first to the next one's: more than any test reads
FALSE_ALARM = 1e-3  # for all p-values together

# The k-th mask of each stream: its first block, seed, stream and step.
STREAMS = {
    "one long mask": lambda k: (k * BLOCKS, SEED, 0, 0),
    "masks of 12 layers at consecutive steps": lambda k: (0, SEED, k % 12, k // 12),
    "masks of consecutive seeds": lambda k: (0, k, 0, 0),
}

# dieharder's numbers of its tests, and the sizes or distances to run them at, None its own.
TESTS = [
    *((d, None) for d in (0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 15, 16, 17, 100, 101, 102)),
    *((200, bits) for bits in (1, 2, 4, 8)),
    *((201, dimensions) for dimensions in (2, 3, 4, 5)),
    *((202, words) for words in (2, 3, 4, 5)),
    *((203, lag) for lag in (0, 1, 3, 7)),  # every half block, block, second and fourth block
    *((d, None) for d in (204, 205, 206, 207, 208, 209)),
]


@numba.njit
def draw(words, places):
    """Fill `words` with the lanes of a mask for each row of `places`."""
    size = 2 * BLOCKS
    for k in range(len(places)):
        block, seed, stream, step = places[k]
        philox(words[k * size : (k + 1) * size], block, seed, stream, step)


def chunk(stream: str, first: int) -> np.ndarray:
    """The lanes of CHUNK masks of a stream from its mask number `first`, as words of 64 bits."""
    places = np.empty((CHUNK, 4), np.uint64)
    k = np.arange(first, first + CHUNK, dtype=np.uint64)
    for i, column in enumerate(STREAMS[stream](k)):
        places[:, i] = column
    words = np.empty(CHUNK * 2 * BLOCKS, np.uint64)
    draw(words, places)
    start, *key = (int(n) for n in places[-1])
    assert words.view("<u2")[-8 * BLOCKS :].tolist() == (
        lanes(MaskKey(*key), np.array([8 * start]), 8 * BLOCKS)[0].tolist()
    ), "the engine's lanes are not the definition's"
    return words


def p_values(stream: str, first: int, test: int, size: int | None) -> dict[str, list[float]]:
    """What one test of dieharder says of a stream from its mask number `first`, by test's name."""
    command = ["dieharder", "-g", "200", "-d", str(test), "-c", ",", "-D", "test_name"]
    command += ["-D", "ntuple", "-D", "pvalues", *(() if size is None else ("-n", str(size)))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as battery:
        end = first + APART
        try:
            while first < end:
                battery.stdin.write(chunk(stream, first))
                first += CHUNK
        except BrokenPipeError:  # it has read enough
            pass
        found: dict[str, list[float]] = {}
        for line in battery.stdout.read().decode().splitlines():
            name, ntuple, p = (part.strip() for part in line.split(","))
            found.setdefault(f"{name} {ntuple}", []).append(float(p))
    if first == end or battery.returncode or not found:
        sys.exit(f"dieharder failed on test {test}: read to mask {first}, gave {found}")
    return found


def main() -> None:
    """Run all tests on all streams, write the report, and exit with 1 if one fails."""
    found: dict[str, dict[str, list[float]]] = {stream: {} for stream in STREAMS}
    for (i, test), stream in product(enumerate(TESTS), STREAMS):
        found[stream] |= (latest := p_values(stream, i * APART, *test))
        print(f"{stream}: {latest}", flush=True)
    everything = [p for result in found.values() for each in result.values() for p in each]
    # Bonferroni, both tails. That all p-values together are uniform is not asked: dieharder's lean
    # towards 1, those of its own AES generator too.
    threshold = FALSE_ALARM / 2 / len(everything)
    worst = min(min(p, 1 - p) for p in everything)
    banner = subprocess.run("dieharder", capture_output=True, text=True).stdout
    versions = {"dieharder": re.search(r"version ([\d.]+)", banner)[1]}
    versions |= {"python": platform.python_version(), "numpy": np.__version__}
    report = {
        "provenance": {
            "command": "python tests/battery.py",
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "seeds": [SEED],
            "versions": versions | {"numba": numba.__version__},
        },
        "false_alarm": FALSE_ALARM,
        "number_of_p_values": len(everything),
        "threshold": threshold,
        "most_extreme": worst,
        "verdict": "passes" if worst > threshold else "fails",
        "p_values": found,
    }
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1) + "\n")
    print(f"{report['verdict']}: {REPORT}")
    sys.exit(worst <= threshold)


if __name__ == "__main__":
    main()
