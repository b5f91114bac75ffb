"""Keeps Python's garbage collector from looking at what large packages bring: it finds nothing there."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """While TensorFlow or MLflow is imported: a sixth of that time is spent collecting."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def collect_rarely() -> None:
    """Have a process that lives on large packages collect less often: a tenth of a start is spent on that.

    Everything is looked at after five million objects: about a trace of a network.
    """
    gc.set_threshold(50_000, 10, 10)


def leave_to_the_end() -> None:
    """Set aside all there is: the last collection, when the process ends, would take half a second."""
    gc.freeze()
