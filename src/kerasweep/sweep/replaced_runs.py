"""Finds and fills the runs that replace those which MLflow has lost: results name the runs that they had."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from kerasweep.config.metrics import is_of_epoch
from kerasweep.errors import RefusedError
from kerasweep.results import Outcome, State
from kerasweep.sweep.best_repeats import Winner
from kerasweep.sweep.recording import SweepRecord
from kerasweep.tracking.reader import find_runs
from kerasweep.tracking.tags import TRAINED_EPOCHS

NOTE = (
    "Recorded again from the sweep's storage, since MLflow had lost it: without the metrics of each epoch "
    "and without artifacts."
)


def record_again(record: SweepRecord, run_id: str, outcome: Outcome, ended: int | None) -> None:
    """Records a stored result in a run that lacks it, and closes the run.

    The metrics of each epoch are those of the last one. With several seeds, the run gets their means alone.

    Args:
        run_id: The run.
        outcome: The result.
        ended: When its training ended, in milliseconds since 1970; None for now.
    """
    if not outcome.seeds and outcome.values:
        best_epoch = outcome.best_epoch
        last = {name: value for name, value in outcome.metrics.items() if is_of_epoch(name)}
        once = {name: value for name, value in outcome.metrics.items() if not is_of_epoch(name)}
        record.recorder.log_epoch(run_id, int(once.get(TRAINED_EPOCHS, best_epoch or 0)), last)
        best = {} if best_epoch is None else {"best_epoch": float(best_epoch)}
        record.recorder.log_metrics(
            run_id, {"seconds": outcome.seconds, **once, **best, **outcome.objectives}
        )
    record.recorder.set_tags(run_id, {**outcome.tags, "mlflow.note.content": NOTE})
    with suppress(RefusedError):  # the run is closed nevertheless
        record.close_trial(replace(outcome, run_id=run_id), ended)


def with_current_run(record: SweepRecord, winner: Winner) -> Winner:
    """Returns a winner with its run, see `current_run`."""
    run_id = current_run(record, winner.number, winner.repeat, winner.outcome.run_id)
    return replace(winner, outcome=replace(winner.outcome, run_id=run_id))


def current_run(record: SweepRecord, number: int, repeat: int, recorded: str) -> str:
    """Returns the id of the run of a trial, or of its repeat, found by its tags.

    Args:
        number: The trial's number.
        repeat: The repeat, if the sweep has several.
        recorded: The run that recorded it first, which MLflow may have lost: then it was recorded again.
    """
    tags = {"sweep": record.sweep.name, "trial": str(number)}
    if record.sweep.repeats > 1:
        tags["repeat"] = str(repeat)
    ids = [run.run_id for run in find_runs(record.cfg.tracking, tags)]
    return recorded if recorded in ids or not ids else ids[0]


def find_repeat(record: SweepRecord, numbers: Sequence[int], repeat: int, recorded: str) -> str | None:
    """Returns the run of a complete repeat that one of a trial's attempts trained; None if it is lost.

    It may be open: its driver closes it later, or `reconcile` on the machine that keeps its metrics.

    Args:
        numbers: The numbers of the attempts.
        repeat: The repeat.
        recorded: The run that recorded it first; it is returned, too, if the user deleted it.
    """
    for stage in ("active", "deleted"):
        for number in numbers:
            tags = {"sweep": record.sweep.name, "trial": str(number), "repeat": str(repeat)}
            runs = find_runs(record.cfg.tracking, tags, lifecycle=stage)
            complete = [
                run.run_id
                for run in runs
                if run.tags.get("state") == State.COMPLETE
                or (run.run_id == recorded and run.status == State.RUNNING.mlflow)
            ]
            if recorded in complete or (complete and stage == "deleted"):
                return recorded
            if complete:
                return complete[0]
    return None
