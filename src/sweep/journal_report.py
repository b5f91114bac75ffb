"""Tells a study's pruner of an epoch from wherever a trial trains."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from omegaconf import DictConfig
from optuna.trial import Trial

from src.sweep.samplers import build_pruner
from src.sweep.study import open_study


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
        trial = _trial(self)
        trial.report(value, epoch)
        return trial.should_prune()

    def __hash__(self) -> int:
        return hash((self.journal, self.study, self.trial_id))


@cache
def _trial(report: JournalReport) -> Trial:
    study = open_study(report.journal, report.study, report.directions)
    study.pruner = build_pruner(report.pruner)
    return Trial(study, report.trial_id)


def never(epoch: int, value: float) -> bool:
    """The report of a trial that no pruner follows."""
    return False
