"""Declares the schemas of a search, from `objective` and `study` to `storage` and `tracking`."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from kerasweep.config.data import open_mapping

DIRECTIONS = ("maximize", "minimize")
SAMPLERS = ("grid", "random", "tpe", "qmc", "cmaes", "nsga2", "custom")
LEARNING_SAMPLERS = ("tpe", "cmaes", "custom")  # samplers that can learn from other sweeps
RELATIONS = ("higher", "lower", "similar", "mixed")
PRUNERS = ("none", "median", "asha", "hyperband", "wilcoxon", "patient", "threshold", "custom")
STORAGES = ("journal", "rdb")
DATABASES = ("postgresql", "sqlite")
SPLITS = ("resampled", "fixed")
TUNINGS = ("repeated", "once")


@dataclass
class ObjectiveConf:
    metric: str = MISSING  # one of METRICS
    direction: str = MISSING  # one of DIRECTIONS


@dataclass
class ComparisonConf:
    """One comparison of a claim: the measure of `of` against that of `than`."""

    of: Any = field(default_factory=open_mapping)  # the values of one side, by key
    relation: str = MISSING  # one of RELATIONS
    than: Any = field(default_factory=open_mapping)  # the values of the other side
    measure: str = "objective"  # objective or a metric of the runs
    margin: float = 0.0  # the least difference that counts; for similar, the largest one allowed
    where: Any = field(default_factory=open_mapping)  # only runs with these values
    spread_over: str | None = None  # a key: compares the spread between its values instead of the mean


@dataclass
class ClaimConf:
    text: str = ""
    comparisons: list[ComparisonConf] = field(default_factory=list)


@dataclass
class StudyConf:
    name: str | None = None  # None: made of the axes
    question: str | None = None
    # None or empty: no claim. OmegaConf cannot merge an override into a null node of this type.
    claim: ClaimConf | None = field(default_factory=ClaimConf)
    trials: int | None = None  # None: the whole grid, or 20
    repeats: int = 1  # seeds of each trial
    folds: int | None = None  # the number of folds, of which each repeat validates on another; None: drawn
    splits: str = "resampled"  # one of SPLITS: whether each repeat validates on other images
    fresh: bool = False  # begins a new sweep
    dry_run: bool = False  # prints the trials and their cost, and records nothing
    space: Any = field(default_factory=open_mapping)  # axes by key, see space/parse.py
    # Axes that are not compared but tuned for each combination of `space`, such as the learning rate.
    nuisance: Any = field(default_factory=open_mapping)
    nuisance_trials: int | None = None  # of each combination; None: the whole grid, or 10
    tuning: str = "repeated"  # one of TUNINGS: whether each repeat has a tuning of its own
    # Axes whose values go together as in Python's zip: lists of keys, see space/zipped.py.
    zip: Any = None
    grids: Any = None  # a list of grids, axes by key, whose union is tried: see space/grids.py
    constraints: list[str] = field(default_factory=list)  # see space/constraint.py
    start_with: list[Any] = field(default_factory=list)  # the first trials: values by axis
    learn_from: Any = field(default_factory=list)  # a sweep, or a list of some, whose trials the sampler sees


@dataclass
class SamplerConf:
    name: str = MISSING  # one of SAMPLERS
    seed: int = 0


@dataclass
class TPEConf(SamplerConf):
    n_startup_trials: int = 10  # random trials first, poor ones among them
    multivariate: bool = True  # whether axes are modelled together


@dataclass
class QMCConf(SamplerConf):
    qmc_type: str = "sobol"  # sobol or halton
    scramble: bool = True


@dataclass
class CmaEsConf(SamplerConf):
    n_startup_trials: int = 5  # random trials first, until so many are complete


@dataclass
class NSGAIIConf(SamplerConf):
    population_size: int = 12  # trials per generation


@dataclass
class CustomSamplerConf(SamplerConf):
    target: str = MISSING  # package.module:name of a class or function: called with kwargs, and a seed
    kwargs: Any = field(default_factory=open_mapping)


@dataclass
class PrunerConf:
    name: str = MISSING  # one of PRUNERS


@dataclass
class MedianPrunerConf(PrunerConf):
    n_startup_trials: int = 5  # complete trials before any is pruned
    n_warmup_steps: int = 1  # epochs of a trial before it may be pruned


@dataclass
class ASHAConf(PrunerConf):
    min_resource: int = 2  # the epoch of the first rung
    reduction_factor: int = 3  # the share 1 / reduction_factor of trials passes a rung


@dataclass
class HyperbandConf(PrunerConf):
    min_resource: int = 1  # the epoch of the first rung
    reduction_factor: int = 3  # the share 1 / reduction_factor of trials passes a rung


@dataclass
class WilcoxonConf(PrunerConf):
    p_threshold: float = 0.15  # of the signed-rank test
    n_startup_steps: int = 2  # seeds of a trial before it may be pruned


@dataclass
class PatientConf(PrunerConf):
    patience: int = 5  # epochs without improvement
    min_delta: float = 0.0  # the least change that is an improvement


@dataclass
class ThresholdConf(PrunerConf):
    lower: float | None = None
    upper: float | None = None
    n_warmup_steps: int = 0  # epochs of a trial before it may be pruned


@dataclass
class CustomPrunerConf(PrunerConf):
    target: str = MISSING  # package.module:name of a class or function: called with kwargs
    kwargs: Any = field(default_factory=open_mapping)


@dataclass
class BudgetConf:
    hours: float | None = None  # summed over restarts
    target: float | None = None  # ends the sweep at this objective value
    patience: int | None = None  # ends it after this many trials without improvement
    max_parameters: int | None = None  # of a network; larger ones are left out


@dataclass
class TrialConf:
    target: str = "kerasweep.trial.run:run_trial"  # the training function
    timeout_seconds: float | None = None  # of one training; a longer one fails its trial
    memory_mb: int | None = None  # of the worker; a larger one fails its trial
    recycle_mb: int = 4096  # a larger worker is replaced after its trial
    cpus: float = 1.0  # of its node, for each worker of hydra/launcher=ray
    gpus: float = 0.0  # the same; a fraction shares a GPU


@dataclass
class StorageConf:
    name: str = MISSING  # one of STORAGES
    # The folder of the journals, or with rdb of what is on this machine alone; None: mlruns/studies.
    path: str | None = None
    url: str | None = None  # of the database, with rdb, as SQLAlchemy writes it


MODELS = ("best", "all", "none")


@dataclass
class TrackingConf:
    uri: str | None = None  # of MLflow; None: MLFLOW_TRACKING_URI, or mlruns/mlflow.db
    experiment: str = "kerasweep"
    models: str = "best"  # one of MODELS
    tags: Any = field(default_factory=open_mapping)  # of every run
