"""Makes the import of large packages cheaper: less garbage collection, no unused packages."""

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def gc_paused() -> Iterator[None]:
    """Pauses garbage collection, which takes a sixth of the time of TensorFlow's or MLflow's import."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def collect_rarely() -> None:
    """Raises the threshold of garbage collection, which otherwise takes a tenth of a command's start.

    A full collection then comes after about five million new objects, as many as a network's trace makes.
    """
    gc.set_threshold(50_000, 10, 10)


def skip_last_collection() -> None:
    """Freezes all objects, so that the process ends without a collection of half a second."""
    gc.freeze()


@contextmanager
def packages_hidden(names: Sequence[str]) -> Iterator[None]:
    """Makes packages look missing to other packages, which import them without need.

    Args:
        names: Top-level packages. A package that is imported already stays visible.
    """
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
