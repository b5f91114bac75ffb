"""Imported by the process that workers fork off, for what it imports itself: see `src.sweep.template`.

A signal that ends a whole group of processes must not end this one: the command decides. Where it is not
known yet whether oneDNN is faster here, nothing is imported: TensorFlow reads that when it is.
"""

import gc
import os
import signal
from contextlib import suppress

from src.sweep.lifetime import dying_with_parent

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when NumPy is imported: it starts its threads then
signal.signal(signal.SIGTERM, lambda number, frame: None)
with dying_with_parent(), suppress(Exception):  # the worker imports it again, and says what is wrong
    from src.training.onednn import recall_onednn

    if recall_onednn():
        from src.training.start import import_tensorflow

        import_tensorflow()
        import numpy as np

        import src.multirun.job
        import src.sweep.channel
        import src.training.fit
        import src.training.graph_key
        import src.training.programs
        import src.trial.run  # noqa: F401
        from src.tracking.keras_model import import_flavor
        from src.tracking.location import default_uri

        import_flavor(default_uri())
        os.register_at_fork(after_in_child=np.random.seed)  # or all workers would draw the same numbers
gc.freeze()  # so that no collection of a worker's copies the pages that it shares
