"""Where each graph is at home: a worker that has traced it trains its next trial without a trace."""

from collections.abc import Callable

from src.sweep.space.axis import Params


class Homes:
    """The worker that each graph came to first.

    graph_of: what configurations share that need no trace of their own; None where that is not known.
    """

    def __init__(self, graph_of: Callable[[Params], str | None]) -> None:
        self._graph_of = graph_of
        self._workers: dict[str, int] = {}

    def enter(self, worker: int, params: Params) -> None:
        """A worker trains this configuration now."""
        graph = self._graph_of(params)
        if graph is not None:
            self._workers.setdefault(graph, worker)

    def is_elsewhere(self, worker: int, params: Params) -> bool:
        """Whether another worker would train this configuration sooner."""
        graph = self._graph_of(params)
        return graph is not None and self._workers.get(graph, worker) != worker
