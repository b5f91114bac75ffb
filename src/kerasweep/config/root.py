"""Schemas of the three commands' whole configurations."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from kerasweep.config.data import AugmentConf, DataConf, open_mapping
from kerasweep.config.model import InitializerConf, ModelConf, RegularizerConf
from kerasweep.config.search import (
    BudgetConf,
    ObjectiveConf,
    PrunerConf,
    SamplerConf,
    StorageConf,
    StudyConf,
    TrackingConf,
    TrialConf,
)
from kerasweep.config.training import OptimizerConf, ScheduleConf, TrainingConf


def _accuracy() -> list[ObjectiveConf]:
    return [ObjectiveConf(metric="val_accuracy", direction="maximize")]


@dataclass
class TrainConf:
    data: DataConf = MISSING
    augment: AugmentConf = MISSING
    model: ModelConf = MISSING
    initializer: InitializerConf = MISSING
    regularizer: RegularizerConf = MISSING
    optimizer: OptimizerConf = MISSING
    schedule: ScheduleConf = MISSING
    training: TrainingConf = MISSING
    objective: list[ObjectiveConf] = field(default_factory=_accuracy)
    study: StudyConf = field(default_factory=StudyConf)
    trial: TrialConf = field(default_factory=TrialConf)
    workers: Any = "auto"  # or how many processes
    sampler: SamplerConf = MISSING
    pruner: PrunerConf = MISSING
    budget: BudgetConf = MISSING
    storage: StorageConf = MISSING
    tracking: TrackingConf = MISSING


@dataclass
class PredictConf:
    run_id: str = MISSING
    images: Any = field(default_factory=list)  # one path or a list of them
    top: int = 3
    tracking: TrackingConf = MISSING


@dataclass
class CompareConf:
    study: str | None = None
    tags: Any = field(default_factory=open_mapping)
    runs: Any = None  # of these three one text or a list of them
    where: Any = field(default_factory=list)
    group_by: Any = None
    csv: str | None = None
    html: str | None = None
    tracking: TrackingConf = MISSING
