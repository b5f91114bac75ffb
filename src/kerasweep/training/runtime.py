"""Imports TensorFlow without its banners."""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

from kerasweep.imports import gc_paused, packages_hidden
from kerasweep.training.onednn import VARIABLE, set_onednn

# Keras imports them where they are there, for wrappers of its own; they take a third of its import.
UNNEEDED = ("sklearn", "matplotlib", "matplotlib.pyplot")


def start_tensorflow() -> None:
    """Import TensorFlow and make its devices ready."""
    import_tensorflow()
    _share_gpus()


def import_tensorflow() -> None:
    """Import TensorFlow. No device is touched: a process that forks off this one may use them."""
    if "tensorflow" in sys.modules:
        return
    set_onednn()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _banners_hidden(), gc_paused(), packages_hidden(UNNEEDED):
        import tensorflow  # noqa: F401
    logging.getLogger("tensorflow").addFilter(_is_no_retracing_advice)


@contextmanager
def _banners_hidden() -> Iterator[None]:
    """What is written to stderr meanwhile is shown only where an error is raised.

    TensorFlow's C++ part reports the processor and the missing GPU whatever its log level.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as banners:
        os.dup2(banners.fileno(), 2)
        try:
            yield
        except BaseException:  # whatever it is, what was hidden explains it; it is raised again
            banners.seek(0)
            os.write(kept, banners.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def arithmetic() -> dict[str, str]:
    """What the last bits of a training depend on beside its configuration, as tags.

    Both belong to the process: TensorFlow reads them when it is imported.
    """
    return {
        "onednn": os.environ.get(VARIABLE, "default"),
        "threads": os.environ.get("TF_NUM_INTRAOP_THREADS", "all"),
    }


@cache
def _share_gpus() -> None:
    """Have TensorFlow take a GPU's memory as it needs it, not all of it at once: other workers may use it."""
    import tensorflow as tf

    # A RuntimeError comes of a GPU that is in use already: who opened it has decided.
    with _banners_hidden(), suppress(RuntimeError):
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)


def _is_no_retracing_advice(record: logging.LogRecord) -> bool:
    """Each trial is a new network with a new trace, which is no mistake to warn of."""
    return "triggered tf.function retracing" not in record.getMessage()
