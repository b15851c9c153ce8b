"""The data sets: the same split everywhere, and no file that is not the one asked for."""

import gzip
import os
import tarfile
import threading
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from dropout.training.data import MNIST, cifar10, digits, mnist, parse_cifar, shuffled
from dropout.training.sources import Archive, Source, beginnings, cache_folder, fetch

CONTENT = np.random.default_rng(0).bytes(5000)
PACKED = gzip.compress(CONTENT, mtime=0)
unchecked = pytest.mark.unchecked


# ---- digits -----------------------------------------------------------------------------------


def test_digits_are_split_completely_and_without_overlap():
    parts = digits()
    assert [len(part.y) for part in parts] == [1000, 297, 500]
    rows = np.concatenate([np.column_stack([part.x * 16, part.y]) for part in parts])
    originals = np.column_stack(load_digits(return_X_y=True))
    assert sorted(map(tuple, rows)) == sorted(map(tuple, originals))


def test_digits_are_pixels_in_the_unit_interval_with_ten_classes():
    for part in digits():
        assert part.x.dtype == torch.float64
        assert part.y.dtype == torch.int64
        assert (part.x.min(), part.x.max()) == (0, 1)
        assert part.y.unique().tolist() == list(range(10))


def test_the_shuffle_is_the_same_on_every_machine():
    order = shuffled(1797, seed=0)
    assert sorted(order) == list(range(1797))
    assert order[:5].tolist() == [1728, 582, 1638, 840, 1002]
    digest = "ff11fefc56b34a25b025348b3a55c473d75e39f4fe0a2c96bb4aa51bd131adda"
    assert sha256(order.astype("<i8").tobytes()).hexdigest() == digest


def test_another_seed_is_another_split():
    assert (shuffled(1797, seed=0) != shuffled(1797, seed=1)).mean() > 0.9


def test_the_high_half_of_a_seed_counts():
    assert (shuffled(1797, seed=0) != shuffled(1797, seed=1 << 32)).mean() > 0.9


def test_a_smaller_training_set_is_the_beginning_of_a_larger_one():
    small, large = digits(train=30), digits(train=90)
    assert torch.equal(small[0].x, large[0].x[:30])
    assert torch.equal(small[1].x, large[1].x)
    assert torch.equal(small[2].x, large[2].x)


@unchecked
@pytest.mark.parametrize("train", [0, -1, 1001, 0.5, True, "all", None])
def test_digits_refuse_a_size_they_do_not_have(train):
    with pytest.raises(ValueError, match=f"train must be from 1 to 1000 images, got {train!r}"):
        digits(train=train)


@unchecked
def test_digits_refuse_a_seed_of_more_than_64_bits():
    with pytest.raises(ValueError, match="seed must be in"):
        digits(seed=1 << 64)


# ---- MNIST ------------------------------------------------------------------------------------


@pytest.mark.skipif(not os.environ.get("DROPOUT_DATA"), reason="DROPOUT_DATA is not set")
def test_mnist_is_complete_and_in_its_original_order():
    train, test = mnist()
    assert train.x.shape == (60000, 784)
    assert test.x.shape == (10000, 784)
    assert train.y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test.y[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert (train.x.min(), train.x.max()) == (0, 1)
    assert abs(train.x.mean().item() - 0.1307) < 5e-5  # the constant of many MNIST programs


# ---- CIFAR-10 ---------------------------------------------------------------------------------


@pytest.mark.skipif(not os.environ.get("DROPOUT_DATA"), reason="DROPOUT_DATA is not set")
def test_cifar_is_the_published_set_in_its_original_order():
    train, test = cifar10(train=10_001)
    assert (len(train.y), len(test.y)) == (10_001, 1000)
    assert train.x.shape == (10_001, 3072)
    assert train.y[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    assert test.y[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]
    assert (train.x.min(), train.x.max()) == (0, 1)
    assert test.y.bincount(minlength=10).min() > 80
    # The mean of the red channel, near the 0.4914 that many programs subtract.
    assert abs(train.x[:, :1024].mean().item() - 0.4914) < 0.01


def test_records_of_cifar_are_a_class_and_the_three_colours_of_an_image():
    record = bytes([7]) + bytes(255 for _ in range(1024)) + bytes(2048)
    images = parse_cifar(record * 2)
    assert images.y.tolist() == [7, 7]
    red, green, blue = images.x[1].reshape(3, 32, 32)
    assert (red == 1).all()
    assert not green.any()
    assert not blue.any()


@unchecked
@pytest.mark.parametrize("train", [0, 30_001, 0.5, True, None])
def test_cifar_refuses_a_size_it_does_not_have(train):
    with pytest.raises(ValueError, match=f"train must be from 1 to 30000 images, got {train!r}"):
        cifar10(train=train)


@unchecked
def test_cifar_in_an_empty_folder_names_the_first_missing_file(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"neither data_batch_1.bin nor data_batch_1.bin.gz"
    ):
        cifar10(tmp_path)


# ---- files and mirrors, with stand-ins ----------------------------------------------------------


class Mirror(ThreadingHTTPServer):
    """A server on this machine that knows ranges, and breaks off after `limit` bytes if told to."""

    def __init__(
        self,
        body: bytes | None = PACKED,
        limit: int | None = None,
        ranges: bool = True,
        length: bool = True,
    ):
        super().__init__(("127.0.0.1", 0), Answer)
        self.body, self.limit, self.ranges, self.length = body, limit, ranges, length
        self.asked = []
        self.before_it_answers = lambda: None
        self.url = f"http://127.0.0.1:{self.server_port}/"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        mirror = self.server
        mirror.asked.append(self.headers["Range"])
        mirror.before_it_answers()
        start = int(self.headers["Range"][6:-1]) if self.headers["Range"] and mirror.ranges else 0
        if mirror.body is None or start >= len(mirror.body):
            self.send_error(404 if mirror.body is None else 416)
            return
        rest = mirror.body[start:]
        self.send_response(206 if start else 200)
        if mirror.length:
            self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: mirror.limit])

    def log_message(self, *_):
        """Print nothing."""


@pytest.fixture
def serve():
    """Start a mirror; it ends with the test."""
    servers = []

    def start(*args, **kwargs) -> Mirror:
        servers.append(Mirror(*args, **kwargs))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, with DROPOUT_DATA unset."""
    monkeypatch.delenv("DROPOUT_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "dropout-book" / "toy"


def toy(*mirrors: str) -> Source:
    """A data set of one file."""
    return Source("toy", {"file": sha256(CONTENT).hexdigest()}, mirrors)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_download_is_kept_and_not_repeated(serve, cache):
    mirror = serve()
    assert fetch(toy(mirror.url), "file") == CONTENT
    assert fetch(toy(mirror.url), "file") == CONTENT
    assert mirror.asked == [None]
    assert names(cache) == ["file.gz"]


def test_the_cache_is_in_the_home_folder_by_default(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "dropout-book"


def test_a_broken_download_is_resumed_where_it_broke(serve, cache):
    broken = serve(limit=1000)
    with pytest.raises(ConnectionError, match=f"broke with {len(PACKED) - 1000} bytes to come"):
        fetch(toy(broken.url), "file")
    assert names(cache) == ["file.gz.part"]
    whole = serve()
    assert fetch(toy(whole.url), "file") == CONTENT
    assert whole.asked == ["bytes=1000-"]
    assert names(cache) == ["file.gz"]


def test_the_second_mirror_goes_on_where_the_first_broke(serve, cache):
    first, second = serve(limit=1000), serve()
    assert fetch(toy(first.url, second.url), "file") == CONTENT
    assert second.asked == ["bytes=1000-"]


def test_a_mirror_that_cannot_resume_is_read_from_the_start(serve, cache):
    cache.mkdir(parents=True)
    (cache / "file.gz.part").write_bytes(PACKED[:1000])
    assert fetch(toy(serve(ranges=False).url), "file") == CONTENT


@pytest.mark.parametrize("beginning", [PACKED, PACKED + b"more", b"other" * 200])
def test_whatever_a_part_holds_the_file_is_right(serve, cache, beginning):
    cache.mkdir(parents=True)
    (cache / "file.gz.part").write_bytes(beginning)
    assert fetch(toy(serve().url), "file") == CONTENT
    assert names(cache) == ["file.gz"]


@pytest.mark.parametrize("beginning", [b"", PACKED[:1000]])
def test_a_mirror_need_not_say_how_long_the_file_is(serve, cache, beginning):
    cache.mkdir(parents=True)
    (cache / "file.gz.part").write_bytes(beginning)
    cut, whole = serve(limit=500, length=False), serve(length=False)
    assert fetch(toy(cut.url, whole.url), "file") == CONTENT
    assert names(cache) == ["file.gz"]


def test_each_of_two_who_download_at_once_has_the_file(serve, cache):
    """Both begin before either writes, where a broken download left its part."""
    cache.mkdir(parents=True)
    (cache / "file.gz.part").write_bytes(PACKED[:1000])
    mirror, both, found = serve(), threading.Barrier(2, timeout=30), []
    mirror.before_it_answers = both.wait

    def get():
        found.append(fetch(toy(mirror.url), "file"))

    threads = [threading.Thread(target=get) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [CONTENT, CONTENT]
    assert sorted(mirror.asked, key=str) == [None, "bytes=1000-"]
    assert names(cache) == ["file.gz"]


@unchecked
@pytest.mark.parametrize("fault", ["no home", "a file in the way", "no room"])
def test_with_no_place_to_keep_it_the_error_names_the_ways_out(serve, cache, monkeypatch, fault):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    if fault == "no home":
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", homeless)
        words = "home directory"
    elif fault == "a file in the way":
        cache.parent.write_bytes(b"")
        words = "File exists|Not a directory"
    else:
        monkeypatch.setattr("shutil.copyfileobj", fail)
        words = "No space left on device"
    with pytest.raises(ConnectionError, match=words) as error:
        fetch(toy(serve().url), "file")
    assert "set DROPOUT_DATA to a folder" in str(error.value)
    assert "XDG_CACHE_HOME" in str(error.value)


@pytest.mark.parametrize(
    "body", [None, gzip.compress(b"altered", mtime=0), PACKED[:-1], b"<html>sorry"]
)
def test_the_second_mirror_is_asked_where_the_first_fails(serve, cache, body):
    first, second = serve(body), serve()
    assert fetch(toy(first.url, second.url), "file") == CONTENT
    assert names(cache) == ["file.gz"]


def test_a_bad_file_in_the_cache_is_fetched_again(serve, cache):
    cache.mkdir(parents=True)
    (cache / "file.gz").write_bytes(PACKED[:-9])
    assert fetch(toy(serve().url), "file") == CONTENT
    assert (cache / "file.gz").read_bytes() == PACKED


@unchecked
def test_altered_content_is_refused_and_not_kept(serve, cache):
    altered = CONTENT[:-1] + b"!"
    with pytest.raises(ConnectionError) as error:
        fetch(toy(serve(gzip.compress(altered)).url), "file")
    assert sha256(altered).hexdigest() in str(error.value)
    assert sha256(CONTENT).hexdigest() in str(error.value)
    assert names(cache) == []


@unchecked
def test_without_a_network_the_error_names_both_ways_out(cache):
    with Mirror() as gone:  # never started, and closed here
        pass
    with pytest.raises(ConnectionError) as error:
        fetch(toy(gone.url), "file")
    for part in (
        "cannot fetch toy/file",
        "Connection refused",
        "Connect to the network and call again",
        "set DROPOUT_DATA to a folder that holds toy/file.gz",
    ):
        assert part in str(error.value)


def packed(content: bytes) -> bytes:
    """A .tar.gz with one member, some/file."""
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        entry = tarfile.TarInfo("some/file")
        entry.size = len(content)
        tar.addfile(entry, BytesIO(content))
    return out.getvalue()


def toy_archive(body: bytes, *mirrors: str) -> Source:
    """A data set whose file is the first 5000 bytes of a member of an archive."""
    members = {"file": ("some/file", len(CONTENT))}
    archive = Archive("toy.tar.gz", sha256(body).hexdigest(), beginnings(members))
    return Source("toy", {"file": sha256(CONTENT).hexdigest()}, mirrors, archive)


def test_a_file_of_an_archive_is_taken_from_it_and_the_archive_is_not_kept(serve, cache):
    body = packed(CONTENT + b"more")
    broken, whole = serve(body, limit=1000), serve(body)
    source = toy_archive(body, broken.url, whole.url)
    assert fetch(source, "file") == CONTENT
    assert whole.asked == ["bytes=1000-"]
    assert names(cache) == ["file"]
    assert fetch(source, "file") == CONTENT
    assert len(whole.asked) == 1


@unchecked
def test_an_altered_archive_is_refused_and_not_kept(serve, cache):
    other = packed(b"other" * 2000)
    with pytest.raises(ConnectionError, match=sha256(other).hexdigest()):
        fetch(toy_archive(packed(CONTENT), serve(other).url), "file")
    assert names(cache) == []


# ---- the user's own folder --------------------------------------------------------------------


@pytest.fixture
def own(tmp_path, monkeypatch):
    """An empty folder toy/ in what DROPOUT_DATA names."""
    monkeypatch.setenv("DROPOUT_DATA", str(tmp_path))
    folder = tmp_path / "toy"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(("name", "content"), [("file", CONTENT), ("file.gz", PACKED)])
def test_a_folder_may_hold_the_file_plain_or_packed(own, name, content):
    (own / name).write_bytes(content)
    assert fetch(toy(), "file") == CONTENT


def test_a_folder_that_is_named_goes_before_dropout_data(own, tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    assert fetch(toy(), "file", tmp_path) == CONTENT


@unchecked
@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("file", b"altered", sha256(b"altered").hexdigest()),
        ("file.gz", PACKED[:-20], "truncated or damaged"),
        ("file.gz", PACKED[:500] + b"?" + PACKED[501:], "truncated or damaged"),
        ("file.gz", b"", sha256(b"").hexdigest()),
    ],
)
def test_a_bad_file_of_the_users_is_named_and_left_alone(own, name, content, fault):
    (own / name).write_bytes(content)
    with pytest.raises(ValueError, match=fault) as error:
        fetch(toy(), "file")
    assert str(own / name) in str(error.value)
    assert sha256(CONTENT).hexdigest() in str(error.value)
    assert (own / name).read_bytes() == content


@unchecked
def test_a_folder_without_the_file_says_what_is_looked_for(own):
    with pytest.raises(FileNotFoundError) as error:
        fetch(toy(), "file")
    assert f"{own} holds neither file nor file.gz" in str(error.value)
    assert "leaving DROPOUT_DATA unset" in str(error.value)


@unchecked
def test_dropout_data_that_is_no_folder_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("DROPOUT_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"DROPOUT_DATA is '.*nowhere'.* is not a folder"):
        fetch(toy(), "file")


@unchecked
def test_mnist_in_an_empty_folder_names_the_first_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"holds neither {next(iter(MNIST.files))}"):
        mnist(tmp_path)
