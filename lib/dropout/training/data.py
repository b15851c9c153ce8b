"""Images to train on: fixed splits, the same on every machine, from files that are checked.

`dropout.training.sources` says where the files are looked for. Beside these sets there are
`dropout.training.uci`, for regression, and `dropout.training.reviews`, texts.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dropout.mask import MASK32, MaskKey, philox4x32
from dropout.training.sources import Archive, Source, fetch

SPLIT_STREAM = MASK32  # the last stream, so that no layer's mask shares a split's random words
DIGITS_TRAIN, DIGITS_VALIDATION, DIGITS_TEST = 1000, 297, 500


@dataclass(frozen=True)
class Images:
    """Labelled images: for each its pixels, as a rule a row of numbers in [0, 1], and a class."""

    x: Float[Tensor, "n *pixels"]
    y: Int64[Tensor, "n"]


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

FASHION_MNIST = Source(
    name="fashion_mnist",
    files={
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f8388776"
        "8d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec29"
        "4ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe0"
        "87ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494"
        "c5af83dab82d92729df917d7dec38c34",
    },
    mirrors=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
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
    return idx_files(MNIST, folder)


def fashion_mnist(folder: str | Path | None = None) -> tuple[Images, Images]:
    """The 60,000 training and 10,000 test images of Fashion-MNIST, in their original order.

    Articles of clothing in ten classes, in the format of `mnist`, which says where the files are
    read from and what is raised: the folder below $DROPOUT_DATA is fashion_mnist. Xiao, Rasul and
    Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms"
    (2017), arXiv:1708.07747.
    """
    return idx_files(FASHION_MNIST, folder)


def idx_files(source: Source, folder: str | Path | None) -> tuple[Images, Images]:
    """Training and test images of a source of four idx files."""
    images, labels, *test = (fetch(source, file, folder) for file in source.files)
    return parse_idx(images, labels), parse_idx(*test)


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
