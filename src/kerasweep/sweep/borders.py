"""Finds best values at the border of a range that could be wider."""

from kerasweep.search.sweep import Sweep
from kerasweep.space.axis import Axis
from kerasweep.space.border import is_at_border, numbers_beyond
from kerasweep.space.rows import Params, Value
from kerasweep.terminal import value_text


def may_be_wider(sweep: Sweep, axis: Axis, params: Params) -> bool:
    """Whether a value lies at the border of its range, and one beyond it could be trained.

    No rate of dropout is below 0, for example.
    """
    value = params[axis.key]
    if not is_at_border(axis, value):
        return False
    assert isinstance(value, (int, float))
    return any(sweep.refusal({**params, axis.key: number}) is None for number in numbers_beyond(axis, value))


def border_text(axis: Axis, value: Value) -> str:
    """Returns the words on a best value at the border of its range."""
    return (
        f"the best {axis.key}={value_text(value)} is at the border of its range; "
        "a wider range may contain a better value"
    )
