"""Files of data sets: none is used that is not the one asked for, and a download goes on."""

import gzip
import tarfile
import threading
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest

from dropout.training.sources import Archive, Source, cache_folder, fetch, own_folder
from tests.training.conftest import CONTENT, PACKED, Mirror

unchecked = pytest.mark.unchecked


# ---- files and mirrors, with stand-ins ----------------------------------------------------------


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


def test_a_tilde_that_no_shell_has_expanded_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "~/kept")
    monkeypatch.setenv("DROPOUT_DATA", "~/data")
    assert cache_folder() == tmp_path / "kept" / "dropout-book"
    assert own_folder(toy()) == tmp_path / "data" / "toy"


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
    archive = Archive("toy.tar.gz", sha256(body).hexdigest(), members)
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


def test_a_packed_file_may_be_taken_as_it_is(serve, cache, tmp_path):
    broken, whole = serve(limit=1000), serve()
    hashes = {"file.gz": sha256(PACKED).hexdigest()}
    source = Source("toy", hashes, (broken.url, whole.url), suffix="", as_is=True)
    assert fetch(source, "file.gz") == PACKED
    assert whole.asked == ["bytes=1000-"]
    assert fetch(source, "file.gz", cache) == PACKED
    (tmp_path / "file.gz").write_bytes(gzip.compress(CONTENT, 1, mtime=0))
    with pytest.raises(ValueError, match=r"file\.gz is altered"):
        fetch(source, "file.gz", tmp_path)


# ---- the user's own folder --------------------------------------------------------------------


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
