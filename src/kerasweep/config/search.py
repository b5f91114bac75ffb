"""Schemas of a search, from `objective` and `study` to `storage` and `tracking`."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from kerasweep.config.data import open_mapping

EPOCH_METRICS = ("loss", "accuracy", "val_loss", "val_accuracy")
METRICS = ("val_accuracy", "val_loss", "accuracy", "loss", "parameters", "seconds")
# Every metric of a finished trial's run; the last one takes four epochs.
MEASURES = (
    "objective",
    *METRICS,
    "learning_rate",
    "epoch_seconds",
    "best_epoch",
    "traces",
    "generalization_gap",
    "epoch_variability",
)
DIRECTIONS = ("maximize", "minimize")
SAMPLERS = ("grid", "random", "tpe", "qmc", "cmaes", "nsga2")
RELATIONS = ("higher", "lower", "similar", "mixed")
PRUNERS = ("none", "median", "asha", "hyperband", "wilcoxon", "patient", "threshold")
STORAGES = ("journal",)


@dataclass
class ObjectiveConf:
    metric: str = MISSING
    direction: str = MISSING


@dataclass
class ComparisonConf:
    """One comparison of a claim: the measure of `of` against that of `than`."""

    of: Any = field(default_factory=open_mapping)
    relation: str = MISSING
    than: Any = field(default_factory=open_mapping)
    measure: str = "objective"
    margin: float = 0.0
    where: Any = field(default_factory=open_mapping)
    spread_over: str | None = None


@dataclass
class ClaimConf:
    text: str = MISSING
    comparisons: list[ComparisonConf] = field(default_factory=list)


@dataclass
class StudyConf:
    name: str | None = None
    question: str | None = None
    claim: ClaimConf | None = None
    trials: int | None = None
    repeats: int = 1
    fresh: bool = False
    dry_run: bool = False
    space: Any = field(default_factory=open_mapping)
    constraints: list[str] = field(default_factory=list)


@dataclass
class SamplerConf:
    name: str = MISSING
    seed: int = 0


@dataclass
class TPEConf(SamplerConf):
    n_startup_trials: int = 10
    multivariate: bool = True


@dataclass
class QMCConf(SamplerConf):
    qmc_type: str = "sobol"
    scramble: bool = True


@dataclass
class CmaEsConf(SamplerConf):
    n_startup_trials: int = 5


@dataclass
class NSGAIIConf(SamplerConf):
    population_size: int = 12


@dataclass
class PrunerConf:
    name: str = MISSING


@dataclass
class MedianPrunerConf(PrunerConf):
    n_startup_trials: int = 5
    n_warmup_steps: int = 1


@dataclass
class ASHAConf(PrunerConf):
    min_resource: int = 2
    reduction_factor: int = 3


@dataclass
class HyperbandConf(PrunerConf):
    min_resource: int = 1
    reduction_factor: int = 3


@dataclass
class WilcoxonConf(PrunerConf):
    p_threshold: float = 0.15
    n_startup_steps: int = 2


@dataclass
class PatientConf(PrunerConf):
    patience: int = 5
    min_delta: float = 0.0


@dataclass
class ThresholdConf(PrunerConf):
    lower: float | None = None
    upper: float | None = None
    n_warmup_steps: int = 0


@dataclass
class BudgetConf:
    hours: float | None = None
    target: float | None = None
    patience: int | None = None
    max_parameters: int | None = None


@dataclass
class TrialConf:
    target: str = "kerasweep.trial.run:run_trial"
    timeout_seconds: float | None = None
    memory_mb: int | None = None
    recycle_mb: int = 4096


@dataclass
class StorageConf:
    name: str = MISSING
    path: str | None = None


MODELS = ("best", "all", "none")


@dataclass
class TrackingConf:
    uri: str | None = None
    experiment: str = "kerasweep"
    models: str = "best"
    tags: Any = field(default_factory=open_mapping)
