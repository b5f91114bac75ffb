"""Imported by the process that workers fork off, for what it imports itself: see `src.sweep.template`.

Where it is not known yet whether oneDNN is faster here, nothing is imported: TensorFlow reads that when
it is.
"""

import os

from src.sweep.preload import preloading
from src.training.onednn import recall_onednn

with preloading():
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
