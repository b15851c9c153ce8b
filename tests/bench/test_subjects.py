"""Every subject at a size that takes no time: that it runs, and what its rows and tables say."""

from functools import partial

import pytest
import torch
from torch import nn

from dropout import bench
from dropout import nn as ours
from dropout.bench import bayes, family, masks, start, steps, theory, timing, training
from dropout.experiments import read, results

# torch's own uses of torch.jit.script warn, on first use of the compiler.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

SETTINGS = {"device": "cpu", "sizes": [64, 100], "dtypes": ["float32"], "rates": [0.5]}
SMALL = {
    "MLP": (partial(steps.mlp, 8, 6, 6, 3), (4, 8)),
    "encoder layer": (partial(steps.encoder_layer, 16), (2, 4, 16)),
    "block": (partial(steps.block, 16), (2, 4, 16)),
    "CNN": (steps.cnn, (2, 1, 28, 28)),
    "LSTM": (partial(steps.LSTM, 8, 5, 0.5), (3, 2, 8)),
}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Every subject runs once, on little."""
    for subject in (masks, family):
        monkeypatch.setattr(subject, "TURNS", 1)
        monkeypatch.setattr(subject, "BUDGET", 0.0)
    monkeypatch.setattr(start, "TURNS", 1)
    monkeypatch.setattr(start, "PROGRAMS", dict.fromkeys(start.PROGRAMS, "pass"))
    monkeypatch.setattr(steps, "TURNS", 1)
    monkeypatch.setattr(steps, "BUDGET", 0.0)
    monkeypatch.setattr(steps, "MODELS", SMALL)
    monkeypatch.setattr(bayes, "TURNS", 1)
    monkeypatch.setattr(bayes, "SAMPLES", 3)
    monkeypatch.setattr(bayes, "MODELS", {"small": (partial(bayes.mlp, 8, 6, 3), (4, 8))})
    monkeypatch.setattr(theory, "UNITS", 5)
    monkeypatch.setattr(theory, "ROUNDS", 1)
    monkeypatch.setattr(training, "TURNS", 1)
    monkeypatch.setattr(training, "NETWORKS", 2)
    monkeypatch.setattr(training, "SIZES", (((64, 4, 10), 500),))


@pytest.fixture
def clocked(monkeypatch):
    """Times that are known: each function runs once, and takes a microsecond more than the last."""

    def in_turns(title, functions, turns, budget=0.0, device="cpu"):
        for function in functions.values():
            function()
        return {name: [n * 1e-6] for n, name in enumerate(functions, start=1)}

    for subject in (masks, family):
        monkeypatch.setattr(subject, "in_turns", in_turns)


@pytest.mark.parametrize(
    ("name", "rows", "contenders"),
    [
        ("masks", 2, {"copy", "ours", "F.dropout", "compiled F.dropout"}),
        ("family", 9, {"ours"}),
        ("start", 1, set(start.PROGRAMS)),
        ("steps", len(SMALL), {steps.NONE, steps.THEIRS, steps.OURS}),
        ("bayes", 1, {"loop", "ours"}),
        ("theory", 1, {"doubling", "one product", "one by one"}),
        ("training", 1, {"sweep", "loop"}),
    ],
)
def test_a_subject_returns_the_rows_that_it_prints(name, rows, contenders, capsys):
    state = torch.get_rng_state()
    found = bench.run(name, **SETTINGS)
    assert torch.equal(torch.get_rng_state(), state)
    assert len(found) == rows
    printed = capsys.readouterr().out
    subject = {"masks": masks, "family": family, "start": start, "steps": steps}
    subject |= {"bayes": bayes, "theory": theory, "training": training}
    for row in found:
        assert contenders <= row["seconds"].keys()
        assert all(0 < t["least"] <= t["median"] <= t["greatest"] for t in row["seconds"].values())
        assert subject[name].table(row) in printed


def test_there_is_a_test_of_every_subject():
    (cases,) = (mark.args[1] for mark in test_a_subject_returns_the_rows_that_it_prints.pytestmark)
    assert [case[0] for case in cases] == list(bench.SUBJECTS)


def test_dropout_is_compared_at_each_size_type_and_rate(clocked, capsys):
    rows = masks.run("cpu", [64, 100], ["float32", "float64"], [0.5])
    settings = [(row["dtype"], row["size"]) for row in rows]
    assert settings == [(d, n) for d in ("float32", "float64") for n in (64, 100)]
    lines = capsys.readouterr().out.split("\n\n")[-2].splitlines()
    assert lines[0] == "float64, 100 elements, p = 0.5"
    # The ninth beside the first, and beside the ninth; the eighth beside the ninth.
    assert lines[-1].split()[-2:] == ["9.00", "1.00"]
    assert lines[-2].split()[-2:] == ["8.00", "1.12"]


def test_the_family_runs_and_says_how_many_times_ours_each_of_the_others_takes(clocked, capsys):
    rows = family.run("cpu")
    printed = capsys.readouterr().out
    assert "F.dropout2d 2.00 2.00 2.00 2.00" in " ".join(printed.split())
    assert all("ours" in row["seconds"] and row["variant"] in printed for row in rows)
    for row in rows:
        for name, reason in row["missing"].items():
            assert name not in row["seconds"]
            assert f"{name}: {reason}" in printed


def test_a_library_that_is_not_there_is_named():
    with pytest.raises(ImportError, match="No module named 'no_such_library'"):
        family.other("no_such_library.layers.drop")()


@pytest.mark.parametrize("model", SMALL)
def test_three_models_differ_in_their_dropout_alone(model):
    build, shape = SMALL[model]
    theirs, x = build(), torch.randn(shape)
    mine, none = steps.exchanged(theirs, steps.OF_OURS), steps.exchanged(theirs, steps.WITHOUT)
    dropping = nn.Dropout, nn.Dropout2d, steps.TorchAttention

    def kinds(net):
        return [type(m) for m in net.modules() if isinstance(m, (*dropping, ours.Attention))]

    mapped = {nn.Dropout: ours.Dropout, nn.Dropout2d: ours.Dropout2d}
    mapped[steps.TorchAttention] = ours.Attention
    assert kinds(mine) == [mapped[kind] for kind in kinds(theirs)] != []
    assert all(m.p == 0 for m in none.modules() if isinstance(m, dropping))
    torch.testing.assert_close(none.train()(x), theirs.eval()(x))
    torch.testing.assert_close(none(x), mine.eval()(x))
    for net in (theirs.train(), mine.train()):
        assert not torch.equal(net(x), net(x))


def test_a_step_trains():
    model = steps.mlp(8, 6, 3)
    before = [parameter.clone() for parameter in model.parameters()]
    steps.step(model, torch.randn(4, 8))()
    assert not torch.equal(before[-1], model[-1].bias)


def test_the_cost_of_dropout_is_what_it_adds_in_the_same_turn():
    samples = {
        steps.NONE: [1.0, 10.0, 100.0],
        steps.THEIRS: [5.0, 14.0, 104.0],
        steps.OURS: [2.0, 11.0, 102.0],
    }
    found = steps.costs(samples)
    assert found["cost"][steps.THEIRS] == {"median": 4.0, "least": 4.0, "greatest": 4.0}
    assert found["cost"][steps.OURS] == {"median": 1.0, "least": 1.0, "greatest": 2.0}
    assert found["part"] == 0.25


def test_there_is_no_part_of_a_cost_that_was_not_measured():
    found = steps.costs({name: [1.0] for name in (steps.NONE, steps.THEIRS, steps.OURS)})
    assert found["part"] is None
    row = {"model": "MLP", "dtype": "float32", "seconds": {"ours": timing.summary([1.0])}}
    assert "ours" in steps.table(row | found)


def test_a_start_says_what_each_program_adds_to_torch():
    programs = list(start.PROGRAMS)
    samples = {program: [2.0 + n / 4] for n, program in enumerate(programs)}
    row = {"seconds": timing.summaries(samples), "added": timing.added(samples, programs[0])}
    lines = start.table(row).splitlines()
    assert [line.split()[-1] for line in lines[3:]] == ["0.25", "0.50"]


def test_the_programs_of_a_start_run(monkeypatch):
    monkeypatch.undo()
    start.python(list(start.PROGRAMS.values())[-1])


def test_what_a_chapter_prints_is_stored_in_its_shape(tmp_path, monkeypatch):
    shapes = {name: read(name) for name in ("mc_dropout", "enumeration")}
    monkeypatch.setattr(results, "FOLDERS", (tmp_path,))
    for name in bench.STORED:
        bench.store(name, bench.run(name), f"python -m dropout bench {name} --store")
    found = read("mc_dropout")
    assert found["provenance"]["command"] == "python -m dropout bench bayes --store"
    assert found["provenance"]["seeds"] == [bench.SEED]
    assert (found["samples"], found["turns"], found["p"]) == (3, 1, 0.5)
    assert {"loop", "ours"} <= found["seconds"]["small"].keys()
    assert found["seconds"]["small"]["ours"].keys() == {"median", "least", "greatest"}
    assert shapes["mc_dropout"].keys() <= found.keys()
    found = read("enumeration")
    assert (found["units"], found["rounds"]) == (5, 1)
    assert found["seconds"].keys() == shapes["enumeration"]["seconds"].keys()
    assert {"median", "least"} <= found["seconds"]["doubling"].keys()
