"""Sets up the process: TensorFlow's import and devices, seeds, determinism and precision.

Importing this module imports neither TensorFlow nor Keras.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

from kerasweep.config.training import TrainingConf
from kerasweep.errors import KerasweepError
from kerasweep.fast_start import gc_paused, packages_hidden
from kerasweep.training.freed_memory import keep_freed_memory
from kerasweep.training.onednn import set_onednn

# Keras imports them if they are installed, for its wrappers; they take a third of its import time.
UNNEEDED = ("sklearn", "matplotlib", "matplotlib.pyplot")


def start_tensorflow() -> None:
    """Imports TensorFlow and configures its devices."""
    import_tensorflow()
    _share_gpus()


def import_tensorflow() -> None:
    """Imports TensorFlow without touching a device, so that a process forked off this one can use them."""
    if "tensorflow" in sys.modules:
        return
    keep_freed_memory()
    set_onednn()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with banners_hidden(), gc_paused(), packages_hidden(UNNEEDED):
        import tensorflow  # noqa: F401
    logging.getLogger("tensorflow").addFilter(_is_no_retracing_advice)


@contextmanager
def banners_hidden() -> Iterator[None]:
    """Hides the output to stderr inside the block, and shows it if an error of no user is raised.

    TensorFlow's C++ part reports the processor and the missing GPU at every log level.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as banners:
        os.dup2(banners.fileno(), 2)
        try:
            yield
        except (KerasweepError, KeyboardInterrupt):
            raise
        except BaseException:  # the hidden text explains it
            banners.seek(0)
            os.write(stderr, banners.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


@cache
def _share_gpus() -> None:
    """Makes TensorFlow allocate a GPU's memory as needed, since other workers may use the same GPU."""
    import tensorflow as tf

    # A RuntimeError means that the GPU is in use already: whoever opened it has decided.
    with banners_hidden(), suppress(RuntimeError):
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)


def _is_no_retracing_advice(record: logging.LogRecord) -> bool:
    """Filters out a warning: each trial is a new network with a new trace, which is no mistake."""
    return "triggered tf.function retracing" not in record.getMessage()


def seed_everything(seed: int) -> None:
    """Seeds Python, NumPy and TensorFlow, for code that draws from their global generators.

    TensorFlow then forgets the kernels of every function: the next call of a traced function takes about
    a quarter of a second longer.
    """
    import keras

    keras.utils.set_random_seed(seed)


def set_determinism(deterministic: bool) -> None:
    """Makes TensorFlow's operations bitwise repeatable, at some cost in speed, until it is set again."""
    import tensorflow as tf
    from tensorflow.python.framework import config

    if deterministic:
        tf.config.experimental.enable_op_determinism()
    else:
        config.disable_op_determinism()  # TensorFlow has no public way back


def set_precision(name: str) -> None:
    """Sets Keras's dtype policy: float32, mixed_float16 or mixed_bfloat16."""
    import keras

    keras.config.set_dtype_policy(name)


def uses_xla(training: TrainingConf) -> bool:
    """Returns training.jit_compile, or if that is None, Keras's own choice: XLA on a GPU.

    On processors its compilation takes longer than small networks train. Not all of its kernels are
    deterministic, so Keras leaves it out under op determinism too.
    """
    import tensorflow as tf

    if training.jit_compile is not None:
        return training.jit_compile
    return bool(tf.config.list_physical_devices("GPU")) and not training.deterministic
