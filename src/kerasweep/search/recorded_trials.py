"""Adds trials to a study that runs record and its storage lacks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from kerasweep.results import Outcome, State
from kerasweep.search.ledger import LOST, REPEAT, RESULT, as_attribute
from kerasweep.search.owner import OWNER, is_alive
from kerasweep.search.sweep import Sweep
from kerasweep.space.rows import Params


@dataclass(frozen=True)
class RecordedTrial:
    """A trial as its runs record it."""

    params: Params = field(default_factory=dict)
    outcome: Outcome | None = None  # None if it did not end
    repeats: Mapping[int, Outcome] = field(default_factory=dict)  # the complete ones


def unfinished(study: Study) -> list[int]:
    """Returns the numbers of the trials that run although their drivers have died."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return [trial.number for trial in running if not is_alive(study, trial.user_attrs.get(OWNER))]


def add_results(sweep: Sweep, trials: Mapping[int, RecordedTrial]) -> None:
    """Adds results to trials that run in the storage; `recover` ends these. Call it with the lock held."""
    stored = sweep.study.get_trials(deepcopy=False)
    for number, trial in trials.items():
        for name, value in _attributes(trial).items():
            if name not in stored[number].user_attrs:
                sweep.study._storage.set_trial_user_attr(stored[number]._trial_id, name, value)


def add_trials(sweep: Sweep, trials: Sequence[RecordedTrial]) -> None:
    """Adds trials in the order of their numbers. Call it with the lock held.

    A trial without an end is added as RUNNING, without an owner, so that `recover` retries it.
    """
    for trial in trials:
        sweep.study.add_trial(_frozen(sweep, trial))


def _attributes(trial: RecordedTrial) -> dict[str, Any]:
    attributes = {f"{REPEAT}:{repeat}": as_attribute(outcome) for repeat, outcome in trial.repeats.items()}
    if trial.outcome is not None:
        attributes[RESULT] = as_attribute(trial.outcome)
    return attributes


def _frozen(sweep: Sweep, trial: RecordedTrial) -> FrozenTrial:
    state, values = TrialState.RUNNING, None
    if trial.outcome is not None:
        state = TrialState[State(trial.outcome.state).optuna]
        values = trial.outcome.values if state is TrialState.COMPLETE else None
    elif not trial.repeats:
        state = TrialState.FAIL
    params, distributions = sweep.space.recorded(trial.params)
    return create_trial(
        state=state,
        values=values,
        params=params,
        distributions=distributions,
        user_attrs={**_attributes(trial), **({LOST: True} if trial == RecordedTrial() else {})},
    )
