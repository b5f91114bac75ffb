"""Where each graph is at home: a worker that has traced it trains its next trial without a trace."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice

from src.sweep.space.axis import Params

MOST_LOOKED_AT = 500


class Homes:
    """The worker that each graph came to first, and how long its jobs take, with a trace and without.

    graph_of: what configurations share that need no trace of their own; None where that is not known.
    """

    def __init__(
        self, graph_of: Callable[[Params], str | None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._graph_of = graph_of
        self._clock = clock
        self._homes: dict[str, int] = {}
        self._began: dict[int, float] = {}
        self._traced: dict[str, float] = {}
        self._usual: dict[str, float] = {}

    def enter(self, worker: int, params: Params) -> None:
        """A worker begins to train this configuration."""
        self._began[worker] = self._clock()
        graph = self._graph_of(params)
        if graph is not None:
            self._homes.setdefault(graph, worker)

    def leave(self, worker: int, params: Params) -> None:
        """It has ended."""
        graph = self._graph_of(params)
        if graph is None or self._homes[graph] != worker:
            return
        seconds = self._clock() - self._began[worker]
        if graph in self._traced:
            self._usual[graph] = min(seconds, self._usual.get(graph, seconds))
        else:
            self._traced[graph] = seconds

    def pick(self, worker: int, waiting: Iterable[Params]) -> Params | None:
        """The first configuration that is not at home in another worker, else one that is worth a trace.

        None where those that wait are left to their homes, and where none waits.
        """
        elsewhere = []
        for params in islice(waiting, MOST_LOOKED_AT):
            if self._homes.get(self._graph_of(params) or "", worker) == worker:
                return params
            elsewhere.append(params)
        left = Counter(self._graph_of(params) for params in elsewhere)
        return next((params for params in elsewhere if self._is_worth_a_trace(params, left)), None)

    def _is_worth_a_trace(self, params: Params, left: Counter[str | None]) -> bool:
        """Whether the home would end all that are left later than another worker ends one with a trace.

        Where it takes longer than it ever did, nobody knows when it ends.
        """
        graph = self._graph_of(params)
        if graph is None or graph not in self._usual:
            return True
        usual, traced = self._usual[graph], self._traced[graph]
        busy = self._clock() - self._began[self._homes[graph]]
        return traced < (left[graph] + 0.5) * usual or busy > max(traced, usual)
