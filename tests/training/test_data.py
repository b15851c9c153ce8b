"""The sets of images: the same split everywhere, and the published ones in their order."""

import os
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from dropout.training import data
from dropout.training.data import (
    cifar10,
    digits,
    fashion_mnist,
    mnist,
    parse_cifar,
    parse_idx,
    shuffled,
)
from dropout.training.sources import Source

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


@unchecked
@pytest.mark.parametrize("load", [mnist, fashion_mnist])
def test_an_empty_folder_names_the_first_missing_file(load, tmp_path):
    with pytest.raises(FileNotFoundError, match="holds neither train-images-idx3-ubyte nor"):
        load(tmp_path)


def test_images_and_labels_of_idx_files_follow_their_headers():
    images = parse_idx(bytes(16) + bytes([0, 51, 102, 153, 204, 255]), bytes(8) + bytes([7, 2]))
    assert images.y.tolist() == [7, 2]
    torch.testing.assert_close(images.x, torch.arange(6).reshape(2, 3).double() / 5)


# ---- Fashion-MNIST ----------------------------------------------------------------------------


def test_fashion_mnist_is_read_like_mnist_and_from_a_folder_of_its_own(tmp_path, monkeypatch):
    contents = [bytes(16) + bytes([255, 0]), bytes(8) + bytes([9])] * 2
    hashes = {
        file: sha256(content).hexdigest()
        for file, content in zip(data.FASHION_MNIST.files, contents, strict=True)
    }
    monkeypatch.setattr(data, "FASHION_MNIST", Source("fashion_mnist", hashes, ()))
    monkeypatch.setenv("DROPOUT_DATA", str(tmp_path))
    (tmp_path / "fashion_mnist").mkdir()
    for file, content in zip(hashes, contents, strict=True):
        (tmp_path / "fashion_mnist" / file).write_bytes(content)
    for part in fashion_mnist():
        assert part.x.tolist() == [[1, 0]]
        assert part.y.tolist() == [9]


def test_no_file_of_fashion_mnist_passes_for_one_of_mnist():
    files = [set(source.files.values()) for source in (data.MNIST, data.FASHION_MNIST)]
    assert len(files[0] | files[1]) == 8
    assert list(data.MNIST.files) == list(data.FASHION_MNIST.files)


@pytest.mark.skipif(
    not Path(os.environ.get("DROPOUT_DATA", ""), "fashion_mnist").is_dir(),
    reason="DROPOUT_DATA has no fashion_mnist",
)
def test_fashion_mnist_is_complete_and_balanced():
    for part, each in zip(fashion_mnist(), (6000, 1000), strict=True):
        assert part.x.shape == (10 * each, 784)
        assert part.y.bincount().tolist() == [each] * 10
        assert (part.x.min(), part.x.max()) == (0, 1)


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
