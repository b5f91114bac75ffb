"""Assigns configurations to the worker that has traced their graph, which trains them without a trace."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import islice

from kerasweep.space.rows import Params

MAX_LOOKED_AT = 500
MAX_AHEAD = 32  # configurations after the first of a new graph


@dataclass
class _Jobs:
    """How long the jobs of one graph took on the worker that traced it."""

    worker: int
    first: float | None = None  # seconds of the first complete job, its trace included
    count: int = 0  # later complete jobs
    seconds: float = 0.0  # of these, in total

    @property
    def mean(self) -> float | None:
        return self.seconds / self.count if self.count else None


class GraphAffinity:
    """Remembers which worker traced each graph, and decides when another trace is worth its time.

    Args:
        graph_of: Gives the graph of a configuration, None if it is unknown. Equal graphs share a trace.
        seeds: How many jobs a configuration has.
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        graph_of: Callable[[Params], str | None],
        seeds: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._graph_of = graph_of
        self._seeds = seeds
        self._clock = clock
        self._jobs: dict[str, _Jobs] = {}
        self._began: dict[int, float] = {}

    def begin(self, worker: int, params: Params) -> None:
        """Notes that a worker begins to train this configuration."""
        self._began[worker] = self._clock()
        graph = self._graph_of(params)
        if graph is not None:
            self._jobs.setdefault(graph, _Jobs(worker))

    def end(self, worker: int, params: Params, is_complete: bool) -> None:
        """Notes that it has ended. Only complete jobs count for how long a job takes."""
        jobs = self._jobs.get(self._graph_of(params) or "")
        if jobs is None or jobs.worker != worker or not is_complete:
            return
        seconds = self._clock() - self._began[worker]
        if jobs.first is None:
            jobs.first = seconds
        else:
            jobs.count, jobs.seconds = jobs.count + 1, jobs.seconds + seconds

    def forget(self, worker: int) -> None:
        """Notes that a worker's process has died, and its graphs with it."""
        self._jobs = {graph: jobs for graph, jobs in self._jobs.items() if jobs.worker != worker}

    def pick(
        self, worker: int, waiting: Iterable[Params], of_others: Collection[str | None] = ()
    ) -> Params | None:
        """Returns the configuration that a free worker should train next.

        This is one whose graph this worker has traced, so that it finishes its graphs before it begins
        another and leaves no job of them behind for which the next free worker would trace them again. It is
        searched at most MAX_AHEAD configurations beyond the first whose graph nobody has traced, which comes
        next. If there is neither, it is the first for which a second trace saves time; else the first of the
        other drivers' graph with the most configurations left.

        Args:
            worker: The free worker.
            waiting: The configurations that can be trained.
            of_others: The graphs that other drivers have traced.

        Returns:
            None if the other workers should train all of them, or if none waits.
        """
        elsewhere, shared, fresh, ahead = [], [], None, 0
        for params in islice(waiting, MAX_LOOKED_AT):
            graph = self._graph_of(params)
            jobs = self._jobs.get(graph or "")
            if jobs is not None and jobs.worker == worker:
                return params
            if jobs is not None:
                elsewhere.append(params)
            elif graph is not None and graph in of_others:
                shared.append(params)
            elif fresh is None:
                fresh = params
            ahead += fresh is not None
            if ahead > MAX_AHEAD:
                break
        if fresh is not None:
            return fresh
        left = Counter(self._graph_of(params) for params in elsewhere + shared)
        most_left = max(shared, key=lambda params: left[self._graph_of(params)], default=None)
        return next((params for params in elsewhere if self._is_worth_a_trace(params, left)), most_left)

    def _is_worth_a_trace(self, params: Params, left: Counter[str | None]) -> bool:
        """Whether this worker finishes one, trace included, before the other worker finishes all of them.

        Also true if the other worker's job is overdue: nobody knows when it will be free.
        """
        graph = self._graph_of(params) or ""
        jobs = self._jobs[graph]
        if jobs.first is None or jobs.mean is None:
            return True
        trace = max(0.0, jobs.first - jobs.mean)
        here, there = trace + self._seeds * jobs.mean, (left[graph] * self._seeds + 0.5) * jobs.mean
        return here < there or self._clock() - self._began[jobs.worker] > max(jobs.first, jobs.mean)
