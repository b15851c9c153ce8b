"""The film reviews: what a line of a table holds, and that the archive gives the same tables."""

import os
import tarfile
from collections import Counter
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest

from dropout.training import reviews
from dropout.training.reviews import IMDB, Review, imdb, parse_reviews, tables
from dropout.training.sources import Archive, Source

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
    Review(1, 7, 2, "With a tab, and lines"),
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
def made() -> dict[str, bytes]:
    """The tables that are made of FILES."""
    with tarfile.open(fileobj=BytesIO(packed())) as tar:
        return dict(tables(tar))


def test_a_line_is_a_review_and_any_character_but_tab_and_newline_is_text():
    table = "label\trating\tid\ttext\n0\t4\t12\tA \u2028line\u0085 and\x0b\xa0\n1\t7\t0\t.\n"
    assert parse_reviews(table.encode()) == [
        Review(0, 4, 12, "A \u2028line\u0085 and\x0b\xa0"),
        Review(1, 7, 0, "."),
    ]


def test_the_tables_of_the_archive_are_sorted_by_label_and_number(made):
    assert list(made) == list(IMDB.files)
    train, test = map(parse_reviews, made.values())
    assert (train, test) == (TRAIN, TEST)


def test_reviews_are_downloaded_once_as_the_archive(serve, cache, made, monkeypatch):
    body = packed()
    broken, whole = serve(body, limit=100), serve(body)
    archive = Archive("aclImdb_v1.tar.gz", sha256(body).hexdigest(), tables)
    hashes = {file: sha256(table).hexdigest() for file, table in made.items()}
    source = Source("imdb", hashes, (broken.url, whole.url), archive)
    monkeypatch.setattr(reviews, "IMDB", source)
    assert imdb() == (TRAIN, TEST)
    assert imdb() == (TRAIN, TEST)
    assert (broken.asked, whole.asked) == ([None], ["bytes=100-"])
    kept = cache.with_name("imdb")
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == made


@unchecked
def test_an_archive_that_gives_other_reviews_is_refused(serve, cache, monkeypatch):
    body = packed()
    archive = Archive("aclImdb_v1.tar.gz", sha256(body).hexdigest(), tables)
    source = Source("imdb", IMDB.files, (serve(body).url,), archive)
    monkeypatch.setattr(reviews, "IMDB", source)
    with pytest.raises(ConnectionError, match=r"imdb_train\.tsv is altered"):
        imdb()


@unchecked
def test_an_empty_folder_names_the_first_missing_table(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"neither imdb_train\.tsv nor imdb_train\.tsv\.gz"):
        imdb(tmp_path)


@unchecked
def test_an_altered_table_is_refused(tmp_path, made):
    (tmp_path / "imdb_train.tsv").write_bytes(made["imdb_train.tsv"])
    with pytest.raises(ValueError, match=r"imdb_train\.tsv is altered: SHA-256 8826465a"):
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
