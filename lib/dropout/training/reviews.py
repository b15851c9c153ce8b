"""Film reviews and whether they praise or damn, from files that are checked.

`dropout.training.sources` says where the files are looked for.
"""

import re
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from dropout.training.sources import Source, fetch, find, own_folder


@dataclass(frozen=True)
class Review:
    """A review: 1 where it praises and 0 where it damns, its stars, from 1 to 10, and its text.

    The number is that of its file in the published archive, and is one review's among those of its
    part and label.
    """

    label: int
    rating: int
    number: int
    text: str


def imdb(folder: str | Path | None = None) -> tuple[list[Review], list[Review]]:
    """The 25,000 training and 25,000 test reviews of the Large Movie Review Dataset.

    Sorted by label, 0 first, so shuffle them; no film of one part is in the other. A line break is
    "<br />" in a text, as published. A rating is at most 4 where the label is 0, else at least 7.

    The published aclImdb_v1.tar.gz is read from `folder`, else from $DROPOUT_DATA/imdb, else from
    the cache, which is filled by a download of 80 MiB. Where a folder lacks it, the two tables
    imdb_train.tsv and imdb_test.tsv, plain or .gz, are read instead, of a copy in which somebody
    replaced eight of the texts by reviews of apps: `REPLACED` names them.

    Raises ConnectionError where the mirror does not answer or the cache cannot be written,
    FileNotFoundError where the folder lacks a file, and ValueError where one is altered. Maas,
    Daly, Pham, Huang, Ng and Potts, "Learning word vectors for sentiment analysis", ACL (2011).
    """
    where = own_folder(PUBLISHED, folder)
    if where is None or find(where, ARCHIVE) is not None:
        with tarfile.open(fileobj=BytesIO(fetch(PUBLISHED, ARCHIVE, folder))) as tar:
            return parse_archive(tar)
    try:
        train, test = (parse_table(fetch(COPY, file, folder)) for file in COPY.files)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; best is {ARCHIVE}, as published") from None
    return train, test


def parse_archive(tar: tarfile.TarFile) -> tuple[list[Review], list[Review]]:
    """Training and test reviews in the archive, where each is a file."""
    found: dict[str, list[Review]] = {"train": [], "test": []}
    for member in tar:  # such as aclImdb/train/neg/0_3.txt
        name = re.fullmatch(r"aclImdb/(train|test)/(neg|pos)/(\d+)_(\d+)\.txt", member.name)
        if name:
            part, label, number, rating = name.groups()
            text = tar.extractfile(member).read().decode()  # type: ignore[union-attr]
            found[part].append(Review(int(label == "pos"), int(rating), int(number), text))
    for reviews in found.values():
        reviews.sort(key=lambda review: (review.label, review.number))
    return found["train"], found["test"]


def parse_table(table: bytes) -> list[Review]:
    """The reviews in a table: a heading, then on each line label, rating, number and text.

    Tabs are between them; a text may hold any character but tab and newline.
    """
    _, *lines = table.decode().rstrip("\n").split("\n")
    rows = (line.split("\t") for line in lines)
    return [
        Review(int(label), int(rating), int(number), text) for label, rating, number, text in rows
    ]


ARCHIVE = "aclImdb_v1.tar.gz"
PUBLISHED = Source(
    name="imdb",
    files={ARCHIVE: "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"},
    mirrors=("https://ai.stanford.edu/~amaas/data/sentiment/",),
    suffix="",
    as_is=True,
)
COPY = Source(
    name="imdb",
    files={
        "imdb_train.tsv": "8826465a25a91932a0d53419cabe4b79547b9553fb09227e7038f97536bba641",
        "imdb_test.tsv": "3c91fc0244d9d42eb294c2866118b8ca7b7c61c070a4b2d844a11513cb1a3973",
    },
    mirrors=(),
)
# Label and number of the reviews of films that the copy lacks, in training and in test.
REPLACED = (((0, 2), (0, 9), (1, 0), (1, 7)), ((1, 0), (1, 2), (1, 7), (1, 9)))
