"""Brackets the imports of the process that workers fork off (`kerasweep.workers.template`)."""

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kerasweep.workers.signals import dying_with_parent, go_on


@contextmanager
def preloading() -> Iterator[None]:
    """Import meanwhile what forked processes need. What fails is left to them: they say what is wrong.

    A signal that ends a whole group of processes must not end this one: the command decides.
    """
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when NumPy is imported: it starts its threads then
    signal.signal(signal.SIGTERM, go_on)
    with dying_with_parent(), suppress(Exception):
        yield
    gc.freeze()  # so that no collection of a forked process copies the pages that it shares
