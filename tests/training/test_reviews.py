"""The film reviews: what the archive and the tables of its copy hold, and which is read."""

import os
import re
import tarfile
from collections import Counter
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest

from dropout.training import reviews
from dropout.training.reviews import (
    ARCHIVE,
    COPY,
    REPLACED,
    Review,
    imdb,
    parse_archive,
    parse_table,
)
from dropout.training.sources import Source, fetch

unchecked = pytest.mark.unchecked

FILES = {
    "aclImdb/README": b"Large Movie Review Dataset",
    "aclImdb/test/pos/1_9.txt": b"One.",
    "aclImdb/test/neg/0_2.txt": b"None.",
    "aclImdb/train/pos/10_10.txt": "Caf\u00e9s\u0085 and\u2028all".encode(),
    "aclImdb/train/pos/2_7.txt": b"With a\ttab, and\nlines",
    "aclImdb/train/neg/0_1.txt": b"Bad.<br /><br />Worse.",
    "aclImdb/train/unsup/3_0.txt": b"Not labelled",
    "aclImdb/train/urls_neg.txt": b"http://localhost/",
}
TRAIN = [
    Review(0, 1, 0, "Bad.<br /><br />Worse."),
    Review(1, 7, 2, "With a\ttab, and\nlines"),
    Review(1, 10, 10, "Caf\u00e9s\u0085 and\u2028all"),
]
TEST = [Review(0, 2, 0, "None."), Review(1, 9, 1, "One.")]


def packed() -> bytes:
    """FILES in a .tar.gz."""
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in FILES.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, BytesIO(content))
    return out.getvalue()


@pytest.fixture
def published(monkeypatch):
    """Publish FILES at addresses; what comes back does, and returns the archive."""

    def at(*mirrors: str) -> bytes:
        body = packed()
        hashes = {ARCHIVE: sha256(body).hexdigest()}
        source = Source("imdb", hashes, mirrors, suffix="", as_is=True)
        monkeypatch.setattr(reviews, "PUBLISHED", source)
        return body

    return at


def test_a_line_is_a_review_and_any_character_but_tab_and_newline_is_text():
    table = "label\trating\tid\ttext\n0\t4\t12\tA \u2028line\u0085 and\x0b\xa0\n1\t7\t0\t.\n"
    assert parse_table(table.encode()) == [
        Review(0, 4, 12, "A \u2028line\u0085 and\x0b\xa0"),
        Review(1, 7, 0, "."),
    ]


def test_the_labelled_files_of_the_archive_are_sorted_by_label_and_number():
    with tarfile.open(fileobj=BytesIO(packed())) as tar:
        assert parse_archive(tar) == (TRAIN, TEST)


def test_reviews_are_downloaded_once(serve, cache, published):
    body = packed()
    broken, whole = serve(body, limit=100), serve(body)
    published(broken.url, whole.url)
    assert imdb() == (TRAIN, TEST)
    assert imdb() == (TRAIN, TEST)
    assert (broken.asked, whole.asked) == ([None], ["bytes=100-"])
    assert [path.name for path in cache.with_name("imdb").iterdir()] == [ARCHIVE]


def test_a_folder_may_hold_the_archive_or_the_tables_and_the_archive_goes_before(
    published, tmp_path, monkeypatch
):
    tables = (
        b"label\trating\tid\ttext\n0\t1\t2\ttrain\n",
        b"label\trating\tid\ttext\n1\t8\t3\ttest\n",
    )
    hashes = {
        file: sha256(table).hexdigest() for file, table in zip(COPY.files, tables, strict=True)
    }
    monkeypatch.setattr(reviews, "COPY", Source("imdb", hashes, ()))
    for file, table in zip(hashes, tables, strict=True):
        (tmp_path / file).write_bytes(table)
    body = published()
    assert imdb(tmp_path) == ([Review(0, 1, 2, "train")], [Review(1, 8, 3, "test")])
    (tmp_path / ARCHIVE).write_bytes(body)
    assert imdb(tmp_path) == (TRAIN, TEST)


@unchecked
def test_an_empty_folder_names_the_archive_and_the_first_missing_table(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"neither imdb_train\.tsv nor") as error:
        imdb(tmp_path)
    assert "best is aclImdb_v1.tar.gz" in str(error.value)


@unchecked
@pytest.mark.parametrize(("file", "hash"), [("imdb_train.tsv", "8826465a"), (ARCHIVE, "c40f74a1")])
def test_an_altered_file_is_refused(tmp_path, file, hash):
    (tmp_path / file).write_bytes(packed())
    with pytest.raises(ValueError, match=f"{file} is altered: SHA-256 {hash}"):
        imdb(tmp_path)


@pytest.mark.skipif(
    not Path(os.environ.get("DROPOUT_DATA", ""), "imdb").is_dir(),
    reason="DROPOUT_DATA has no imdb",
)
def test_the_real_reviews_are_complete_and_sorted_by_label():
    for part in imdb():
        assert [(r.label, r.number) for r in part] == [(k, n) for k in (0, 1) for n in range(12500)]
        stars = Counter((r.label, r.rating) for r in part)
        assert set(stars) == {(0, k) for k in range(1, 5)} | {(1, k) for k in range(7, 11)}
        assert all(review.text.strip() for review in part)


@pytest.mark.skipif(
    not list(Path(os.environ.get("DROPOUT_DATA", ""), "imdb").glob("imdb_train.tsv*")),
    reason="DROPOUT_DATA has no tables of the copy",
)
def test_the_replaced_reviews_of_the_copy_are_of_apps_and_no_other_of_the_first_is():
    words = re.compile(
        r"\bapp\b|application|smartphone|statuses|YouTube|language problems", re.IGNORECASE
    )
    folder = Path(os.environ["DROPOUT_DATA"], "imdb")
    for file, replaced in zip(COPY.files, REPLACED, strict=True):
        part = parse_table(fetch(COPY, file, folder))
        found = {(r.label, r.number) for r in part if r.number < 10 and words.search(r.text)}
        assert found == set(replaced)
