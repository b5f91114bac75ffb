"""A configuration waits for the worker that holds its graph, if that is faster than a new trace."""

from itertools import chain

import pytest

from kerasweep.space.rows import Params
from kerasweep.workers.affinity import MAX_AHEAD, GraphAffinity


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def of_kernel(params: Params) -> str | None:
    return None if params["k"] is None else f"graph {params['k']}"


def grid(*kernels: int | None) -> list[Params]:
    return [{"k": kernel, "n": number} for number, kernel in enumerate(kernels)]


def train(affinity: GraphAffinity, clock: Clock, *seconds: float, is_complete: bool = True) -> None:
    """Worker 0 trains a job of kernel 3 for each of these durations."""
    for each in seconds:
        affinity.begin(0, {"k": 3})
        clock.now += each
        affinity.end(0, {"k": 3}, is_complete)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def affinity(clock: Clock) -> GraphAffinity:
    """Returns an affinity in which worker 0 holds the graph of kernel 3: 3 s with the trace, 1 s without."""
    made = GraphAffinity(of_kernel, clock=clock)
    train(made, clock, 3.0, 1.0)
    return made


def test_a_worker_finishes_its_graphs_before_it_begins_another(affinity: GraphAffinity) -> None:
    """Else another worker would find only jobs of graphs that are held, and trace one of them again."""
    assert affinity.pick(0, grid(5, 3, 3)) == {"k": 3, "n": 1}
    assert affinity.pick(0, grid(7, 5)) == {"k": 7, "n": 0}


def test_a_worker_looks_for_its_graphs_a_short_way(affinity: GraphAffinity) -> None:
    """Each configuration that it looks at is composed and checked."""
    assert affinity.pick(0, grid(*[5] * MAX_AHEAD, 3)) == {"k": 3, "n": MAX_AHEAD}
    assert affinity.pick(0, grid(*[5] * MAX_AHEAD, 5, 3)) == {"k": 5, "n": 0}


def test_jobs_of_a_graph_follow_each_other(clock: Clock) -> None:
    """With the graph's axis varying fastest, a worker would else need all its graphs at once."""
    affinity = GraphAffinity(of_kernel, clock=clock)
    waiting, order = grid(*range(24), *range(24)), []
    while waiting:
        params = affinity.pick(0, waiting)
        assert params is not None
        waiting.remove(params)
        affinity.begin(0, params)
        affinity.end(0, params, is_complete=True)
        order.append(params["k"])
    assert order == [kernel for kernel in range(24) for _ in range(2)]


def test_another_worker_passes_over_graphs_that_are_held(affinity: GraphAffinity) -> None:
    assert affinity.pick(1, grid(3, 3, 5, 3)) == {"k": 5, "n": 2}


@pytest.mark.parametrize(("left", "taken"), [(1, False), (2, False), (3, True), (9, True)])
def test_waiting_jobs_are_taken_if_a_trace_is_faster(affinity: GraphAffinity, left: int, taken: bool) -> None:
    """Another worker needs 3 s for one job; the holder, amid a job, 2.5 s for two and 3.5 s for three."""
    affinity.begin(0, {"k": 3})
    assert affinity.pick(1, grid(*[3] * left)) == ({"k": 3, "n": 0} if taken else None)


def test_jobs_of_a_worker_without_the_graph_do_not_count(affinity: GraphAffinity, clock: Clock) -> None:
    """They take a trace: with their 100 s, two waiting jobs would look worth another one."""
    affinity.begin(1, {"k": 3})
    clock.now += 100
    affinity.end(1, {"k": 3}, is_complete=True)
    affinity.begin(0, {"k": 3})
    assert affinity.pick(1, grid(3, 3)) is None


def test_each_seed_counts_as_a_job(clock: Clock) -> None:
    """Another worker needs 7 s for five seeds; the holder 5.5 s for one trial's seeds, 10.5 s for two."""
    affinity = GraphAffinity(of_kernel, seeds=5, clock=clock)
    train(affinity, clock, 3.0, 1.0)
    affinity.begin(0, {"k": 3})
    assert affinity.pick(1, grid(3)) is None
    assert affinity.pick(1, grid(3, 3)) == {"k": 3, "n": 0}


def test_jobs_of_one_graph_may_differ(clock: Clock) -> None:
    """The first job had the smallest batches; the estimate for waiting jobs is the mean of the others."""
    affinity = GraphAffinity(of_kernel, clock=clock)
    train(affinity, clock, 31.0, 1.0, 29.0)
    affinity.begin(0, {"k": 3})
    assert affinity.pick(1, grid(3)) is None
    assert affinity.pick(1, grid(*[3] * 20)) == {"k": 3, "n": 0}


def test_jobs_do_not_wait_for_a_holder_slower_than_ever(affinity: GraphAffinity, clock: Clock) -> None:
    affinity.begin(0, {"k": 3})
    clock.now += 2.9
    assert affinity.pick(1, grid(3)) is None
    clock.now += 0.2
    assert affinity.pick(1, grid(3)) == {"k": 3, "n": 0}


def test_jobs_do_not_wait_for_a_holder_without_measured_times(clock: Clock) -> None:
    affinity = GraphAffinity(of_kernel, clock=clock)
    train(affinity, clock, 3600.0, 3600.0, is_complete=False)
    affinity.begin(0, {"k": 3})
    assert affinity.pick(1, grid(3)) == {"k": 3, "n": 0}


def test_dead_worker_holds_nothing(affinity: GraphAffinity) -> None:
    affinity.forget(1)
    assert affinity.pick(1, grid(3, 5)) == {"k": 5, "n": 1}
    affinity.forget(0)
    assert affinity.pick(1, grid(3, 5)) == {"k": 3, "n": 0}
    affinity.end(0, {"k": 3}, True)  # a job that ends after its worker was forgotten


def test_unknown_graphs_are_held_by_nobody(clock: Clock) -> None:
    affinity = GraphAffinity(of_kernel, clock=clock)
    affinity.begin(0, {"k": None})
    affinity.end(0, {"k": None}, True)
    assert affinity.pick(1, grid(None)) == {"k": None, "n": 0}


def test_without_jobs_nothing_is_picked(affinity: GraphAffinity) -> None:
    assert affinity.pick(1, []) is None


def test_only_needed_jobs_are_read(affinity: GraphAffinity) -> None:
    def never() -> Params:
        raise AssertionError

    assert affinity.pick(0, chain(grid(3), (never() for _ in range(1)))) == {"k": 3, "n": 0}


def test_a_driver_helps_with_the_graph_that_has_the_most_left(affinity: GraphAffinity) -> None:
    waiting = [*grid(7, 5, 5), *grid(3)]
    assert affinity.pick(0, waiting, {"graph 5", "graph 7"}) == {"k": 3, "n": 0}
    assert affinity.pick(0, waiting[:3], {"graph 5", "graph 7"}) == {"k": 5, "n": 1}
    assert affinity.pick(0, waiting[:3], {"graph 5"}) == {"k": 7, "n": 0}
