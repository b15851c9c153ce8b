"""Comparisons: who is chosen by what, and what is planned when."""

import json

import pytest

from dropout.experiments.comparison import choice, comparison, interval, product
from dropout.experiments.study import Finished
from tests.experiments import tiny

GRID = product(lr=(0.1, 0.3, 0.9))
LOSSES = {0.1: (3.0, 2.0, 1.5), 0.3: (2.5, 1.0, 1.25), 0.9: (2.0, float("nan"), float("nan"))}


def tuned(seed: int, shift: float = 0.0) -> list[Finished]:
    """The tuning runs of one seed; errors fall where losses rise."""
    return [
        Finished(
            {"stage": "tune", "arm": "one", "seed": seed, **point},
            {"at": [10, 20, 30], "validation": {
                "loss": [loss + shift for loss in LOSSES[point["lr"]]],
                "error": [-loss for loss in LOSSES[point["lr"]]],
            }},
            1.0, {},
        )
        for point in GRID
    ]  # fmt: skip


def test_the_point_and_the_time_of_the_least_mean_are_chosen():
    found = choice(tuned(0) + tuned(1, shift=2.0), "one", GRID, 2, "loss")
    assert found == {"point": {"lr": 0.3}, "stop": 20, "loss": 2.0, "edge": []}


def test_what_diverged_is_never_chosen_and_edges_are_named():
    found = choice(tuned(0), "one", GRID, 1, "error")
    assert found == {"point": {"lr": 0.1}, "stop": 10, "error": -3.0, "edge": ["lr"]}


def test_nothing_is_chosen_before_all_is_tuned():
    assert choice(tuned(0), "one", GRID, 2, "loss") is None
    assert choice(tuned(0)[:2], "one", GRID, 1, "loss") is None


def test_test_data_are_for_the_chosen_point_alone():
    study = tiny.STUDY
    before = study.plan([])
    assert {each["judge"] for each in before[1:]} == {"validation"}
    assert len(before) == 1 + 2 * 2
    after = study.plan([tiny.done(each) for each in before if each["arm"] == "one"])
    final = [each for each in after[1:] if each["judge"] == "test"]
    assert [each["seed"] for each in final] == [1, 2, 3]
    assert {each["arm"] for each in final} == {"one"}
    assert len({(each["lr"], each["stop"]) for each in final}) == 1


def test_runs_of_other_seeds_or_settings_choose_nothing():
    before = tiny.study("one")
    first = [tiny.done(each) for each in before.plan([])]
    first += [tiny.done(each) for each in before.plan(first)[len(first) :]]
    for study in (tiny.study("one", tuning_seeds=(7,)), tiny.study("one", slow=1e-6)):
        assert {each["stage"] for each in study.plan(first)} == {"check", "tune"}
        assert study.summary(first)["arms"]["one"]["test"]["loss"] == interval([])
        anew = [tiny.done(each) for each in study.plan([])]
        assert study.plan(first + anew) == study.plan(anew)
        told, alone = (study.summary(runs)["arms"]["one"] for runs in (first + anew, anew))
        assert told["chosen"] == alone["chosen"]


def test_a_grid_may_have_tuples_and_dictionaries_with_numbers():
    """They come back from a store as lists, and with words for keys."""
    grid = product(lr=(0.1, 0.3), widths=((8,), (16, 16)), rates=({2: 0.5, 10: 0.1},))
    settings = {"about": "", "beside": "", "scale": "", "train": tiny.train, "check": {"w": (1,)}}
    study = comparison(
        "x", arms={"one": {"steps": (5, 9)}}, grids={"one": grid}, tuning_seeds=(0,), seeds=(1,),
        **settings,
    )  # fmt: skip
    curves = {"at": [1], "validation": {"loss": [1.0], "error": [1.0]}}
    planned = study.plan([])
    stored = json.loads(json.dumps(planned))
    assert planned == stored
    final = study.plan([Finished(each, curves, 1.0, {}) for each in stored[1:]])[-1]
    assert (final["stage"], final["widths"]) == ("final", [8])


def test_a_study_of_which_nothing_is_finished_has_a_summary():
    found = tiny.STUDY.summary([])
    assert found["arms"]["one"]["chosen"] is None
    assert found["arms"]["one"]["test"]["loss"] == interval([])


def test_arms_with_less_choice_are_refused():
    arms = {"one": {}, "two": {}}
    settings = {"about": "", "beside": "", "scale": "", "train": tiny.train, "check": {}}
    unequal = {"one": product(lr=(0.1, 0.3)), "two": product(lr=(0.1,))}
    with pytest.raises(ValueError, match=r"equal size, got \{'one': 2, 'two': 1\}"):
        comparison("x", arms=arms, grids=unequal, tuning_seeds=(0,), seeds=(1,), **settings)
    equal = dict.fromkeys(arms, GRID)
    with pytest.raises(ValueError, match=r"seeds \[1\] would both tune and judge"):
        comparison("x", arms=arms, grids=equal, tuning_seeds=(0, 1), seeds=(1, 2), **settings)


def test_the_interval_of_a_mean_is_student_s():
    found = interval([1.0, 2.0, 3.0, 6.0])
    assert found["mean"] == 3.0
    assert found["half"] == pytest.approx(3.182446 * 2.160247 / 2, rel=1e-6)  # t, s, root of n
