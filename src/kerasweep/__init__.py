"""kerasweep finds out which choice helps a Keras network, and by how much.

The commands are `kerasweep-train`, `kerasweep-compare`, `kerasweep-predict` and those of docs/winner.md. A
training function that `trial.target` names uses:

- `Outcome`: what a trial returns.
- `TrialRef`: the run that a trial fills.

Example:
    >>> from kerasweep import Outcome
    >>> Outcome(state="complete", run_id="67f485f8", values=(0.97,)).values
    (0.97,)
"""

from kerasweep.results import Outcome, TrialRef

__all__ = ["Outcome", "TrialRef"]
