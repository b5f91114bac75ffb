"""Closes the open runs of trials that have ended: their driver may have died before it closed them."""

from collections.abc import Mapping
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from kerasweep.results import Outcome, State
from kerasweep.search.ledger import (
    LOST,
    MAX_RETRIES,
    REPEAT,
    RESULT,
    SPOOLED,
    as_outcome,
    attempts,
    counts,
)
from kerasweep.sweep.adopted_trials import ADOPTED
from kerasweep.sweep.recording import SweepRecord
from kerasweep.terminal import say
from kerasweep.tracking.reader import find_runs
from kerasweep.tracking.run_record import RunRecord

DIED_AGAIN = f"its process died in {MAX_RETRIES + 1} attempts, without an error message"


def reconcile(record: SweepRecord) -> None:
    """Closes the open runs of a sweep's trials that have ended.

    Entries that MLflow had not taken then are written first. Runs are found by their tags, never by a stored
    id. A run that is not the one in which the trial recorded itself stays open: `rebuild_runs` fills it.

    Raises:
        TrackingError: MLflow cannot be used.
        StorageError: Entries on disk are damaged.
    """
    for run_id, reason in record.recorder.replay().items():
        say(f"note: some results of run {run_id} cannot be recorded: {reason}")
    sweep = record.sweep
    trials = {trial.number: trial for trial in sweep.study.get_trials(deepcopy=False)}
    elsewhere: dict[str, set[int]] = {}
    for run in find_runs(record.cfg.tracking, {"sweep": sweep.name}, status="RUNNING"):
        trial = trials.get(int(run.tags.get("trial", -1)))
        if trial is None or not trial.state.is_finished():
            continue
        attempt = _attempt(sweep.study, trial, run.run_id)
        result, spooled = _result(attempt, run.run_id), attempt.user_attrs.get(SPOOLED)
        if spooled is not None and spooled["id"] != sweep.storage.place()["id"]:
            elsewhere.setdefault(f"on {spooled['host']} in {spooled['folder']}", set()).add(trial.number)
        elif result is not None:
            record.close_trial(as_outcome(result))
        elif _is_recorded_again(record, trial, run):
            continue
        elif trial.state is TrialState.FAIL and counts(trial):
            say(f"note: trial {trial.number} has failed: {DIED_AGAIN}")
            record.close_trial(Outcome(State.FAILED, run.run_id, reason=DIED_AGAIN))
        else:
            record.cancel(run.run_id, "its process ended before the trial did")
    for place, numbers in elsewhere.items():
        shown = ", ".join(map(str, sorted(numbers)))
        say(f"note: results of trial {shown} are kept {place}: start this command there to record them")


def _attempt(study: Study, trial: FrozenTrial, run_id: str) -> FrozenTrial:
    """Returns the attempt of a trial that stored the result of this run, perhaps an adopted repeat."""
    return next((attempt for attempt in attempts(study, trial.number) if _result(attempt, run_id)), trial)


def _is_recorded_again(record: SweepRecord, trial: FrozenTrial, run: RunRecord) -> bool:
    """Whether this run replaces the one in which a result was recorded first.

    MLflow has lost that one, or it belongs to another sweep, whose trial this one adopts.
    """
    name = f"{REPEAT}:{run.tags['repeat']}" if "repeat" in run.tags else RESULT
    result = trial.user_attrs.get(name)
    if ADOPTED in trial.user_attrs:
        return True
    return result is not None and not find_runs(record.cfg.tracking, {}, id_prefix=result["run_id"])


def _result(trial: FrozenTrial, run_id: str) -> Mapping[str, Any] | None:
    """Returns the result that the trial, or one of its repeats, stored for this run; None without one.

    A trial that another driver retries has no result of its own, even if its driver wrote one later.
    """
    ignored = {RESULT} if trial.user_attrs.get(LOST) else set()
    values = (value for name, value in trial.user_attrs.items() if name not in ignored)
    return next((v for v in values if isinstance(v, dict) and v.get("run_id") == run_id), None)
