"""The test vectors that the page "The mask in five lines" offers to other implementations."""

import csv
from pathlib import Path

import numpy as np
import pytest

from dropout import MaskKey, Shard
from dropout.mask import keep_mask, lanes

VECTORS = Path(__file__).parent.parent / "book/mask_vectors.csv"
ROWS = list(csv.DictReader(VECTORS.read_text().splitlines()))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["seed"])
def test_a_vector_of_the_page_is_what_the_library_draws(row):
    key = MaskKey(*(int(row[word], 16) for word in ("seed", "stream", "step")))
    first = int(row["first element"], 16)
    drawn = lanes(key, np.array([first]), 8)[0]
    assert " ".join(f"{lane:04x}" for lane in drawn) == row["lanes of eight elements"]
    kept = keep_mask(key, (8,), 0.3, Shard((first + 8,), (first,)))
    assert " ".join(str(int(each)) for each in kept) == row["kept at p = 0.3"]
