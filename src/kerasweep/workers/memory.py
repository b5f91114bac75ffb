"""Watches the resident memory of processes: a limit on address space would break TensorFlow."""

import threading
from collections.abc import Callable, Sequence

import psutil

POLL_SECONDS = 0.2


def rss_mb(pid: int) -> float:
    """Resident memory of a process, in MiB; 0 where it is gone."""
    try:
        return float(psutil.Process(pid).memory_info().rss) / 2**20
    except psutil.NoSuchProcess:
        return 0.0


def watch_memory(
    processes: Callable[[], Sequence[tuple[int, int]]],
    limit_mb: float,
    grown: Callable[[int, float], None],
    stopping: threading.Event,
) -> None:
    """Call grown(name, MiB) for each process above the limit, from a thread, until `stopping` is set.

    processes: gives the pairs of name and process id that are to be watched now.
    """

    def watch() -> None:
        while not stopping.wait(POLL_SECONDS):
            for name, pid in processes():
                used = rss_mb(pid)
                if used > limit_mb:
                    grown(name, used)

    threading.Thread(target=watch, daemon=True).start()
