"""Tells a study's pruner of an epoch from wherever a trial trains."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from omegaconf import DictConfig
from optuna.trial import Trial

from kerasweep.search.pruners import EACH, BestSoFar, build_pruner, hears
from kerasweep.search.study import open_study


@dataclass(frozen=True)
class JournalReport:
    """Tells a study's pruner of an epoch from wherever the trial trains, through the study's journal."""

    journal: Path
    study: str
    directions: tuple[str, ...]
    pruner: DictConfig
    epochs: int
    trial_id: int

    def __call__(self, epoch: int, value: float) -> bool:
        trial, best = _trial(self)
        so_far = best.hear(value)
        trial.report(value if hears(self.pruner.name) == EACH else so_far, epoch)
        return bool(trial.should_prune())

    def __hash__(self) -> int:
        return hash((self.journal, self.study, self.trial_id))


@cache
def _trial(report: JournalReport) -> tuple[Trial, BestSoFar]:
    study = open_study(report.journal, report.study, report.directions)
    study.pruner = build_pruner(report.pruner, report.epochs)
    return Trial(study, report.trial_id), BestSoFar(report.directions[0])


def never(epoch: int, value: float) -> bool:
    """The report of a trial that no pruner follows."""
    return False
