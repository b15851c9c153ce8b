"""What the study of uncertainty fits and measures, on cases that can be counted."""

import pytest
import torch

from dropout.experiments import uncertainty


def test_split_conformal_covers_as_often_as_it_says():
    """Of 20 alike, each takes its turn as the new one: 18 of 20 are covered at level 0.9."""
    of_label = torch.arange(1, 21) / 100.0
    covered = 0
    for new in range(20):
        others = torch.cat([of_label[:new], of_label[new + 1 :]])
        p = torch.stack([others, 1 - others], 1)
        covered += of_label[new] >= uncertainty.cut(p, torch.zeros(19, dtype=torch.long), 0.9)
    assert covered == 18


def test_with_too_few_images_every_class_is_in_the_set():
    assert uncertainty.cut(torch.ones(5, 1), torch.zeros(5, dtype=torch.long), 0.9) == 0


def test_own_sets_are_the_smallest_that_add_up_to_the_level():
    p = torch.tensor([[0.6, 0.3, 0.1], [0.05, 0.96, 0.0]])
    assert uncertainty.own_sets(p, 0.85).tolist() == [[1, 1, 0], [0, 1, 0]]
    assert uncertainty.own_sets(p, 0.95).tolist() == [[1, 1, 1], [0, 1, 0]]


@pytest.mark.parametrize("true", [0.5, 2.0])
def test_temperature_is_found_where_labels_come_from_the_tempered_probabilities(true):
    """20,000 labels: the least NLL lies within a step or two of the grid, of 4 % each."""
    generator = torch.Generator().manual_seed(1)
    p = torch.randn(20_000, 4, generator=generator, dtype=torch.float64).softmax(-1)
    y = torch.multinomial(uncertainty.tempered(p, true), 1, generator=generator)[:, 0]
    assert uncertainty.temperature(p, y) == pytest.approx(true, rel=0.09)


def test_resamples_of_equal_weight_give_what_the_library_gives():
    generator = torch.Generator().manual_seed(2)
    p = torch.randn(200, 4, generator=generator, dtype=torch.float64).softmax(-1)
    y = torch.randint(4, (200,), generator=generator)
    found = uncertainty.measure(p, y, 0.2, torch.ones(2, 200, dtype=torch.float64))
    assert torch.allclose(found["nll"], uncertainty.metrics.nll(p, y))
    assert torch.allclose(found["ece"], uncertainty.metrics.calibration_error(p, y))
