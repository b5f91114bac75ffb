"""When one trial's values dominate another's."""

import pytest

from kerasweep.results import TrialRef, dominates

UP, DOWN = "maximize", "minimize"


@pytest.mark.parametrize(
    ("one", "other", "directions", "expected"),
    [
        ((0.9,), (0.8,), (UP,), True),
        ((0.9,), (0.8,), (DOWN,), False),
        ((0.9,), (0.9,), (UP,), False),
        ((0.9, 10), (0.9, 20), (UP, DOWN), True),
        ((0.9, 20), (0.8, 10), (UP, DOWN), False),
        ((0.8, 10), (0.9, 20), (UP, DOWN), False),
        ((0.9, 10), (0.8, 20), (UP, DOWN), True),
    ],
)
def test_dominates_where_nothing_is_worse_and_something_better(
    one: tuple[float, ...], other: tuple[float, ...], directions: tuple[str, ...], expected: bool
) -> None:
    assert dominates(one, other, directions) is expected


def test_run_without_a_number_is_single() -> None:
    assert TrialRef("run").is_single
    assert not TrialRef("run", number=0).is_single
