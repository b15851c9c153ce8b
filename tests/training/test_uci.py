"""The sets for regression: read as their folder says, checked, and split as in the paper."""

import os
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch

from dropout.training import uci as module
from dropout.training.sources import Source
from dropout.training.uci import CHECKED, NAMES, RUN, UCI, uci, uci_results

unchecked = pytest.mark.unchecked
real = pytest.mark.skipif(
    not Path(os.environ.get("DROPOUT_DATA", ""), "uci").is_dir(),
    reason="DROPOUT_DATA has no uci",
)

# Column 1 is the target, column 2 is neither; two splits of four rows.
TOY = {
    "data/data.txt": "1.0\t 10 7 -2\n2 20 7 0.5 \n\n3 30 7 4\n4 40 7 1e1\n\n",
    "data/index_features.txt": "3\n0\n",
    "data/index_target.txt": "1\n",
    "data/index_train_0.txt": "2\n0\n1\n",
    "data/index_test_0.txt": "3\n",
    "data/index_train_1.txt": "3.000e+00\n1.000e+00\n",
    "data/index_test_1.txt": "0\n2",
    "data/n_splits.txt": "2\n",
    "data/dropout_rates.txt": "0.005\n0.1",
    "data/tau_values.txt": "0.5\n",
    "data/n_hidden.txt": "50\n",
    "data/n_epochs.txt": "40\n",
    f"results/test_MC_rmse_{RUN}.txt": "1.5\n2.5\n",
    f"results/test_ll_{RUN}.txt": "-1.25\n-2.25\n",
    f"results/test_rmse_{RUN}.txt": "1.75\n2.75\n",
    f"results/validation_ll_{RUN}.txt": (
        "Dropout_Rate: 0.005 Tau: 0.5 :: -3.0\nDropout_Rate: 0.1 Tau: 0.25 :: -2e0\n"
        "Dropout_Rate: 0.005 Tau: 0.5 :: -1.0\nDropout_Rate: 0.1 Tau: 0.25 :: -inf\n"
    ),
}


@pytest.fixture
def write(tmp_path):
    """Write a set of which no hash is known, with changes: a text for a file, or None for no file.

    What comes back is the folder of sets.
    """

    def toy(name: str = "kin8nm", **changes: str | None):
        named = {f"data/{file}.txt": text for file, text in changes.items()}
        for file, text in (TOY | named).items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is not None:
                path.write_text(text)
        return tmp_path

    return toy


# ---- what is read -------------------------------------------------------------------------------


def test_columns_and_rows_are_those_of_the_index_files(write):
    toy = uci("kin8nm", write())
    assert toy.x.tolist() == [[-2, 1], [0.5, 2], [4, 3], [10, 4]]
    assert toy.y.tolist() == [10, 20, 30, 40]
    assert [[part.tolist() for part in split] for split in toy.splits] == [
        [[2, 0, 1], [3]],
        [[3, 1], [0, 2]],
    ]
    train, test = toy.splits[0]
    assert (toy.x.dtype, toy.y.dtype) == (torch.float64, torch.float64)
    assert (toy.x[train].shape, toy.y[test].shape) == ((3, 2), (1,))


def test_the_authors_grids_and_sizes_are_those_of_the_folder(write):
    toy = uci("kin8nm", write())
    assert (toy.dropout_rates, toy.tau_values) == ((0.005, 0.1), (0.5,))
    assert (toy.n_hidden, toy.n_epochs) == (50, 40)


def test_what_only_the_authors_used_need_not_be_there(write):
    files = "dropout_rates", "tau_values", "n_hidden", "n_epochs", "n_splits"
    toy = uci("kin8nm", write(**dict.fromkeys(files)))
    assert (toy.dropout_rates, toy.tau_values) == ((), ())
    assert (toy.n_hidden, toy.n_epochs) == (None, None)
    assert len(toy.splits) == 2


def test_a_folder_may_hold_a_set_of_any_name_and_dropout_data_names_it_too(write, monkeypatch):
    monkeypatch.setenv("DROPOUT_DATA", str(write("uci/my-own").resolve()))
    assert uci("my-own").y.tolist() == [10, 20, 30, 40]
    assert uci("my-own", Path(os.environ["DROPOUT_DATA"]) / "uci").n_hidden == 50


def test_results_are_a_number_a_split_with_the_choice_of_the_best_validation(write):
    found = uci_results("kin8nm", write())
    assert {name: column.tolist() for name, column in vars(found).items()} == {
        "rmse": [1.5, 2.5],
        "log_likelihood": [-1.25, -2.25],
        "one_pass_rmse": [1.75, 2.75],
        "dropout_rate": [0.1, 0.005],
        "tau": [0.25, 0.5],
    }


# ---- what is refused ----------------------------------------------------------------------------


@unchecked
@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("data", "1 2 3 4\n1 2 3\n", "kin8nm/data/data.txt is not a table of numbers"),
        ("data", "1 2 3 x\n", "kin8nm/data/data.txt is not a table of numbers"),
        ("data", "1 2 3 nan\n", "data.txt is not a table of numbers: not all are finite"),
        ("data", "\n\n", "data.txt is not a table of numbers: it is empty"),
        ("index_features", "0\n4\n", "index_features.txt must list numbers from 0 to 3"),
        ("index_features", "0\n-1\n", "index_features.txt must list numbers from 0 to 3"),
        ("index_features", "0\n1\n", "index_target.txt must name one column, and no feature"),
        ("index_features", "0\n0\n", "index_features.txt must list different whole numbers"),
        ("index_target", "1\n2\n", "index_target.txt must name one column, and no feature"),
        ("index_train_1", "0.5\n", "index_train_1.txt must list different whole numbers"),
        ("index_test_1", "4\n", "index_test_1.txt must list numbers from 0 to 3"),
        ("index_test_0", "3\n2\n", "kin8nm/data has rows in index_train_0 and index_test_0"),
        ("n_hidden", "50\n50\n", "n_hidden.txt must hold a whole number"),
        ("n_epochs", "2.5\n", "n_epochs.txt must hold a whole number"),
    ],
)
def test_a_malformed_file_is_named(write, file, text, fault):
    with pytest.raises(ValueError, match=fault):
        uci("kin8nm", write(**{file: text}))


@unchecked
@pytest.mark.parametrize(
    "file", ["data", "index_features", "index_target", "index_train_0", "index_test_1"]
)
def test_a_missing_file_is_named(write, file):
    with pytest.raises(FileNotFoundError, match=f"holds neither kin8nm/data/{file}.txt nor") as e:
        uci("kin8nm", write(**{file: None}))
    assert "downloaded" not in str(e.value)


@unchecked
def test_fewer_splits_than_the_folder_says_are_no_set(write):
    with pytest.raises(FileNotFoundError, match=r"index_train_2\.txt"):
        uci("kin8nm", write(n_splits="3\n"))


@unchecked
@pytest.mark.parametrize(
    ("kind", "text", "fault"),
    [
        ("test_ll", "-1\n", r"results has files of \[2, 1, 2, 2, 2\] splits"),
        ("validation_ll", "Dropout_Rate: 0.1 Tau: 1 :: -1\n", "has 1 lines for 2 splits"),
        ("validation_ll", "", "has 0 lines for 2 splits"),
    ],
)
def test_results_that_do_not_agree_are_refused(write, kind, text, fault):
    folder = write()
    (folder / f"kin8nm/results/{kind}_{RUN}.txt").write_text(text)
    with pytest.raises(ValueError, match=fault):
        uci_results("kin8nm", folder)


@unchecked
@pytest.mark.parametrize("load", [uci, uci_results])
@pytest.mark.parametrize(
    ("name", "near"),
    [("yatch", "yacht"), ("boston", "bostonHousing"), ("../uci/yacht", "yacht"), ("q", "energy")],
)
def test_an_unknown_name_is_refused_with_those_near(load, name, near, tmp_path):
    with pytest.raises(
        ValueError, match=f"name must be that of a set, as .*{near}.*; got '{name}'"
    ):
        load(name, tmp_path)


@unchecked
def test_a_set_without_known_hashes_is_not_downloaded_and_the_error_says_so(cache, tmp_path):
    with pytest.raises(FileNotFoundError, match="is read from a folder only, and none is named"):
        uci("power-plant")
    with pytest.raises(FileNotFoundError, match="put its files into power-plant/data in a folder"):
        uci("power-plant", tmp_path)
    assert not cache.parent.exists()


@unchecked
def test_a_set_with_known_hashes_must_have_them(write):
    with pytest.raises(ValueError, match=r"yacht/data/data\.txt is altered: SHA-256 00dfecc0"):
        uci("yacht", write("yacht"))


# ---- the download -------------------------------------------------------------------------------


@pytest.fixture
def published(monkeypatch, cache):
    """Publish the toy as yacht at an address; what comes back does."""

    def at(*mirrors: str) -> None:
        hashes = {f"yacht/{file}": sha256(text.encode()).hexdigest() for file, text in TOY.items()}
        monkeypatch.setattr(module, "UCI", Source("uci", hashes, mirrors, suffix=""))

    return at


BODIES = {f"yacht/{file}": text.encode() for file, text in TOY.items()}


def test_files_are_downloaded_as_they_are_once(serve, published, cache):
    mirror = serve(BODIES)
    published(mirror.url)
    for _ in range(2):
        assert uci("yacht").n_epochs == 40
        assert uci_results("yacht").tau.tolist() == [0.25, 0.5]
    assert mirror.asked == [None] * len(TOY)
    kept = cache.with_name("uci")
    assert {str(path.relative_to(kept)): path.read_bytes() for path in kept.rglob("*.*")} == BODIES


def test_a_broken_download_of_a_set_goes_on_where_it_broke(serve, published):
    broken, whole = serve(BODIES, limit=20), serve(BODIES)
    published(broken.url)
    with pytest.raises(ConnectionError, match=r"cannot fetch uci/yacht/data/data\.txt"):
        uci("yacht")
    published(whole.url)
    assert uci("yacht").y.tolist() == [10, 20, 30, 40]
    assert whole.asked[0] == "bytes=20-"


@unchecked
def test_a_set_altered_at_its_mirror_is_refused(serve, published):
    published(serve(BODIES | {"yacht/data/tau_values.txt": b"0.6\n"}).url)
    with pytest.raises(ConnectionError, match=r"cannot fetch uci/yacht/data/tau_values\.txt"):
        uci("yacht")


# ---- the real files -----------------------------------------------------------------------------


def test_each_set_with_known_hashes_has_all_that_is_read():
    assert CHECKED == ("bostonHousing", "concrete", "energy", "wine-quality-red", "yacht")
    assert set(CHECKED) < set(NAMES)
    files = {
        *("data", "index_features", "index_target", "dropout_rates", "tau_values"),
        *("n_hidden", "n_epochs", "n_splits"),
        *(f"index_{part}_{k}" for part in ("train", "test") for k in range(20)),
    }
    kinds = "test_MC_rmse", "test_ll", "test_rmse", "validation_ll"
    for name in CHECKED:
        assert {file for file in UCI.files if file.startswith(f"{name}/")} == {
            *(f"{name}/data/{file}.txt" for file in files),
            *(f"{name}/results/{kind}_{RUN}.txt" for kind in kinds),
        }
    assert all(len(bytes.fromhex(hash)) == 32 for hash in UCI.files.values())


@real
@pytest.mark.parametrize(
    ("name", "rows", "features", "first", "last"),
    [
        ("bostonHousing", 506, 13, 24.0, 11.9),
        ("concrete", 1030, 8, 79.99, 32.4),
        ("energy", 768, 8, 15.55, 16.64),
        ("wine-quality-red", 1599, 11, 5.0, 6.0),
        ("yacht", 308, 6, 0.11, 46.66),
    ],
)
def test_a_real_set_has_the_papers_size_and_twenty_splits(name, rows, features, first, last):
    found = uci(name)
    assert found.x.shape == (rows, features)
    assert (found.y[0], found.y[-1]) == (first, last)
    assert len(found.splits) == 20
    for train, test in found.splits:
        assert len(test) == round(rows / 10)
        assert torch.cat([train, test]).sort().values.tolist() == list(range(rows))
    assert found.dropout_rates == (0.005, 0.01, 0.05, 0.1)
    assert len(found.tau_values) == 3
    assert (found.n_hidden, found.n_epochs) == (50, 40)


@real
@pytest.mark.parametrize(
    ("name", "rmse", "likelihood"),
    [
        ("bostonHousing", 2.90, -2.40),
        ("concrete", 4.82, -2.93),
        ("energy", 0.54, -1.21),
        ("wine-quality-red", 0.62, -0.93),
        ("yacht", 0.67, -1.25),
    ],
)
def test_the_authors_results_have_the_means_of_their_table(name, rmse, likelihood):
    found = uci_results(name)  # the table has two decimals, here rounded and there cut off
    assert abs(found.rmse.mean() - rmse) < 0.01
    assert abs(found.log_likelihood.mean() - likelihood) < 0.01
    assert {len(column) for column in vars(found).values()} == {20}


@real
@pytest.mark.parametrize("name", CHECKED)
def test_the_tau_of_the_best_validation_is_the_one_that_the_authors_stored(name):
    stored = Path(os.environ["DROPOUT_DATA"], "uci", name, f"results/test_tau_{RUN}.txt")
    assert uci_results(name).tau.tolist() == np.loadtxt(stored).tolist()
