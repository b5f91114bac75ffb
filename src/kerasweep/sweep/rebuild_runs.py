"""Records results again that MLflow has lost: its database was deleted, emptied, or is older."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Protocol

from optuna.trial import FrozenTrial

from kerasweep.errors import RefusedError
from kerasweep.results import Outcome, State, TrialRef
from kerasweep.search.ledger import (
    RESULT,
    SPOOLED,
    as_outcome,
    clean_params,
    completed_repeats,
    counts,
    own_repeats,
)
from kerasweep.search.storage import under_lock
from kerasweep.space.rows import Params
from kerasweep.sweep.adopted_trials import ADOPTED, HAS_UNCOPIED_RUNS
from kerasweep.sweep.reconcile import DIED_AGAIN
from kerasweep.sweep.recording import Opening, SweepRecord
from kerasweep.sweep.replaced_runs import record_again
from kerasweep.terminal import say
from kerasweep.tracking.copied_run import copy_run
from kerasweep.tracking.reader import find_runs, get_run
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import ADOPTED_FROM

OWN = None  # stands for a trial's own run, beside the numbers of its repeats
RUNNING = "RUNNING"
LACKING = (
    "MLflow lacks results of {} of {}, since its database is new or older: they are recorded "
    "again from the storage, without the metrics of each epoch and without artifacts"
)


class RunOpener(Protocol):
    """Opens runs of trials; see `WorkerTrialRuns`."""

    def open_trial_run(self, number: int, params: Params, opening: Opening) -> TrialRef: ...
    def open_repeat_run(
        self, trial_params: Params, ref: TrialRef, repeat: int, opening: Opening
    ) -> TrialRef: ...


@dataclass(frozen=True)
class _Lacking:
    """A trial of which MLflow lacks results."""

    trial: FrozenTrial
    results: Mapping[int | None, Outcome]  # that MLflow lacks, by repeat
    runs: Mapping[int | None, str]  # the ids of the runs that there are, by repeat


def rebuild_runs(record: SweepRecord, opener: RunOpener) -> None:
    """Records the results that the storage has and MLflow lacks, in their runs or in new ones.

    For a database that is whole this takes two queries, for the runs of the trial that ended last. Runs that
    a user deleted stay deleted. Call this after `reconcile`.

    Args:
        record: The sweep's runs.
        opener: Opens the runs of trials.

    Raises:
        TrackingError: MLflow cannot be used.
    """
    ended = _ended(record)
    is_incomplete = record.sweep.study.user_attrs.get(HAS_UNCOPIED_RUNS, False)
    if is_incomplete or ended and _lacking(record, ended[-1:], {"trial": str(ended[-1].number)}):
        lock = partial(record.sweep.storage.winner_lock, record.sweep.name)
        under_lock(lock, partial(_rebuild, record, opener))


def _rebuild(record: SweepRecord, opener: RunOpener) -> None:
    """Call this with the lock of the winners held: another driver may rebuild the same runs.

    Trials are recorded in the order in which they ended, so that the last one shows whether all are.
    """
    lacking = _lacking(record, _ended(record), {})
    lost = [recorded for recorded in lacking if ADOPTED not in recorded.trial.user_attrs]
    if lost:
        trials = "1 trial" if len(lost) == 1 else f"{len(lost)} trials"
        say(f"note: {LACKING.format(trials, record.sweep.name)}")
    for trial in lacking:
        _record(record, opener, trial)
    if record.sweep.study.user_attrs.get(HAS_UNCOPIED_RUNS, False):
        record.sweep.study.set_user_attr(HAS_UNCOPIED_RUNS, False)


def _ended(record: SweepRecord) -> list[FrozenTrial]:
    """Returns the trials that have a result, in the order in which they ended."""
    trials = record.sweep.study.get_trials(deepcopy=False)
    ended = [trial for trial in trials if trial.state.is_finished() and counts(trial)]
    return sorted(ended, key=lambda trial: (trial.datetime_complete or datetime.min, trial.number))


def _lacking(record: SweepRecord, trials: Iterable[FrozenTrial], tags: Mapping[str, str]) -> list[_Lacking]:
    """Returns the trials of which MLflow lacks results. tags: those of all of their runs."""
    find = partial(find_runs, record.cfg.tracking, {"sweep": record.sweep.name, **tags})
    runs, deleted = _by_repeat(find()), _by_repeat(find(lifecycle="deleted"))
    here = record.sweep.storage.place()["id"]
    lacking = []
    for trial in trials:
        results = _results(record, trial)
        own = {repeat: _run_of(runs[trial.number, repeat], results[repeat]) for repeat in results}
        missing = {
            repeat: outcome
            for repeat, outcome in results.items()
            if not _is_recorded(own[repeat], outcome)
            and not (own[repeat] is None and (trial.number, repeat) in deleted)
        }
        is_kept_elsewhere = trial.user_attrs.get(SPOOLED, {"id": here})["id"] != here
        has_own = own[OWN] is not None
        if missing and (not is_kept_elsewhere if has_own else (trial.number, OWN) not in deleted):
            ids = {repeat: run.run_id for repeat, run in own.items() if run is not None}
            lacking.append(_Lacking(trial, missing, ids))
    return lacking


def _by_repeat(runs: Iterable[RunRecord]) -> Mapping[tuple[int, int | None], list[RunRecord]]:
    """Returns the runs of trials by trial and repeat, the newest first."""
    found: dict[tuple[int, int | None], list[RunRecord]] = defaultdict(list)
    for run in runs:
        if run.tags.get("trial", "").isdigit():
            found[int(run.tags["trial"]), int(run.tags["repeat"]) if "repeat" in run.tags else OWN].append(
                run
            )
    return found


def _results(record: SweepRecord, trial: FrozenTrial) -> Mapping[int | None, Outcome]:
    """Returns the results that a trial and its repeats have stored."""
    failed = Outcome(State.FAILED, "", reason=DIED_AGAIN)
    own = as_outcome(trial.user_attrs[RESULT]) if RESULT in trial.user_attrs else failed
    results: dict[int | None, Outcome] = {OWN: own}
    if record.sweep.repeats > 1:
        for stored in (completed_repeats(record.sweep.study, trial.number), own_repeats(trial)):
            results.update(stored.items())
    return results


def _run_of(runs: Iterable[RunRecord], outcome: Outcome) -> RunRecord | None:
    """Returns the run in which a result was recorded first, else the newest; None if there is none."""
    return min(runs, key=lambda run: run.run_id != outcome.run_id, default=None)


def _is_recorded(run: RunRecord | None, outcome: Outcome) -> bool:
    """Whether a run has what its result has, or will have it.

    The trial may have ended since `reconcile`: then its driver closes its run, or the next `reconcile` does.
    Another open run is one that an earlier start began to rebuild.
    """
    if run is None or not run.params:
        return False
    if run.status == RUNNING:
        return run.run_id == outcome.run_id
    return outcome.state != State.COMPLETE or "objective" in run.metrics


def _record(record: SweepRecord, opener: RunOpener, lacking: _Lacking) -> None:
    """Records the results of a trial in the runs that lack them, or in new ones; its own run comes last."""
    trial, results, runs = lacking.trial, lacking.results, lacking.runs
    params = clean_params(record.sweep.space, trial)
    begun, ended = _milliseconds(trial.datetime_start), _milliseconds(trial.datetime_complete)
    ref = TrialRef(runs.get(OWN, ""), trial.number)
    if OWN in results:
        ref = opener.open_trial_run(trial.number, params, Opening(run_id=runs.get(OWN), begun=begun))
    for repeat in sorted(repeat for repeat in results if repeat is not OWN):
        opening = Opening(run_id=runs.get(repeat), begun=begun)
        run_id = opener.open_repeat_run(params, ref, repeat, opening).run_id
        _fill(record, trial, run_id, results[repeat], ended)
    if OWN in results:
        _fill(record, trial, ref.run_id, results[OWN], ended)


def _fill(record: SweepRecord, trial: FrozenTrial, run_id: str, outcome: Outcome, ended: int | None) -> None:
    """Records a result in a run: an adopted one as a copy of its first run, if MLflow still has that."""
    if ADOPTED in trial.user_attrs:
        with suppress(RefusedError):
            earlier = get_run(record.cfg.tracking, outcome.run_id)
            if outcome.state != State.COMPLETE or "objective" in earlier.metrics:
                copy_run(record.tracker, earlier.run_id, run_id, {ADOPTED_FROM: earlier.run_id})
                record.close_trial(replace(outcome, run_id=run_id), ended)
                return
    record_again(record, run_id, outcome, ended)


def _milliseconds(moment: datetime | None) -> int | None:
    """Returns one of Optuna's times as MLflow counts them."""
    return None if moment is None else int(1000 * moment.timestamp())
