"""Keeps a process's programs for later trials of the same graph."""

import gc
from collections import OrderedDict
from collections.abc import Callable

from kerasweep.training.program import Program

MAX_KEPT = 8
MAX_MB = 1024.0


class Programs:
    """The programs used last: at most `most`, whose variables take up to `most_mb` MiB together."""

    def __init__(self, most: int = MAX_KEPT, most_mb: float = MAX_MB) -> None:
        self.most = most
        self.most_mb = most_mb
        self._kept: OrderedDict[str, Program] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str) -> Program | None:
        """The program of a graph, None where there is none; see `graph_key`."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def make(self, key: str, make: Callable[[], Program]) -> Program:
        """Make and keep the program of a graph, once there is room for it; the newest stays in any case."""
        while len(self._kept) >= self.most:
            self._evict()
        program = self._kept[key] = make()
        while len(self._kept) > 1 and sum(one.variables_mb for one in self._kept.values()) > self.most_mb:
            self._evict()
        return program

    def _evict(self) -> None:
        self._kept.popitem(last=False)
        gc.collect()  # a network, its functions and their graphs refer to each other


PROGRAMS = Programs()
