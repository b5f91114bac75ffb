"""What a study's trials count as, and how each result is written down."""

import os
import socket
from typing import Any

import psutil
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from src.outcome import Outcome
from src.sweep.space.axis import Params, Space, signature

REJECTED, LOST, OWNER, RESULT, RETRY_OF = "rejected", "lost", "owner", "result", "retry_of"
MOST_RETRIES = 2
_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial counts towards the total: finished or failed by its own fault, or under way."""
    if trial.state is TrialState.FAIL:
        return not (trial.user_attrs.get(REJECTED) or trial.user_attrs.get(LOST))
    return True


def clean_params(space: Space, trial: FrozenTrial) -> Params:
    """The trial's configuration, or what it is to be where it still waits."""
    params = trial.params or trial.system_attrs.get("fixed_params", {})
    axes = {axis.key: axis for axis in space.axes}
    return {key: axes[key].snap(value) for key, value in params.items() if key in axes}


def tried(study: Study, space: Space) -> set[tuple[tuple[str, str], ...]]:
    """The signatures of every configuration that is counted."""
    return {
        signature(clean_params(space, trial))
        for trial in study.get_trials(deepcopy=False)
        if counts(trial) and trial.state is not TrialState.WAITING
    }


def this_owner() -> dict[str, Any]:
    """Who trains a trial: host, process id and the process's start time (seconds since 1970)."""
    pid = os.getpid()
    return {"host": socket.gethostname(), "pid": pid, "started": psutil.Process(pid).create_time()}


def is_alive(owner: dict[str, Any] | None) -> bool:
    """Whether the owner still runs. One on another host is taken to be alive."""
    if owner is None:
        return False
    if owner["host"] != socket.gethostname():
        return True
    if not psutil.pid_exists(owner["pid"]):
        return False
    try:
        return abs(psutil.Process(owner["pid"]).create_time() - owner["started"]) < 1.0
    except psutil.NoSuchProcess:
        return False


def settle(study: Study, trial: Trial, outcome: Outcome) -> None:
    """Write the result into the trial first, then tell Optuna."""
    trial.set_user_attr(
        RESULT,
        {
            "state": outcome.state,
            "values": list(outcome.values),
            "run_id": outcome.run_id,
            "best_epoch": outcome.best_epoch,
            "seconds": outcome.seconds,
            "metrics": dict(outcome.metrics),
            "reason": outcome.reason,
        },
    )
    tell_result(study, trial.number, outcome.state, outcome.values)


def tell_result(study: Study, number: int, state: str, values: tuple[float, ...]) -> None:
    """Tell Optuna a result that stands in the trial already."""
    complete = state == "complete"
    study.tell(number, list(values) if complete else None, state=_STATES[state])


def lose(study: Study, trial: Trial | FrozenTrial, blamed: bool) -> None:
    """Fail a trial that did not come to its end, and enqueue its configuration again.

    blamed: its owner died, perhaps because of it; then at most MOST_RETRIES times, after which
    it counts as failed. A trial that the user stopped is always enqueued again.
    """
    retries = int(trial.user_attrs.get("retries", 0)) + int(blamed)
    frozen = study.get_trials(deepcopy=False)[trial.number]
    params = frozen.params or frozen.system_attrs.get("fixed_params", {})
    again = retries <= MOST_RETRIES and bool(params)
    if again and not _has_retry(study, trial.number):
        study.enqueue_trial(params, user_attrs={RETRY_OF: trial.number, "retries": retries})
    if again or not params:
        study._storage.set_trial_user_attr(trial._trial_id, LOST, True)
    study.tell(trial.number, state=TrialState.FAIL)


def _has_retry(study: Study, number: int) -> bool:
    """Whether a trial was enqueued again already: its driver may have died before it could say so."""
    return any(trial.user_attrs.get(RETRY_OF) == number for trial in study.get_trials(deepcopy=False))


def recover(study: Study) -> list[FrozenTrial]:
    """Settle what dead owners left RUNNING: tell results that were written, lose the others.

    Call it with the sweep's lock held. Returns the trials that were lost, for their runs to be closed.
    """
    lost = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if is_alive(trial.user_attrs.get(OWNER)):
            continue
        result = trial.user_attrs.get(RESULT)
        if result is not None:
            tell_result(study, trial.number, result["state"], tuple(result["values"]))
            continue
        lost.append(trial)
        lose(study, trial, blamed=True)
    return lost
