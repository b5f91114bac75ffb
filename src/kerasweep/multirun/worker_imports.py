"""Imports the packages of a sweep's workers once, in the template (`kerasweep.workers.template`).

TensorFlow reads the setting of oneDNN when it is imported: while it is unknown which setting is faster on
this machine, nothing is imported.
"""

import os

from kerasweep.training.onednn import recall_onednn
from kerasweep.workers.template import preloading

with preloading():
    if recall_onednn():
        from kerasweep.training.runtime import import_tensorflow

        import_tensorflow()
        import numpy as np

        import kerasweep.multirun.jobs
        import kerasweep.training.fit
        import kerasweep.training.program
        import kerasweep.trial.run  # noqa: F401

        os.register_at_fork(after_in_child=np.random.seed)  # or all workers would draw the same numbers
