"""Describes the end of a sweep: its best trial and all its trials."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kerasweep.config.passwords import without_password
from kerasweep.errors import RefusedError
from kerasweep.multirun.drive import OpenSweep
from kerasweep.report.score import recorded_score
from kerasweep.results import RETURNED
from kerasweep.search.stops import Ending
from kerasweep.sweep.best_trials import best_trials
from kerasweep.sweep.summary import run_of_model
from kerasweep.sweep.trial_rows import TrialRow, trial_rows
from kerasweep.tracking.reader import get_run

# Receives a SweepEnd or a DryRun.
Take = Callable[[Any], None]


@dataclass(frozen=True)
class BestTrial:
    """The best trial of a sweep; with several objectives, the first of the Pareto front."""

    trial: int  # its number
    value: float  # the first objective
    values: tuple[float, ...]  # all objectives
    params: Mapping[str, Any]  # the value of each axis by its short name, as in MLflow's tags
    overrides: tuple[str, ...]  # the same as on the command line
    run_id: str  # MLflow's; with several seeds, that of the best one, which has the model
    test_accuracy: float | None  # None if it was not tested
    test_interval: tuple[float, float] | None  # Wilson's 95 % interval, for other images of the same kind
    test_images: int | None


@dataclass(frozen=True)
class SweepResult:
    """The state of a sweep when its command ends."""

    sweep: str  # its name, as in `src.compare study=NAME`
    study: str
    objectives: tuple[str, ...]  # each with its direction, such as `val_accuracy maximize`
    ending: str  # why no further trial starts
    is_whole: bool  # whether all trials are there: no budget cut the sweep short
    total: int  # the trials that were asked for
    counts: Mapping[str, int]  # of ended trials by their state
    best: BestTrial | None  # None if no trial is complete
    front: tuple[int, ...]  # with several objectives, the numbers of the trials of the Pareto front
    trials: tuple[TrialRow, ...]  # by number
    tracking_uri: str  # MLflow's, without a password
    experiment: str  # MLflow's


@dataclass(frozen=True)
class SweepEnd:
    """The end of a sweep, with its study for Python."""

    result: SweepResult
    study: Any  # Optuna's Study


def end_of(opened: OpenSweep, ending: Ending) -> SweepEnd:
    """Returns the end of a sweep."""
    sweep, record, cfg = opened.sweep, opened.record, opened.plan.base
    rows, ranked = trial_rows(sweep, record.short_names), best_trials(sweep)
    best = None
    if ranked:
        row = next(row for row in rows if row.number == ranked[0].number)
        best = _best(opened, row, run_of_model(record, ranked[0]))
    result = SweepResult(
        sweep=sweep.name,
        study=record.study,
        objectives=tuple(f"{objective.metric} {objective.direction}" for objective in cfg.objective),
        ending=ending.reason,
        is_whole=ending.is_whole,
        total=sweep.total,
        counts=dict(Counter(row.state for row in rows if row.state in RETURNED)),
        best=best,
        front=tuple(trial.number for trial in ranked) if len(sweep.directions) > 1 else (),
        trials=tuple(rows),
        tracking_uri=without_password(record.tracker.uri),
        experiment=cfg.tracking.experiment,
    )
    return SweepEnd(result, sweep.study)


def _best(opened: OpenSweep, row: TrialRow, run_id: str) -> BestTrial:
    try:
        score = recorded_score(get_run(opened.plan.base.tracking, run_id))
    except RefusedError:  # the user deleted the run
        score = None
    return BestTrial(
        trial=row.number,
        value=row.values[0],
        values=row.values,
        params=row.params,
        overrides=row.overrides,
        run_id=run_id,
        test_accuracy=score.accuracy if score else None,
        test_interval=score.interval if score else None,
        test_images=score.images if score else None,
    )
