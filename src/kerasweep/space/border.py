"""Finds whether a value lies at the border of its axis, and the numbers beyond."""

import math
from collections.abc import Sequence

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from kerasweep.space.axis import Axis
from kerasweep.space.rows import Value

MIN_ORDERED = 3
MARGIN = 0.01  # of the length of an interval


def is_at_border(axis: Axis, value: Value) -> bool:
    """Returns whether a number lies at an end of its interval (within 1 % of its length).

    Among choices, whether it is the smallest or largest of three or more numbers.
    """
    distribution = axis.distribution
    if isinstance(distribution, CategoricalDistribution):
        numbers = _sorted_numbers(distribution.choices)
        return len(numbers) >= MIN_ORDERED and value in (numbers[0], numbers[-1])
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    assert isinstance(value, (int, float))
    scale = math.log if distribution.log else float
    low, high, here = scale(distribution.low), scale(distribution.high), scale(value)
    margin = MARGIN * (high - low)
    return low < high and not low + margin < here < high - margin


def numbers_beyond(axis: Axis, value: float) -> list[float]:
    """Returns numbers beyond the end of the range at which a value lies: by a step, and by a factor."""
    distribution = axis.distribution
    if isinstance(distribution, CategoricalDistribution):
        numbers = _sorted_numbers(distribution.choices)
        end, inside = (numbers[0], numbers[1]) if value == numbers[0] else (numbers[-1], numbers[-2])
    else:
        assert isinstance(distribution, (IntDistribution, FloatDistribution))
        low, high = distribution.low, distribution.high
        step = distribution.step or (high - low) / 10
        end, inside = (low, low + step) if value - low < high - value else (high, high - step)
    by_factor = [end * end / inside] if end > 0 and inside > 0 else []
    is_whole = isinstance(end, int) and isinstance(inside, int)
    return [2 * end - inside, *(map(round, by_factor) if is_whole else by_factor)]


def _sorted_numbers(choices: Sequence[Value]) -> list[float]:
    """Returns the choices in their order if all are numbers, else none."""
    numbers = [
        choice for choice in choices if isinstance(choice, (int, float)) and not isinstance(choice, bool)
    ]
    return sorted(numbers) if len(numbers) == len(choices) else []
