"""kerasweep finds out which choice helps a Keras network, and by how much.

From Python (docs/python.md):

- `train`: trains one network.
- `sweep`: searches over many, and `dry_run` shows what it would train.
- `compare`: ranks recorded runs.
- `load`: loads a recorded model.

The commands are `kerasweep-train`, `kerasweep-compare`, `kerasweep-predict` and those of docs/winner.md. A
training function that `trial.target` names uses:

- `Outcome`: what a trial returns.
- `TrialRef`: the run that a trial fills.

Example:
    >>> from kerasweep import Outcome
    >>> Outcome(state="complete", run_id="67f485f8", values=(0.97,)).values
    (0.97,)
"""

import sys
import warnings
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from kerasweep.results import Outcome, TrialRef

if TYPE_CHECKING:
    from kerasweep.api.comparing import Comparison, compare
    from kerasweep.api.loading import load
    from kerasweep.api.sweeping import Sweep, dry_run, sweep
    from kerasweep.api.training import train

__all__ = ["Comparison", "Outcome", "Sweep", "TrialRef", "compare", "dry_run", "load", "sweep", "train"]
# Each name with its module, which is imported at the first use: it imports Hydra and MLflow.
_MODULES = {
    "Comparison": "comparing",
    "compare": "comparing",
    "load": "loading",
    "Sweep": "sweeping",
    "dry_run": "sweeping",
    "sweep": "sweeping",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'kerasweep' has no attribute {name!r}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")  # of Optuna's import, in a notebook
        return getattr(import_module(f"kerasweep.api.{_MODULES[name]}"), name)


class _Package(ModuleType):
    """Keeps `kerasweep.sweep` the function: Python would set it to the room of that name on its import."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _MODULES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
