"""Imported by the process that workers fork off, for what it imports: see `src.sweep.template`.

What ends a whole group of processes reaches this one too, and must not end it: the command decides. Where
it is not known yet whether oneDNN is faster here, which TensorFlow reads when it is imported, nothing is.
"""

import gc
import signal

from src.sweep.template import dying_with_parent

signal.signal(signal.SIGTERM, lambda number, frame: None)
with dying_with_parent():
    from src.training.onednn import recall_onednn

    if recall_onednn():
        from src.training.start import import_tensorflow

        import_tensorflow()
        import src.multirun.job
        import src.sweep.channel
        import src.training.fit
        import src.training.graph_key
        import src.training.programs
        import src.trial.run  # noqa: F401
        from src.tracking.keras_model import import_flavor

        import_flavor()
gc.freeze()  # so that no collection of a worker's copies the pages that it shares
