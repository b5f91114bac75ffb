"""A border is the outer part of a range; the numbers beyond it are those that a wider range would have."""

from typing import Any

import pytest

from kerasweep.space.axis import Axis
from kerasweep.space.border import is_at_border, numbers_beyond
from kerasweep.space.parse import axis_of_entry


def axis(entry: str) -> Axis:
    return axis_of_entry("x", entry, lambda key: [])


@pytest.mark.parametrize(
    ("entry", "value", "beyond"),
    [
        ("3,5,7", 3, [1, 2]),
        ("3,5,7", 7, [9, 10]),
        ("0.0,0.1,0.2", 0.0, [-0.1]),
        ("1e-3,2e-3,8e-3", 1e-3, [0.0, 5e-4]),
        ("1e-3,2e-3,8e-3", 8e-3, [14e-3, 32e-3]),
        ("range(1,9)", 8, [9, 9]),
        ("interval(0.0,1.0)", 1.0, [1.1, 1 / 0.9]),
        ("interval(0.0,1.0)", 0.005, [-0.1]),
        ("interval(1e-3,1e-1)", 1e-3, [1e-3 - 99e-4, 1e-6 / 109e-4]),
        ("tag(log,interval(1e-6,1e-2))", 1e-2, [1e-2 + 999.9e-6, 1e-4 / (1e-2 - 999.9e-6)]),
    ],
)
def test_numbers_beyond_a_border(entry: str, value: Any, beyond: list[float]) -> None:
    found = numbers_beyond(axis(entry), value)
    assert found == pytest.approx(beyond)
    assert [type(number) for number in found] == [type(value)] * len(found)


@pytest.mark.parametrize(
    ("entry", "value", "expected"),
    [
        ("interval(0.0,1.0)", 0.005, True),
        ("interval(0.0,1.0)", 0.02, False),
        ("interval(0.0,1.0)", 1.0, True),
        ("tag(log,interval(1e-6,1e-2))", 1.05e-6, True),
        ("tag(log,interval(1e-6,1e-2))", 1e-4, False),
        ("tag(log,interval(1e-6,1e-2))", 2e-6, False),
        ("range(1,9)", 8, True),
        ("range(1,9)", 7, False),
        ("interval(2,2)", 2, False),
        ("3,5", 3, False),
        ("5,3,7", 3, True),
        ("5,3,7", 5, False),
        ("1e-3,1e-4,1e-2", 1e-2, True),
        ("null,3,5,7", 3, False),
        ("true,false", True, False),
        ("a,b", "a", False),
        ("a,b,c", "a", False),
    ],
)
def test_border_is_the_outer_hundredth_of_a_range_or_the_outer_number(
    entry: str, value: Any, expected: bool
) -> None:
    assert is_at_border(axis(entry), value) is expected
