"""Who is timed when, how often, and what is made of the samples."""

import pytest

from dropout.bench import timing


@pytest.fixture
def clock(monkeypatch):
    """A clock that only its `work` moves."""

    class Clock:
        now = 0.0

        def work(self, seconds):
            def run():
                self.now += seconds

            return run

    found = Clock()
    monkeypatch.setattr(timing, "perf_counter", lambda: found.now)
    return found


def test_each_takes_its_turn_after_all_have_run_once():
    order = []
    functions = {name: lambda name=name: order.append(name) for name in "ab"}
    samples = timing.in_turns("letters", functions, turns=2)
    assert order == list("ab" + "abab")
    assert [len(of_one) for of_one in samples.values()] == [2, 2]


def test_a_sample_is_the_mean_of_as_many_calls_as_fit_into_the_budget(clock):
    calls = []
    work = clock.work(0.25)
    functions = {"quick": lambda: (work(), calls.append(1)), "slow": clock.work(64.0)}
    samples = timing.in_turns("work", functions, turns=3, budget=1.0)
    assert samples == {"quick": [0.25] * 3, "slow": [64.0] * 3}
    assert len(calls) == 2 + 3 + 3 * 4  # touched, counted, timed


def test_who_waits_is_told_for_what(capsys):
    timing.in_turns("a long table", {}, turns=1)
    assert capsys.readouterr().err == "a long table …\n"


def test_ratios_are_those_of_the_medians_that_were_timed(clock):
    samples = timing.in_turns("work", {"us": clock.work(0.5), "them": clock.work(2.0)}, turns=3)
    seconds = timing.summaries(samples)
    assert seconds["us"] == {"median": 0.5, "least": 0.5, "greatest": 0.5}
    assert timing.times_of(seconds, "us") == {"us": 1.0, "them": 4.0}
    assert timing.times_faster(seconds, "them") == {"us": 4.0, "them": 1.0}


def test_a_summary_has_the_middle_and_both_ends():
    assert timing.summary([3.0, 1.0, 2.0]) == {"median": 2.0, "least": 1.0, "greatest": 3.0}


@pytest.mark.parametrize(
    ("longest", "unit", "printed"),
    [(4e-6, "µs", "4.00"), (0.5, "ms", "500.00"), (20.0, "s", "20.00")],
)
def test_a_table_has_the_unit_that_suits_and_blanks_where_a_column_has_no_number(
    longest, unit, printed
):
    seconds = timing.summaries({"us": [longest / 2], "them": [longest]})
    head, names, us, them = timing.table("Race", seconds, {"gain": {"us": 2.0}}).splitlines()
    assert (head, names.split()) == ("Race", ["median", unit, "least", "greatest", "gain"])
    assert us.split()[-1] == "2.00"
    assert them.split() == ["them", printed, printed, printed]
