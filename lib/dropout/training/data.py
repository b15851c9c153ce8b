"""Data sets: fixed splits, the same on every machine, and files that are checked before use.

A file is looked for in the folder that $DROPOUT_DATA names, where that is set, and otherwise in a
per-user cache that is filled by download. Its SHA-256, taken of the uncompressed bytes, decides
whether it is the file that was asked for.

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
from hashlib import sha256
from http.client import HTTPException
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dropout.mask import MASK32, MaskKey, philox4x32

SPLIT_STREAM = MASK32  # the last stream, so that no layer's mask shares a split's random words
DIGITS_TRAIN, DIGITS_VALIDATION, DIGITS_TEST = 1000, 297, 500


@dataclass(frozen=True)
class Images:
    """Labelled images: for each its pixels, as a rule a row of numbers in [0, 1], and a class."""

    x: Float[Tensor, "n *pixels"]
    y: Int64[Tensor, "n"]


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

    Each is name.gz at a mirror, or all of them lie in one archive there.
    """

    name: str
    files: Mapping[str, str]
    mirrors: tuple[str, ...]
    archive: Archive | None = None


MNIST = Source(
    name="mnist",
    files={
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738"
        "ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5"
        "333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77"
        "db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351"
        "222c34898ecbeaf847f06e48f7ec33f2",
    },
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
)

CIFAR_BATCH = 10_000  # images a file
CIFAR_RECORD = 1 + 3 * 32 * 32  # bytes: a class, then the red, green and blue of 32 x 32 pixels
CIFAR_TRAIN = 3 * CIFAR_BATCH
CIFAR10 = Source(
    name="cifar10",
    files={
        "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        "test_first_1000.bin": "8314c96d7cd65618193bab23acdd5d4c4af15bf6dd00a1781d55beedf3be1ef5",
    },
    mirrors=("https://www.cs.toronto.edu/~kriz/",),
    archive=Archive(
        name="cifar-10-binary.tar.gz",
        sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        members={
            f"{name}.bin": (f"cifar-10-batches-bin/{member}.bin", images * CIFAR_RECORD)
            for name, member, images in (
                *((f"data_batch_{k}", f"data_batch_{k}", CIFAR_BATCH) for k in (1, 2, 3)),
                ("test_first_1000", "test_batch", 1000),
            )
        },
    ),
)


def digits(*, train: int = DIGITS_TRAIN, seed: int = 0) -> tuple[Images, Images, Images]:
    """The 1,797 handwritten digits of 8 x 8 pixels in scikit-learn: train, validation, test.

    The seed shuffles them; the first 500 are for testing, the next 297 for validation, and the
    next `train` (at most 1,000) for training, so that a smaller training set is part of a larger
    one and the two others stay as they are. Needs no network, but scikit-learn, which
    comes with the package's extra `book`.

    >>> train, validation, test = digits(train=200)
    >>> train.x.shape, validation.x.shape, test.x.shape
    (torch.Size([200, 64]), torch.Size([297, 64]), torch.Size([500, 64]))
    """
    if isinstance(train, bool) or train not in range(1, DIGITS_TRAIN + 1):
        raise ValueError(f"train must be from 1 to {DIGITS_TRAIN} images, got {train!r}")
    from sklearn.datasets import load_digits  # not for those who bring their own data

    pixels, classes = (torch.from_numpy(a) for a in load_digits(return_X_y=True))
    order = torch.from_numpy(shuffled(len(pixels), seed))
    parts = order[: DIGITS_TEST + DIGITS_VALIDATION + train].split(
        [DIGITS_TEST, DIGITS_VALIDATION, train]
    )
    test, validation, training = (Images(pixels[i] / 16, classes[i].long()) for i in parts)
    return training, validation, test


def mnist(folder: str | Path | None = None) -> tuple[Images, Images]:
    """The 60,000 training and 10,000 test images of MNIST, 28 x 28 pixels, in their original order.

    The four idx files, plain or .gz, are read from `folder`, else from $DROPOUT_DATA/mnist, else
    from the cache, which is filled by download. Raises ConnectionError where no mirror answers or
    the cache cannot be written, FileNotFoundError where the folder lacks a file, and ValueError
    where a file is altered. LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to
    document recognition", Proceedings of the IEEE 86 (1998).
    """
    images, labels, test_images, test_labels = (fetch(MNIST, file, folder) for file in MNIST.files)
    return parse_idx(images, labels), parse_idx(test_images, test_labels)


def cifar10(folder: str | Path | None = None, *, train: int = 10_000) -> tuple[Images, Images]:
    """The first `train` training images of CIFAR-10, at most 30,000, and the first 1,000 for tests.

    Rows of 3,072 pixels, for `x.reshape(-1, 3, 32, 32)`, in their original order. The files
    data_batch_1.bin (to 3) and test_first_1000.bin, plain or .gz, are read from `folder`, else from
    $DROPOUT_DATA/cifar10, else from the cache, which is filled from the binary release, a download
    of 162 MiB. Raises ConnectionError where the mirror does not answer or the cache
    cannot be written, FileNotFoundError where the
    folder lacks a file, and ValueError where a file is altered or `train` is out of range.
    Krizhevsky, "Learning multiple layers of features from tiny images" (2009).
    """
    if isinstance(train, bool) or train not in range(1, CIFAR_TRAIN + 1):
        raise ValueError(f"train must be from 1 to {CIFAR_TRAIN} images, got {train!r}")
    *batches, test = CIFAR10.files
    needed = batches[: -(-train // CIFAR_BATCH)]
    records = b"".join(fetch(CIFAR10, file, folder) for file in needed)[: train * CIFAR_RECORD]
    return parse_cifar(records), parse_cifar(fetch(CIFAR10, test, folder))


def parse_cifar(records: bytes) -> Images:
    """The images in records of the binary release."""
    rows = np.frombuffer(records, np.uint8).reshape(-1, CIFAR_RECORD)
    return Images(
        torch.from_numpy(rows[:, 1:] / 255), torch.from_numpy(rows[:, 0].astype(np.int64))
    )


def parse_idx(images: bytes, labels: bytes) -> Images:
    """The images in a pair of idx files, whose headers are 16 and 8 bytes long."""
    y = np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)
    x = np.frombuffer(images, np.uint8, offset=16).reshape(len(y), -1) / 255
    return Images(torch.from_numpy(x), torch.from_numpy(y))


def shuffled(n: int, seed: int) -> Int64[np.ndarray, "n"]:
    """The numbers below n, sorted by 64 random bits each: no library's generator is involved."""
    key = MaskKey(seed, stream=SPLIT_STREAM)
    counter = np.zeros((n, 4), np.uint32)
    counter[:, 0], counter[:, 2] = np.arange(n), key.stream
    words = philox4x32(counter, (key.seed & MASK32, key.seed >> 32)).astype(np.uint64)
    return np.argsort(words[:, 0] << 32 | words[:, 1], kind="stable")


def fetch(source: Source, file: str, folder: str | Path | None = None) -> bytes:
    """The uncompressed bytes of one file of a source, checked: from a folder or by download.

    A file in `folder` or below $DROPOUT_DATA is only ever read. In the cache a bad one is replaced.
    """
    if folder is not None:
        where, setting = Path(folder), ""
    elif data := os.environ.get("DROPOUT_DATA"):
        where, setting = Path(data) / source.name, f"DROPOUT_DATA is {data!r}, but "
    else:
        return download(source, file)
    if (path := find(where, file)) is None:
        fault = f"holds neither {file} nor {file}.gz" if where.is_dir() else "is not a folder"
        raise FileNotFoundError(
            f"{setting}{where} {fault}: put the files of {source.name} there, or have them "
            "downloaded by leaving DROPOUT_DATA unset and naming no folder"
        )
    return checked(path, source.files[file])


def cache_folder() -> Path:
    """Where downloads are kept: $XDG_CACHE_HOME/dropout-book, by default below ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dropout-book"


def find(folder: Path, file: str) -> Path | None:
    """The file in the folder, unpacked or packed, or None."""
    return next((p for p in (folder / file, folder / f"{file}.gz") if p.is_file()), None)


def checked(path: Path, expected: str) -> bytes:
    """The uncompressed bytes of a file, plain or gzip, if they have the expected SHA-256."""
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":  # gzip's magic number, which no idx file begins with
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(
                f"{path} is truncated or damaged ({error}): SHA-256 {expected} expected of its "
                "content; replace the file"
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
        folder.mkdir(parents=True, exist_ok=True)
        if (path := find(folder, file)) is not None:
            try:
                return checked(path, source.files[file])
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
                with claimed(folder / f"{file}.gz.part") as part:
                    content = resume(f"{mirror}{file}.gz", part, source.files[file], checked)
                    part.replace(folder / f"{file}.gz")
                    return content
            except (OSError, HTTPException, ValueError) as error:
                failures.append(f"{mirror}: {error}")
    raise ConnectionError(
        f"cannot fetch {source.name}/{file} ({'; '.join(failures)}). Connect to the network and "
        "call again: a broken download is resumed. Or set DROPOUT_DATA to a folder that holds "
        f"{source.name}/{file}.gz. Downloads are kept below XDG_CACHE_HOME, by default ~/.cache, "
        "where there must be room to write"
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


def unpack(source: Source, mirror: str, folder: Path) -> dict[str, bytes]:
    """The files of a source's archive, fetched from a mirror, and put into the folder."""
    archive = source.archive
    assert archive is not None
    found = {}
    with claimed(folder / f"{archive.name}.part") as part:
        packed = BytesIO(resume(f"{mirror}{archive.name}", part, archive.sha256, unaltered))
        with tarfile.open(fileobj=packed) as tar:
            for file, (member, size) in archive.members.items():
                content = tar.extractfile(member).read(size)  # type: ignore[union-attr]
                written = part.with_name(file)
                written.write_bytes(content)
                found[file] = checked(written, source.files[file])
                written.replace(folder / file)
        part.unlink()
    return found


def resume(url: str, part: Path, expected: str, check: Callable[[Path, str], bytes]) -> bytes:
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
        return check(part, expected)
    except ValueError:
        part.unlink()
        if start:
            return resume(url, part, expected, check)
        raise
