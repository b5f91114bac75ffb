"""Which worker holds which graph: it trains the next configuration of that graph without a trace."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

from kerasweep.space.axis import Params

MAX_LOOKED_AT = 500


@dataclass
class _Jobs:
    """Of one graph: how long its worker's first complete job took, and all of the others."""

    worker: int
    first: float | None = None
    count: int = 0
    seconds: float = 0.0

    @property
    def mean(self) -> float | None:
        return self.seconds / self.count if self.count else None


class GraphAffinity:
    """The worker that each graph came to first, and what a trace elsewhere would cost.

    graph_of: what configurations share that need no trace of their own; None where that is not known.
    seeds: how many jobs a configuration is.
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
        """A worker begins to train this configuration."""
        self._began[worker] = self._clock()
        graph = self._graph_of(params)
        if graph is not None:
            self._jobs.setdefault(graph, _Jobs(worker))

    def end(self, worker: int, params: Params, is_complete: bool) -> None:
        """It has ended; how long a job takes is known from complete ones alone."""
        jobs = self._jobs.get(self._graph_of(params) or "")
        if jobs is None or jobs.worker != worker or not is_complete:
            return
        seconds = self._clock() - self._began[worker]
        if jobs.first is None:
            jobs.first = seconds
        else:
            jobs.count, jobs.seconds = jobs.count + 1, jobs.seconds + seconds

    def forget(self, worker: int) -> None:
        """A worker's process has died, and its graphs with it."""
        self._jobs = {graph: jobs for graph, jobs in self._jobs.items() if jobs.worker != worker}

    def pick(self, worker: int, waiting: Iterable[Params]) -> Params | None:
        """The first configuration whose graph no other worker holds, else one that is worth a trace.

        None where those that wait are left to the workers that hold their graphs, and where none waits.
        """
        elsewhere = []
        for params in islice(waiting, MAX_LOOKED_AT):
            jobs = self._jobs.get(self._graph_of(params) or "")
            if jobs is None or jobs.worker == worker:
                return params
            elsewhere.append(params)
        left = Counter(self._graph_of(params) for params in elsewhere)
        return next((params for params in elsewhere if self._is_worth_a_trace(params, left)), None)

    def _is_worth_a_trace(self, params: Params, left: Counter[str | None]) -> bool:
        """Whether another worker ends one of them, with a trace, before this one ends all that are left.

        Where it takes longer for a job than for the first one, nobody knows when it ends.
        """
        graph = self._graph_of(params) or ""
        jobs = self._jobs[graph]
        if jobs.first is None or jobs.mean is None:
            return True
        trace = max(0.0, jobs.first - jobs.mean)
        here, there = trace + self._seeds * jobs.mean, (left[graph] * self._seeds + 0.5) * jobs.mean
        return here < there or self._clock() - self._began[jobs.worker] > max(jobs.first, jobs.mean)
