"""Reads how a model came about: the sweep it was chosen in, out of how many, and what was checked since."""

from dataclasses import dataclass

from kerasweep.config.search import TrackingConf
from kerasweep.report.tables import tally
from kerasweep.tracking.reader import find_runs, get_run, parents_of
from kerasweep.tracking.recorded_run import experiment_of
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import ENSEMBLE, REFIT_OF, RERUN_OF, RERUN_VERDICT, RunKind, read_objectives


@dataclass(frozen=True)
class Origin:
    """Where a model comes from."""

    chosen: RunRecord  # the run that a sweep or a person chose: the model's own, or the one that it refits
    members: tuple[RunRecord, ...]  # of an ensemble
    parent: RunRecord | None  # the run of the sweep
    trials: tuple[RunRecord, ...]  # of the sweep, in any state
    networks: int  # trained by the sweep, with a value
    rerun_verdict: str | None  # of the newest rerun of the chosen run

    @property
    def chosen_by(self) -> str | None:
        """The objective and its value, such as `val_accuracy 0.9757`; None if the run has none."""
        if "objective" not in self.chosen.metrics or "objective" not in self.chosen.tags:
            return None
        metric, _ = read_objectives(self.chosen.tags["objective"])[0]
        return f"{metric} {self.chosen.metrics['objective']:.6g}"

    @property
    def out_of(self) -> str | None:
        """The number of the sweep's trials by state, such as `20 trials (19 complete, 1 failed)`."""
        return f"{len(self.trials)} trials ({tally(self.trials)})" if self.trials else None


def read_origin(cfg: TrackingConf, run: RunRecord) -> Origin:
    """Reads the origin of a run's model.

    Args:
        cfg: Names the server or database.
        run: The run with the model.
    """
    cfg = experiment_of(cfg, run.run_id)
    chosen = get_run(cfg, run.tags[REFIT_OF]) if REFIT_OF in run.tags else run
    sweep = chosen.tags.get("sweep")
    own = find_runs(cfg, {"sweep": sweep}) if sweep else []
    trials = tuple(each for each in own if each.tags.get("kind") in (RunKind.TRIAL, RunKind.TUNING))
    repeats = [each for each in own if each.tags.get("kind") == RunKind.REPEAT]
    again = find_runs(cfg, {RERUN_OF: chosen.run_id})
    verdicts = [each.tags[RERUN_VERDICT] for each in again if RERUN_VERDICT in each.tags]
    return Origin(
        chosen=chosen,
        members=tuple(get_run(cfg, member) for member in run.tags.get(ENSEMBLE, "").split()),
        parent=next(iter(parents_of(cfg, [chosen])), None),
        trials=trials,
        networks=sum("objective" in each.metrics for each in repeats or trials),
        rerun_verdict=verdicts[0] if verdicts else None,
    )
