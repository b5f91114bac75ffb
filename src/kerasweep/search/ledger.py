"""Counts trials, writes results into them, and retries lost trials."""

from collections.abc import Collection, Mapping
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from kerasweep.results import Outcome, State
from kerasweep.search.owner import OWNER, is_alive, this_owner
from kerasweep.space.rows import Params
from kerasweep.space.space import Space

# Attributes of trials in journals: never change them.
REJECTED, LOST, RESULT, RETRY_OF, RETRIES = "rejected", "lost", "result", "retry_of", "retries"
REPEAT, EPOCH, SPOOLED, STOPPING = "seed", "epoch", "spooled", "stopping"
MAX_RETRIES = 2


def counts(trial: FrozenTrial) -> bool:
    """Returns whether a trial counts towards the total: all do, except rejected and lost ones."""
    if trial.state is TrialState.FAIL:
        return not (trial.user_attrs.get(REJECTED) or trial.user_attrs.get(LOST))
    return True


def clean_params(space: Space, trial: FrozenTrial) -> Params:
    """Returns the trial's configuration; for a waiting trial, the enqueued one."""
    return space.read(trial.params or trial.system_attrs.get("fixed_params", {}))


def has_waiting(study: Study) -> bool:
    """Returns whether an enqueued trial waits for a driver."""
    return bool(study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))


def settle(study: Study, trial: Trial, outcome: Outcome) -> None:
    """Writes the result into the trial first, then tells Optuna.

    Raises:
        UpdateFinishedTrialError: Another driver has ended the trial.
    """
    result = as_attribute(outcome)
    try:
        trial.set_user_attr(RESULT, result)
        tell_result(study, trial.number, outcome.state, outcome.values)
    except (UpdateFinishedTrialError, ValueError) as error:  # Optuna raises either
        ended = study.get_trials(deepcopy=False)[trial.number]
        if not ended.state.is_finished():
            raise
        # A database that was restarted may have lost its answer, not the result.
        if ended.user_attrs.get(RESULT) != result or ended.user_attrs.get(LOST):
            raise UpdateFinishedTrialError(f"Trial {trial.number} was ended by another driver.") from error


def note_repeat(trial: Trial, repeat: int, outcome: Outcome) -> None:
    """Saves the result of one repeat in the trial, so that no restart trains it again."""
    trial.set_user_attr(f"{REPEAT}:{repeat}", as_attribute(outcome))


def note_spooled(trial: Trial, place: Mapping[str, str]) -> None:
    """Saves where results are kept that MLflow has not taken: only a driver there may close their runs."""
    trial.set_user_attr(SPOOLED, dict(place))


def note_progress(trial: Trial, repeat: int, epoch: int) -> None:
    """Saves that a repeat reached this epoch: the checkpoint of the epoch before it is complete."""
    trial.set_user_attr(f"{EPOCH}:{repeat}", epoch)


def note_stopping(trial: Trial) -> None:
    """Saves that the trial's driver was told to stop: a scheduler may kill it before the trial has ended."""
    trial.set_user_attr(STOPPING, True)


def _progressed(study: Study, number: int) -> bool:
    """Returns whether an attempt finished a repeat, or a checkpoint of a later epoch than earlier attempts.

    An attempt that resumes from a checkpoint reports the epochs before it again.
    """
    trial, *earlier = attempts(study, number)
    if any(result["state"] == State.COMPLETE for result in _by_repeat(trial, REPEAT).values()):
        return True
    before = [_by_repeat(attempt, EPOCH) for attempt in earlier]
    return any(
        epoch > max([1, *(epochs.get(repeat, 0) for epochs in before)])
        for repeat, epoch in _by_repeat(trial, EPOCH).items()
    )


def _by_repeat(trial: FrozenTrial, kind: str) -> dict[int, Any]:
    """Returns the values of the attributes `KIND:REPEAT` of an attempt, by repeat."""
    values = {}
    for name, value in trial.user_attrs.items():
        prefix, _, repeat = name.partition(":")
        if prefix == kind:
            values[int(repeat)] = value
    return values


def as_attribute(outcome: Outcome) -> dict[str, Any]:
    """Returns an outcome as it is stored in its trial, see `as_outcome`."""
    return {
        "state": outcome.state,
        "values": list(outcome.values),
        "run_id": outcome.run_id,
        "best_epoch": outcome.best_epoch,
        "seconds": outcome.seconds,
        "metrics": dict(outcome.metrics),
        "reason": outcome.reason,
        "seeds": list(outcome.seeds),
        "left": outcome.weights,  # the stored name is that of older journals
        **({"is_poor": True} if outcome.is_poor else {}),
        **({"tags": dict(outcome.tags)} if outcome.tags else {}),
    }


def attempts(study: Study, number: int) -> list[FrozenTrial]:
    """Returns a trial and the lost trials that it retries, the newest first."""
    trials = study.get_trials(deepcopy=False)
    chain = [trials[number]]
    while (earlier := chain[-1].user_attrs.get(RETRY_OF)) is not None:
        chain.append(trials[earlier])
    return chain


def completed_repeats(study: Study, number: int) -> dict[int, Outcome]:
    """Returns the complete results of a trial's repeats, in this attempt and in earlier ones."""
    outcomes: dict[int, Outcome] = {}
    for trial in reversed(attempts(study, number)):
        for repeat, result in _by_repeat(trial, REPEAT).items():
            if result["state"] == State.COMPLETE:
                outcomes[repeat] = as_outcome(result)
    return outcomes


def own_repeats(trial: FrozenTrial) -> dict[int, Outcome]:
    """Returns the results of the repeats that this attempt of a trial trained."""
    return {repeat: as_outcome(result) for repeat, result in _by_repeat(trial, REPEAT).items()}


def is_poor(trial: FrozenTrial) -> bool:
    """Returns whether a failed trial shows that its configuration is poor."""
    return trial.state is TrialState.FAIL and bool(trial.user_attrs.get(RESULT, {}).get("is_poor"))


def as_outcome(result: Mapping[str, Any]) -> Outcome:
    """Reads an outcome from a trial's attributes; it has no traceback."""
    fields = {name: value for name, value in result.items() if name != "left"}
    fields |= {"values": tuple(result["values"]), "seeds": tuple(result["seeds"])}
    return Outcome(**fields, weights=result.get("left"))


def tell_result(study: Study, number: int, state: str, values: tuple[float, ...]) -> None:
    """Tells Optuna a result that is written in the trial already."""
    is_complete = state == State.COMPLETE
    study.tell(number, list(values) if is_complete else None, state=TrialState[State(state).optuna])


def fail_and_retry(study: Study, number: int, blamed: bool) -> bool:
    """Fails a trial that did not finish, and enqueues its configuration again.

    Args:
        study: The study that holds the trial.
        number: The trial's number.
        blamed: Whether the trial may have killed its owner. Then it is retried at most MAX_RETRIES times, and
            counts as failed afterwards. A trial that the user stopped is always enqueued again.

    Returns:
        False if the trial did finish: its written result is told to Optuna.
    """
    trial = study.get_trials(deepcopy=False)[number]
    if trial.state.is_finished():
        return False
    result = trial.user_attrs.get(RESULT)
    if result is not None:
        tell_result(study, number, result["state"], tuple(result["values"]))
        return False
    retries = int(trial.user_attrs.get(RETRIES, 0)) + int(blamed)
    params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
    again = retries <= MAX_RETRIES and bool(params)
    if again and not _has_retry(study, number):
        study.enqueue_trial(params, user_attrs={RETRY_OF: number, RETRIES: retries})
    if again or not params:
        study._storage.set_trial_user_attr(trial._trial_id, LOST, True)
    fail(study, number)
    return True


def fail(study: Study, number: int) -> None:
    """Tells Optuna that a trial failed. A database that was restarted may have lost its answer."""
    try:
        study.tell(number, state=TrialState.FAIL)
    except (UpdateFinishedTrialError, ValueError):
        if study.get_trials(deepcopy=False)[number].state is not TrialState.FAIL:
            raise


def disown(study: Study, kept: Collection[int]) -> None:
    """Enqueues again the trials that this process owns and does not know of: their lock was lost in between.

    Args:
        study: The sweep's study.
        kept: The numbers of the trials under way.
    """
    me = this_owner()
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if trial.user_attrs.get(OWNER) == me and trial.number not in kept:
            fail_and_retry(study, trial.number, blamed=False)


def lose(study: Study, number: int) -> bool:
    """Ends a trial whose machine has gone, and enqueues its configuration again, as `recover` does.

    Call this with the sweep's lock held.

    Returns:
        Whether it is enqueued; else it has failed.
    """
    fail_and_retry(study, number, blamed=not _progressed(study, number))
    return not counts(study.get_trials(deepcopy=False)[number])


def _has_retry(study: Study, number: int) -> bool:
    """Returns whether the trial's retry exists: its driver may have died between enqueueing and failing it.

    A rejected retry does not count: another driver rejects it while this trial, its equal, still runs.
    """
    trials = study.get_trials(deepcopy=False)
    return any(
        trial.user_attrs.get(RETRY_OF) == number and not trial.user_attrs.get(REJECTED) for trial in trials
    )


def recover(study: Study) -> list[FrozenTrial]:
    """Ends the RUNNING trials of dead owners: tells Optuna written results, and retries the other trials.

    A trial that progressed before its driver died keeps its retries: each attempt starts further on, so it
    finishes. So does one whose driver was told to stop. Call this with the sweep's lock held.

    Returns:
        The trials that were lost; their runs are still open.
    """
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    dead = [trial for trial in running if not is_alive(study, trial.user_attrs.get(OWNER))]
    return [trial for trial in dead if fail_and_retry(study, trial.number, blamed=_is_blamed(study, trial))]


def _is_blamed(study: Study, trial: FrozenTrial) -> bool:
    return STOPPING not in trial.user_attrs and not _progressed(study, trial.number)
