"""Files of data sets: read from a folder or downloaded, and checked before use.

A file is looked for in the folder that $DROPOUT_DATA names, where that is set, and otherwise in a
per-user cache that is filled by download. Its SHA-256, taken of the uncompressed bytes unless the
source says otherwise, decides whether it is the file that was asked for.

The download is our own since pooch 1.9, which does the like, starts a broken one anew, knows one
address a file, and checks the packed file, not what is in it.
"""

import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from http.client import HTTPException
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import HTTPError
from urllib.request import Request, urlopen


@dataclass(frozen=True)
class Archive:
    """A .tar.gz that holds a data set's files: its name, its SHA-256 and, for each, where.

    A member of the archive and the number of bytes at its beginning that are the file.
    """

    name: str
    sha256: str
    members: Mapping[str, tuple[str, int]]


@dataclass(frozen=True)
class Source:
    """A data set's files: folder name, SHA-256 of each uncompressed file, where to get them.

    Each is its name and `suffix` at a mirror, or all of them lie in one archive there. Where they
    are taken `as_is`, a packed file is one with that SHA-256, and is not uncompressed.
    """

    name: str
    files: Mapping[str, str]
    mirrors: tuple[str, ...]
    archive: Archive | None = None
    suffix: str = ".gz"
    as_is: bool = False

    def read(self, file: str, path: Path) -> bytes:
        """The bytes of one of the files, which lies at a path, if they have its SHA-256."""
        return (unaltered if self.as_is else checked)(path, self.files[file])


def fetch(source: Source, file: str, folder: str | Path | None = None) -> bytes:
    """The bytes of one file of a source, checked: from a folder or by download.

    A file in `folder` or below $DROPOUT_DATA is only ever read. In the cache a bad one is replaced.
    """
    if own_folder(source, folder) is None:
        return download(source, file)
    return source.read(file, located(source, file, folder))


def own_folder(source: Source, folder: str | Path | None = None) -> Path | None:
    """The user's folder of a source's files: the one named, or below $DROPOUT_DATA, or None."""
    if folder is not None:
        return Path(folder)
    data = os.environ.get("DROPOUT_DATA")
    return Path(data).expanduser() / source.name if data else None


def located(source: Source, file: str, folder: str | Path | None = None) -> Path:
    """Where a file lies in the user's folder; raises FileNotFoundError where it does not."""
    where = own_folder(source, folder)
    assert where is not None
    if (path := find(where, file)) is not None:
        return path
    setting = f"DROPOUT_DATA is {os.environ['DROPOUT_DATA']!r}, but " if folder is None else ""
    fault = f"holds neither {file} nor {file}.gz" if where.is_dir() else "is not a folder"
    way = ", or have them downloaded by leaving DROPOUT_DATA unset and naming no folder"
    raise FileNotFoundError(
        f"{setting}{where} {fault}: put the files of {source.name} there"
        + (way if file in source.files else "")
    )


def cache_folder() -> Path:
    """Where downloads are kept: $XDG_CACHE_HOME/dropout-book, by default below ~/.cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache.expanduser() / "dropout-book"


def find(folder: Path, file: str) -> Path | None:
    """The file in the folder, unpacked or packed, or None."""
    return next((p for p in (folder / file, folder / f"{file}.gz") if p.is_file()), None)


def unpacked(path: Path) -> bytes:
    """The uncompressed bytes of a file, plain or gzip."""
    content = path.read_bytes()
    if content[:2] != b"\x1f\x8b":  # gzip's magic number, which no file of ours begins with
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} is truncated or damaged ({error})") from None


def checked(path: Path, expected: str) -> bytes:
    """The uncompressed bytes of a file, plain or gzip, if they have the expected SHA-256."""
    try:
        content = unpacked(path)
    except ValueError as error:
        raise ValueError(
            f"{error}: SHA-256 {expected} expected of its content; replace the file"
        ) from None
    return same(path, content, expected)


def unaltered(path: Path, expected: str) -> bytes:
    """The bytes of a file as they are, if they have the expected SHA-256."""
    return same(path, path.read_bytes(), expected)


def same(path: Path, content: bytes, expected: str) -> bytes:
    """The content of a file, if it has the expected SHA-256."""
    found = sha256(content).hexdigest()
    if found != expected:
        raise ValueError(f"{path} is altered: SHA-256 {expected} expected, {found} found")
    return content


def download(source: Source, file: str) -> bytes:
    """A file of the cache, fetched from the first mirror that has it where it is missing or bad."""
    failures = []
    try:
        folder = cache_folder() / source.name
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        if (path := find(folder, file)) is not None:
            try:
                return source.read(file, path)
            except ValueError as error:
                failures.append(str(error))
                path.unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        failures.append(f"no place to keep it: {error}")
    else:
        for mirror in source.mirrors:
            try:
                if source.archive:
                    return unpack(source, mirror, folder)[file]
                return single(source, file, mirror, folder)
            except (OSError, HTTPException, ValueError) as error:
                failures.append(f"{mirror}: {error}")
    raise ConnectionError(
        f"cannot fetch {source.name}/{file} ({'; '.join(failures)}). Connect to the network and "
        "call again: a broken download is resumed. Or set DROPOUT_DATA to a folder that holds "
        f"{source.name}/{file}{source.suffix}. Downloads are kept below XDG_CACHE_HOME, by default "
        "~/.cache, where there must be room to write"
    )


@contextmanager
def claimed(part: Path) -> Iterator[Path]:
    """A file for one call alone: the part that a broken download left, where there is one.

    What is there in the end becomes the part. So two processes never write into one file.
    """
    with TemporaryDirectory(dir=part.parent) as folder:
        mine = Path(folder) / part.name
        with suppress(FileNotFoundError):
            part.replace(mine)
        try:
            yield mine
        finally:
            with suppress(FileNotFoundError):
                mine.replace(part)


def single(source: Source, file: str, mirror: str, folder: Path) -> bytes:
    """A file that a mirror has by itself, put into the folder."""
    name = f"{file}{source.suffix}"
    with claimed(folder / f"{name}.part") as part:
        content = resume(f"{mirror}{name}", part, partial(source.read, file))
        part.replace(folder / name)
        return content


def unpack(source: Source, mirror: str, folder: Path) -> dict[str, bytes]:
    """The files of a source's archive, fetched from a mirror, and put into the folder."""
    archive = source.archive
    assert archive is not None
    found = {}
    with claimed(folder / f"{archive.name}.part") as part:
        check = partial(unaltered, expected=archive.sha256)
        packed = BytesIO(resume(f"{mirror}{archive.name}", part, check))
        with tarfile.open(fileobj=packed) as tar:
            for file, (member, size) in archive.members.items():
                content = tar.extractfile(member).read(size)  # type: ignore[union-attr]
                written = part.with_name(file)
                written.write_bytes(content)
                found[file] = source.read(file, written)
                written.replace(folder / file)
        part.unlink()
    return found


def resume(url: str, part: Path, check: Callable[[Path], bytes]) -> bytes:
    """The checked content of a URL, of which `part` may already hold the beginning.

    A complete but wrong part is deleted; if its beginning was there before, the URL is read anew.
    """
    start = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urlopen(request, timeout=30) as reply:
            start = start if reply.status == 206 else 0
            with part.open("ab" if start else "wb") as out:
                shutil.copyfileobj(reply, out)
        length = reply.headers["Content-Length"]  # which need not be there
        missing = start + int(length) - part.stat().st_size if length else 0
        if missing:  # urllib does not say so itself
            raise ConnectionError(f"the connection broke with {missing} bytes to come")
    except HTTPError as error:
        if error.code != 416:  # range not satisfiable: the part is already as long as the file
            raise
    try:
        return check(part)
    except ValueError:
        part.unlink()
        if start:
            return resume(url, part, check)
        raise
