"""Graphs stay with the worker that traced them, as long as that is sooner."""

from itertools import chain

import pytest

from src.sweep.homes import Homes
from src.sweep.space.axis import Params


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def of_kernel(params: Params) -> str | None:
    return None if params["k"] is None else f"graph {params['k']}"


def grid(*kernels: int | None) -> list[Params]:
    return [{"k": kernel, "n": number} for number, kernel in enumerate(kernels)]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def homes(clock: Clock) -> Homes:
    """Worker 0 holds the graph of kernel 3: 3 s with its trace, 1 s without."""
    made = Homes(of_kernel, clock)
    for seconds in (3.0, 1.0):
        made.enter(0, {"k": 3})
        clock.now += seconds
        made.leave(0, {"k": 3})
    return made


def test_one_worker_keeps_the_order(homes: Homes) -> None:
    assert homes.pick(0, grid(5, 3, 3)) == {"k": 5, "n": 0}


def test_another_worker_passes_over_what_is_at_home_elsewhere(homes: Homes) -> None:
    assert homes.pick(1, grid(3, 3, 5, 3)) == {"k": 5, "n": 2}


@pytest.mark.parametrize(("left", "taken"), [(1, False), (2, False), (3, True), (9, True)])
def test_what_is_left_is_taken_where_a_trace_is_sooner(homes: Homes, left: int, taken: bool) -> None:
    """Another worker ends one in 3 s; the home, half done with its own, ends two in 2.5 s, three in 3.5 s."""
    homes.enter(0, {"k": 3})
    assert homes.pick(1, grid(*[3] * left)) == ({"k": 3, "n": 0} if taken else None)


def test_home_that_takes_longer_than_ever_is_not_waited_for(homes: Homes, clock: Clock) -> None:
    homes.enter(0, {"k": 3})
    clock.now += 2.9
    assert homes.pick(1, grid(3)) is None
    clock.now += 0.2
    assert homes.pick(1, grid(3)) == {"k": 3, "n": 0}


def test_nothing_is_left_to_a_home_whose_times_are_not_known(clock: Clock) -> None:
    homes = Homes(of_kernel, clock)
    homes.enter(0, {"k": 3})
    assert homes.pick(1, grid(3)) == {"k": 3, "n": 0}


def test_unknown_graphs_have_no_home(clock: Clock) -> None:
    homes = Homes(of_kernel, clock)
    homes.enter(0, {"k": None})
    homes.leave(0, {"k": None})
    assert homes.pick(1, grid(None)) == {"k": None, "n": 0}


def test_nothing_waits(homes: Homes) -> None:
    assert homes.pick(1, []) is None


def test_no_more_is_looked_at_than_needed(homes: Homes) -> None:
    def never() -> Params:
        raise AssertionError

    assert homes.pick(0, chain(grid(3), (never() for _ in range(1)))) == {"k": 3, "n": 0}
