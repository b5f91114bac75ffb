"""Asks a study's pruner after each epoch, from a process that has only the study's storage."""

from dataclasses import dataclass
from functools import cache

from omegaconf import DictConfig
from optuna.trial import Trial

from kerasweep.search.arms import ArmPruner, Arms
from kerasweep.search.pruners import PrunedTrial, build_pruner, pruner_input
from kerasweep.search.storage import Storage


@dataclass(frozen=True)
class RemoteReport:
    """Asks a study's pruner after each epoch, through the study's storage."""

    storage: Storage
    study: str
    directions: tuple[str, ...]
    pruner: DictConfig
    epochs: int  # of a whole trial
    trial_id: int  # Optuna's
    warmup_epochs: int = 0
    arms: Arms | None = None  # the arms whose axes are tuned: the pruner compares trials of one arm

    def __call__(self, epoch: int, value: float | None) -> bool:
        return _trial(self).report(epoch, value)

    def __hash__(self) -> int:
        return hash((self.storage, self.study, self.trial_id))


@cache
def _trial(report: RemoteReport) -> PrunedTrial:
    study = report.storage.open(report.study, report.directions)
    pruner = build_pruner(report.pruner, report.epochs)
    study.pruner = pruner if report.arms is None else ArmPruner(pruner, report.arms)
    trial = Trial(study, report.trial_id)
    return PrunedTrial(trial, pruner_input(report.pruner.name), report.directions[0], report.warmup_epochs)


def never(epoch: int, value: float | None) -> bool:
    """Never prunes: the report of a trial without a pruner."""
    return False
