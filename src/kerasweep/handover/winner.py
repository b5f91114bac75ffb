"""Finds the winner of a sweep, and the runs of its configuration."""

from dataclasses import dataclass

from kerasweep.config.search import TrackingConf
from kerasweep.errors import TrackingError
from kerasweep.report.groups import by_dataset, objective_of
from kerasweep.report.reading import Report, read_report
from kerasweep.report.summary import winner_run
from kerasweep.results import State
from kerasweep.tracking.reader import find_runs
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import RunKind, read_objectives

PARENT = "mlflow.parentRunId"


@dataclass(frozen=True)
class Winner:
    """A run, and all complete runs of its configuration."""

    run: RunRecord
    seeds: tuple[RunRecord, ...]  # `run` among them


def find_winner(cfg: TrackingConf, sweep: str) -> Winner:
    """Returns the winner of a finished sweep.

    Args:
        cfg: Names the server or database, and the experiment.
        sweep: The name of the study, or the sweep's id.

    Raises:
        TrackingError: There is no such sweep, it is not finished, it has no single winner, or the name fits
            several sweeps.
    """
    report = read_report(cfg, {"study": sweep})
    sweeps = sorted({parent.tags["sweep"] for parent in report.parents})
    if len(sweeps) > 1:
        raise TrackingError(f"{sweep} names {len(sweeps)} sweeps. Name one of them: {', '.join(sweeps)}.")
    if len(by_dataset(report.candidates)) > 1:
        raise TrackingError(f"{sweep} has several data sets, and a winner for each. Name its run by run_id.")
    if len(read_objectives(objective_of(report.candidates))) > 1:
        raise TrackingError(
            f"{sweep} has several objectives, so a front of best trials and no single winner. Name one of "
            "their runs by run_id."
        )
    untrained = sum(report.untrained.values())
    if untrained:
        raise TrackingError(
            f"{sweep} is not finished: {untrained} of its trials have not ended. Start its command again"
            f"{_command_of(report)}, or name one of its runs by run_id."
        )
    run = winner_run(report.candidates)
    if run is None:
        raise TrackingError(
            f"{sweep} has no winner with a test score. Start the command of the sweep again: a sweep tests "
            "its winner at its end."
        )
    group = next(group for group in report.candidates if run in group.runs)
    return Winner(run, group.runs)


def _command_of(report: Report) -> str:
    """Returns the command of a report's only sweep, in brackets; empty if it is not recorded."""
    commands = [parent.tags["command"] for parent in report.parents if "command" in parent.tags]
    return f" ({commands[0]})" if commands else ""


def winner_of(cfg: TrackingConf, run: RunRecord) -> Winner:
    """Returns a run as a winner: one seed of a trial with the trial's other complete seeds.

    Raises:
        TrackingError: The run is not complete.
    """
    if run.tags.get("state") != State.COMPLETE:
        raise TrackingError(f"The run {run.run_id} is {run.tags.get('state')}. Name a complete one.")
    if run.tags.get("kind") != RunKind.REPEAT:
        return Winner(run, (run,))
    siblings = find_runs(cfg, {PARENT: run.tags[PARENT], "kind": RunKind.REPEAT})
    return Winner(run, tuple(seed for seed in siblings if seed.tags.get("state") == State.COMPLETE))
