"""Adds trials to a study again that its storage has lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from kerasweep.results import Outcome, State
from kerasweep.search.ledger import LOST, REPEAT, RESULT, RETRIES, RETRY_OF, as_attribute
from kerasweep.search.sweep import Sweep
from kerasweep.space.axis import Params


@dataclass(frozen=True)
class LostTrial:
    """What its runs tell of a trial."""

    params: Params = field(default_factory=dict)
    outcome: Outcome | None = None  # None if it did not end
    repeats: Mapping[int, Outcome] = field(default_factory=dict)  # the complete ones


def add_trials(sweep: Sweep, trials: Sequence[LostTrial]) -> None:
    """Adds trials in the order of their numbers; one that did not end is enqueued if it has complete repeats.

    Call this with the sweep's lock held.
    """
    study = sweep.study
    first = len(study.get_trials(deepcopy=False))
    for trial in trials:
        study.add_trial(_frozen(sweep, trial))
    for number, trial in enumerate(trials, start=first):
        if trial.outcome is None and trial.repeats:
            study.enqueue_trial(trial.params, user_attrs={RETRY_OF: number, RETRIES: 0})


def _frozen(sweep: Sweep, trial: LostTrial) -> FrozenTrial:
    attributes: dict[str, Any] = {
        f"{REPEAT}:{repeat}": as_attribute(outcome) for repeat, outcome in trial.repeats.items()
    }
    state = TrialState.FAIL
    if trial.outcome is None:
        attributes[LOST] = True
    else:
        attributes[RESULT] = as_attribute(trial.outcome)
        state = TrialState[State(trial.outcome.state).optuna]
    return create_trial(
        state=state,
        values=trial.outcome.values if trial.outcome is not None and state is TrialState.COMPLETE else None,
        params=trial.params,
        distributions={axis.key: axis.distribution for axis in sweep.space.axes if axis.key in trial.params},
        user_attrs=attributes,
    )
