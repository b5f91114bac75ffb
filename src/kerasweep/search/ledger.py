"""What a study's trials count as, and how each result is written down."""

import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import psutil
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from kerasweep.results import Outcome, State
from kerasweep.space.axis import Params, Space, signature

REJECTED, LOST, OWNER, RESULT, RETRY_OF = "rejected", "lost", "owner", "result", "retry_of"
SEED, EPOCH, LEASE = "seed", "epoch", "lease"
MAX_RETRIES = 2
LEASE_SECONDS = 300.0
CLOCK_SECONDS = 0.1
START_FIELD = 19  # of /proc/PID/stat, counted from the first one behind the name
Signature = tuple[tuple[str, str], ...]
_finished: WeakKeyDictionary[Study, tuple[Space, dict[int, Signature]]] = WeakKeyDictionary()


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


def tried(study: Study, space: Space) -> set[Signature]:
    """The signatures of every configuration that is counted. Those of finished trials are kept."""
    if study not in _finished or _finished[study][0] is not space:
        _finished[study] = (space, {})
    finished = _finished[study][1]
    found = set()
    for trial in study.get_trials(deepcopy=False):
        if trial.state is TrialState.WAITING or not counts(trial):
            continue
        known = finished.get(trial.number) or signature(clean_params(space, trial))
        if trial.state.is_finished():
            finished[trial.number] = known
        found.add(known)
    return found


def this_owner() -> dict[str, Any]:
    """Who trains a trial: host, process id and when the process began."""
    pid = os.getpid()
    return {"host": socket.gethostname(), "pid": pid, "started": _began(pid)}


def _began(pid: int) -> float | None:
    """When a process began, in seconds; None for one that is gone, or is a zombie that none has reaped.

    On Linux since the boot: no change of the clock moves that, as it moves psutil's create_time
    (https://github.com/giampaolo/psutil/issues/2526).
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        if sys.platform != "linux":
            return process.create_time()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[START_FIELD]) / os.sysconf("SC_CLK_TCK")


def renew_lease(study: Study) -> None:
    """Say that this owner is alive, for drivers on other hosts; do it again within LEASE_SECONDS."""
    study.set_user_attr(_lease(this_owner()), time.time())


def _lease(owner: dict[str, Any]) -> str:
    return f"{LEASE}:{owner['host']}:{owner['pid']}:{owner['started']:.0f}"


def is_alive(study: Study, owner: dict[str, Any] | None) -> bool:
    """Whether the owner still runs; on another host, whether its lease is fresh."""
    if owner is None:
        return False
    if owner["host"] != socket.gethostname():
        renewed = float(study.user_attrs.get(_lease(owner), 0.0))
        return time.time() - renewed < LEASE_SECONDS
    began = _began(owner["pid"])
    return began is not None and abs(began - owner["started"]) < CLOCK_SECONDS


def settle(study: Study, trial: Trial, outcome: Outcome) -> None:
    """Write the result into the trial first, then tell Optuna."""
    trial.set_user_attr(RESULT, _as_attribute(outcome))
    tell_result(study, trial.number, outcome.state, outcome.values)


def note_seed(trial: Trial, repeat: int, outcome: Outcome) -> None:
    """Write down what one seed of a repeated trial gave, so that no restart trains it again."""
    trial.set_user_attr(f"{SEED}:{repeat}", _as_attribute(outcome))


def note_progress(trial: Trial, repeat: int, epoch: int) -> None:
    """Write down that a seed reported this epoch: the checkpoint of the one before it is whole."""
    trial.set_user_attr(f"{EPOCH}:{repeat}", epoch)


def _got_ahead(study: Study, number: int) -> bool:
    """Whether an attempt left a seed, or a checkpoint of a later epoch than those before it.

    An attempt that goes on from a checkpoint reports the epochs until there again.
    """
    trial, *earlier = attempts(study, number)
    if any(seed["state"] == State.COMPLETE for seed in _noted(trial, SEED).values()):
        return True
    before = [_noted(each, EPOCH) for each in earlier]
    return any(
        epoch > max([1, *(each.get(repeat, 0) for each in before)])
        for repeat, epoch in _noted(trial, EPOCH).items()
    )


def _noted(trial: FrozenTrial, kind: str) -> dict[int, Any]:
    """What was written down of each seed of an attempt."""
    found = {}
    for name, value in trial.user_attrs.items():
        of, _, repeat = name.partition(":")
        if of == kind:
            found[int(repeat)] = value
    return found


def _as_attribute(outcome: Outcome) -> dict[str, Any]:
    return {
        "state": outcome.state,
        "values": list(outcome.values),
        "run_id": outcome.run_id,
        "best_epoch": outcome.best_epoch,
        "seconds": outcome.seconds,
        "metrics": dict(outcome.metrics),
        "reason": outcome.reason,
        "seeds": list(outcome.seeds),
        "left": outcome.left,
    }


def attempts(study: Study, number: int) -> list[FrozenTrial]:
    """A trial and the lost ones that it was enqueued in place of, the newest first."""
    trials = study.get_trials(deepcopy=False)
    found = [trials[number]]
    while (earlier := found[-1].user_attrs.get(RETRY_OF)) is not None:
        found.append(trials[earlier])
    return found


def known_seeds(study: Study, number: int) -> dict[int, Outcome]:
    """What the seeds of a trial gave in this attempt and in those before it."""
    found: dict[int, Outcome] = {}
    for trial in reversed(attempts(study, number)):
        for repeat, result in _noted(trial, SEED).items():
            if result["state"] == State.COMPLETE:
                found[repeat] = as_outcome(result)
    return found


def as_outcome(result: Mapping[str, Any]) -> Outcome:
    """What a result in a trial's attributes says; it holds no traceback."""
    return Outcome(**{**result, "values": tuple(result["values"]), "seeds": tuple(result["seeds"])})


def tell_result(study: Study, number: int, state: str, values: tuple[float, ...]) -> None:
    """Tell Optuna a result that stands in the trial already."""
    is_complete = state == State.COMPLETE
    study.tell(number, list(values) if is_complete else None, state=TrialState[State(state).optuna])


def lose(study: Study, number: int, blamed: bool) -> bool:
    """Fail a trial that did not come to its end, and enqueue its configuration again.

    blamed: its owner died, perhaps because of it; then at most MAX_RETRIES times, after which
    it counts as failed. A trial that the user stopped is always enqueued again. Returns False for
    one that did come to its end: what stands in it is told.
    """
    trial = study.get_trials(deepcopy=False)[number]
    if trial.state.is_finished():
        return False
    result = trial.user_attrs.get(RESULT)
    if result is not None:
        tell_result(study, number, result["state"], tuple(result["values"]))
        return False
    retries = int(trial.user_attrs.get("retries", 0)) + int(blamed)
    params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
    again = retries <= MAX_RETRIES and bool(params)
    if again and not _has_retry(study, number):
        study.enqueue_trial(params, user_attrs={RETRY_OF: number, "retries": retries})
    if again or not params:
        study._storage.set_trial_user_attr(trial._trial_id, LOST, True)
    study.tell(number, state=TrialState.FAIL)
    return True


def _has_retry(study: Study, number: int) -> bool:
    """Whether a trial was enqueued again already: its driver may have died before it could say so.

    Another driver may have rejected that one meanwhile, as equal to this trial.
    """
    trials = study.get_trials(deepcopy=False)
    return any(
        each.user_attrs.get(RETRY_OF) == number and not each.user_attrs.get(REJECTED) for each in trials
    )


def recover(study: Study) -> list[FrozenTrial]:
    """Settle what dead owners left RUNNING: tell results that were written, lose the others.

    One that got ahead is not blamed for its owner's end: however often that comes, it ends once.
    Call it with the sweep's lock held. Returns the trials that were lost, for their runs to be closed.
    """
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    dead = [trial for trial in running if not is_alive(study, trial.user_attrs.get(OWNER))]
    return [trial for trial in dead if lose(study, trial.number, blamed=not _got_ahead(study, trial.number))]
