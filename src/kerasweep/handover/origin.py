"""Reads how a model came about: the sweep it was chosen in, out of how many, and what was checked since."""

from dataclasses import dataclass

from kerasweep.config.search import TrackingConf
from kerasweep.errors import TrackingError
from kerasweep.handover.winner import Winner, find_winner
from kerasweep.report.tables import tally
from kerasweep.tracking.reader import find_runs, get_run, parents_of
from kerasweep.tracking.recorded_run import experiment_of
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import (
    ENSEMBLE,
    REFIT_OF,
    RERUN_OF,
    RERUN_VERDICT,
    TUNING,
    RunKind,
    read_objectives,
)


@dataclass(frozen=True)
class Origin:
    """Where a model comes from."""

    chosen: RunRecord  # the run that the model's own run trains again, perhaps varied; else its own
    variation: str | None  # what the model's run changed, None if it is no variation
    members: tuple[RunRecord, ...]  # of an ensemble
    parent: RunRecord | None  # the run of the sweep
    winner: Winner | None  # the sweep's, None if it has none
    trials: tuple[RunRecord, ...]  # of the sweep, in any state
    tunings: int  # trials that tuned nuisance values before
    rerun_verdict: str | None  # of the newest rerun of the chosen run that changed nothing

    @property
    def is_winner(self) -> bool:
        """Whether the sweep chose the run; else a person did."""
        return self.winner is not None and self.winner.run.run_id == self.chosen.run_id

    @property
    def chosen_by(self) -> str | None:
        """The objective and the run's value, such as `val_accuracy 0.9757`; None if it has none."""
        if "objective" not in self.chosen.metrics or "objective" not in self.chosen.tags:
            return None
        metric, _ = read_objectives(self.chosen.tags["objective"])[0]
        return f"{metric} {self.chosen.metrics['objective']:.6g}"

    @property
    def out_of(self) -> str | None:
        """The number of the sweep's trials by state, such as `20 trials (19 complete, 1 failed)`."""
        tuned = f", after {self.tunings} trials that tuned the nuisance values" if self.tunings else ""
        return f"{len(self.trials)} trials ({tally(self.trials)}){tuned}" if self.trials else None


def read_origin(cfg: TrackingConf, run: RunRecord) -> Origin:
    """Reads the origin of a run's model.

    Args:
        cfg: Names the server or database.
        run: The run with the model.
    """
    cfg = experiment_of(cfg, run.run_id)
    chosen, variation = run, None
    while (earlier := chosen.tags.get(REFIT_OF) or chosen.tags.get(RERUN_OF)) is not None:
        verdict = chosen.tags.get(RERUN_VERDICT, "")
        variation = verdict.partition(":")[0] if verdict.startswith("a variation") else variation
        chosen = get_run(cfg, earlier)
    parent = next(iter(parents_of(cfg, [chosen])), None)
    sweep, tuning = chosen.tags.get("sweep"), parent.tags.get(TUNING) if parent else None
    again = [rerun for rerun in find_runs(cfg, {RERUN_OF: chosen.run_id}) if RERUN_VERDICT in rerun.tags]
    verdicts = [rerun.tags[RERUN_VERDICT] for rerun in again]
    return Origin(
        chosen=chosen,
        variation=variation,
        members=tuple(get_run(cfg, member) for member in run.tags.get(ENSEMBLE, "").split()),
        parent=parent,
        winner=_winner(cfg, sweep) if sweep else None,
        trials=tuple(find_runs(cfg, {"sweep": sweep, "kind": RunKind.TRIAL})) if sweep else (),
        tunings=len(find_runs(cfg, {"sweep": tuning, "kind": RunKind.TUNING})) if tuning else 0,
        rerun_verdict=next((text for text in verdicts if not text.startswith("a variation")), None),
    )


def _winner(cfg: TrackingConf, sweep: str) -> Winner | None:
    try:
        return find_winner(cfg, sweep)
    except TrackingError:  # it is not finished, or has several objectives
        return None
