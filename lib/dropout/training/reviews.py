"""Film reviews and whether they praise or damn, from files that are checked.

`dropout.training.sources` says where the files are looked for.
"""

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dropout.training.sources import Archive, Source, fetch


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

    The files imdb_train.tsv and imdb_test.tsv, plain or .gz, are read from `folder`, else from
    $DROPOUT_DATA/imdb, else from the cache, which is filled from the published archive, a download
    of 80 MiB. They are UTF-8: a heading, then a review a line, with label, rating, number and text
    between tabs. Raises ConnectionError where the mirror does not answer or the cache cannot be
    written, FileNotFoundError where the folder lacks a file, and ValueError where one is altered.
    Maas, Daly, Pham, Huang, Ng and Potts, "Learning word vectors for sentiment analysis", ACL
    (2011).
    """
    train, test = (parse_reviews(fetch(IMDB, file, folder)) for file in IMDB.files)
    return train, test


def parse_reviews(table: bytes) -> list[Review]:
    """The reviews in a table, whose texts may hold any character but tab and newline."""
    _, *lines = table.decode().rstrip("\n").split("\n")
    rows = (line.split("\t") for line in lines)
    return [
        Review(int(label), int(rating), int(number), text) for label, rating, number, text in rows
    ]


def tables(tar: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    """The tables that `parse_reviews` reads, from the archive, where a file is a review."""
    found: dict[str, dict[tuple[int, int], str]] = {"train": {}, "test": {}}
    for member in tar:
        path = PurePosixPath(member.name)  # such as aclImdb/train/neg/0_3.txt
        if not re.fullmatch(r"aclImdb/(train|test)/(neg|pos)/\d+_\d+\.txt", member.name):
            continue
        number, rating = map(int, path.stem.split("_"))
        label = int(path.parts[2] == "pos")
        text = tar.extractfile(member).read().decode()  # type: ignore[union-attr]
        text = re.sub(r"[\t\r\n]", " ", text)
        found[path.parts[1]][label, number] = f"{label}\t{rating}\t{number}\t{text}\n"
    for part, lines in found.items():
        ordered = (lines[key] for key in sorted(lines))
        yield f"imdb_{part}.tsv", "".join(["label\trating\tid\ttext\n", *ordered]).encode()


IMDB = Source(
    name="imdb",
    files={
        "imdb_train.tsv": "8826465a25a91932a0d53419cabe4b79547b9553fb09227e7038f97536bba641",
        "imdb_test.tsv": "3c91fc0244d9d42eb294c2866118b8ca7b7c61c070a4b2d844a11513cb1a3973",
    },
    mirrors=("https://ai.stanford.edu/~amaas/data/sentiment/",),
    archive=Archive(
        name="aclImdb_v1.tar.gz",
        sha256="c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
        contents=tables,
    ),
)
