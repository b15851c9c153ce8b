"""The checks: each takes a case and yields findings."""

from collections.abc import Callable, Iterator

from dropout.audit.case import Case
from dropout.audit.checks import coins, evaluation, in_place, places, rates, scales, shapes
from dropout.audit.finding import Finding

Check = Callable[[Case], Iterator[Finding]]
CHECKS: tuple[Check, ...] = (
    evaluation.drops_in_evaluation,
    evaluation.left_in_training,
    rates.idle_rates,
    rates.extreme_rates,
    rates.frozen_but_dropping,
    shapes.wrong_shapes,
    shapes.shared_over_batch,
    places.before_batch_norm,
    places.dropped_twice,
    places.before_softmax,
    places.on_output,
    in_place.in_place,
    coins.same_masks,
    coins.fixed_masks,
    coins.kept_masks,
    coins.reseeds,
    coins.recomputed_otherwise,
    scales.wrong_scales,
    scales.not_normal,
)
