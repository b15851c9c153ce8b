"""Small changes of each solution: all are refused, but for those that are shown to be harmless."""

import pytest

from tests.exercises import mutants
from tests.exercises.test_contents import CODE, named


@named(CODE)
def test_small_changes_of_the_solution_are_refused(exercise):
    changed = list(mutants.mutants(exercise.code))
    assert changed
    passed = {name for name, _ in mutants.survivors(exercise)}
    assert passed == set(exercise.harmless)


def test_the_changes_are_many():
    assert sum(len(list(mutants.mutants(each.code))) for each in CODE) > 10 * len(CODE)


@pytest.mark.parametrize(
    ("source", "change"),
    [
        ("x = 1 - p", "1 - p -> p"),
        ("x = a / q", "a / q -> a * q"),
        ("x = a / q", "a / q -> a"),
        ("x = a < b", "a < b -> a >= b"),
        ("if training: pass", "training -> False"),
        ("x = torch.zeros(3)", "torch.zeros -> torch.ones"),
        ("x = min(a)", "min -> max"),
        ("x = random.random() < q", "random.random() -> 0.4"),
    ],
)
def test_what_is_changed(source, change):
    assert change in [name for name, _ in mutants.mutants(source)]
