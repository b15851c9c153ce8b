"""Each wrong library fails a test that is named here: so these tests test what they say."""

import pytest
import torch

from tests import rivals, test_coins
from tests.layers import test_bernoulli, test_family

DROPOUT = {"v": next(v for v in test_family.VARIANTS if v.name == "dropout")}
REFUSED_BY = [
    (rivals.eight_bit_coins, test_coins,
     "test_a_rate_between_the_steps_of_eight_bits_is_the_one_that_comes", {}),
    (rivals.eight_bit_coins, test_bernoulli,
     "test_output_and_gradient_are_the_references", {}),
    (rivals.unscaled, test_bernoulli, "test_keep_rate_mean_and_variance", {"p": 0.1}),
    (rivals.scaled_twice, test_bernoulli, "test_keep_rate_mean_and_variance", {"p": 0.5}),
    (rivals.keeps_with_p, test_bernoulli, "test_keep_rate_mean_and_variance", {"p": 0.1}),
    (rivals.gaussian, test_bernoulli, "test_keep_rate_mean_and_variance", {"p": 0.5}),
    (rivals.one_mask_for_the_batch, test_bernoulli,
     "test_each_example_of_a_minibatch_has_its_own_mask", {}),
    (rivals.active_in_evaluation, test_family,
     "test_the_module_is_the_function_in_training_and_nothing_in_evaluation", DROPOUT),
    (rivals.multiplies, test_family,
     "test_nothing_leaks_through_a_dropped_element", DROPOUT | {"poison": torch.inf}),
    (rivals.negligent_gradient, test_bernoulli,
     "test_output_and_gradient_are_the_references", {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "module", "test", "arguments"),
    REFUSED_BY,
    ids=[f"{wrong.__name__}-{test}" for wrong, _, test, _ in REFUSED_BY],
)
def test_the_wrong_library_is_refused(monkeypatch, wrong, module, test, arguments):
    rivals.install(monkeypatch, wrong)
    with pytest.raises(AssertionError):
        getattr(module, test)(**arguments)
