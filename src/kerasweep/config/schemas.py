"""Declares the schemas of the commands, and lists the keys that define a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, get_type_hints

from omegaconf import MISSING

from kerasweep.config import data, model, search, training
from kerasweep.config.data import AugmentConf, DataConf, open_mapping
from kerasweep.config.model import InitializerConf, NetworkConf, RegularizerConf
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

# The keys that repeat a training; as axes they are never compared.
REPEATED_KEYS = ("training.seed", "data.seed", "data.split_seed")
# The groups that define a run.
RUN_GROUPS = (
    "data",
    "augment",
    "model",
    "initializer",
    "regularizer",
    "optimizer",
    "schedule",
    "training",
)

# A key of theirs that does not: how the data reaches the workers.
SHIP = "data.ship"


# The code that trains a run again: what the working directory has, or what the run recorded.
CODES = ("here", "recorded")


def _accuracy() -> list[ObjectiveConf]:
    return [ObjectiveConf(metric="val_accuracy", direction="maximize")]


@dataclass
class TrainConf:
    data: DataConf = MISSING
    augment: AugmentConf = MISSING
    model: NetworkConf = MISSING
    initializer: InitializerConf = MISSING
    regularizer: RegularizerConf = MISSING
    optimizer: OptimizerConf = MISSING
    schedule: ScheduleConf = MISSING
    training: TrainingConf = MISSING
    objective: list[ObjectiveConf] = field(default_factory=_accuracy)
    study: StudyConf = field(default_factory=StudyConf)
    trial: TrialConf = field(default_factory=TrialConf)
    workers: Any = "auto"  # or the number of processes
    sampler: SamplerConf = MISSING
    pruner: PrunerConf = MISSING
    budget: BudgetConf = MISSING
    storage: StorageConf = MISSING
    tracking: TrackingConf = MISSING


# The keys at the top of a training's configuration.
ROOTS = tuple(field.name for field in fields(TrainConf))


@dataclass
class PredictConf:
    run_id: Any = MISSING
    sweep: str | None = None  # or the study or the sweep whose winner classifies
    registered_model: str | None = None  # `model=` on the command line: an address in MLflow's registry
    images: Any = field(default_factory=list)  # a file, a folder, a pattern such as photos/*.png, or a list
    csv: str | None = None  # the file for one row per image; None: one line per image on the terminal
    top: int = 3
    tracking: TrackingConf = MISSING


@dataclass
class RerunConf:
    run_id: Any = MISSING
    code: str = "here"  # one of CODES
    tracking: TrackingConf = MISSING


@dataclass
class RefitConf:
    sweep: str | None = None  # the study or the sweep whose winner is trained again
    run_id: str | None = None  # or a run
    seeds: int = 1  # how many networks are trained
    ensemble: bool = False  # whether to average their probabilities in one more model
    scale_epochs: bool = False  # whether to train as many steps as the winner, instead of as many epochs
    tracking: TrackingConf = MISSING


@dataclass
class DataPathConf:
    path: str | None = None  # where the run's images have moved


@dataclass
class ExportConf:
    run_id: Any = MISSING
    registered_model: str | None = None  # `model=` on the command line: an address in MLflow's registry
    format: Any = MISSING  # one format or a list of them
    quantize: str | None = None  # int8 or None
    custom_objects: Any = None  # package.module:name of a class, or a list of them
    folder: str | None = None  # gets a subfolder for each format; None: exports/RUN
    data: DataPathConf = field(default_factory=DataPathConf)
    tracking: TrackingConf = MISSING


@dataclass
class PlaceConf:
    path: str | None = None  # where the images have moved; null for the recorded place


@dataclass
class PromoteConf:
    run_id: Any = MISSING
    name: Any = MISSING  # of the registered model
    data: PlaceConf = field(default_factory=PlaceConf)
    force: bool = False  # makes the model champion whatever the comparison says
    reason: str | None = None  # for force, which is recorded
    tracking: TrackingConf = MISSING


@dataclass
class CompareConf:
    tags: Any = field(default_factory=open_mapping)
    # A text or a list of texts each.
    study: Any = None
    runs: Any = None
    where: Any = field(default_factory=list)
    group_by: Any = None
    csv: str | None = None
    html: str | None = None
    tracking: TrackingConf = MISSING


# The schema of each option of a group, and of each command, by its name in the config group `schema`.
SCHEMAS: Mapping[str, type] = {
    "data": data.DataConf,
    "augment": data.AugmentConf,
    "model": model.ModelConf,
    "model/backbone": model.BackboneConf,
    "initializer": model.InitializerConf,
    "initializer/constant": model.ConstantInitializerConf,
    "initializer/random_normal": model.RandomNormalInitializerConf,
    "regularizer": model.RegularizerConf,
    "optimizer/sgd": training.SGDConf,
    "optimizer/adam": training.AdamConf,
    "optimizer/adamw": training.AdamWConf,
    "optimizer/rmsprop": training.RMSpropConf,
    "optimizer/custom": training.CustomOptimizerConf,
    "schedule": training.ScheduleConf,
    "schedule/plateau": training.PlateauConf,
    "schedule/cosine": training.CosineConf,
    "schedule/exponential": training.ExponentialConf,
    "schedule/step": training.StepConf,
    "schedule/warmup_cosine": training.WarmupCosineConf,
    "training": training.TrainingConf,
    "sampler": search.SamplerConf,
    "sampler/tpe": search.TPEConf,
    "sampler/qmc": search.QMCConf,
    "sampler/cmaes": search.CmaEsConf,
    "sampler/nsga2": search.NSGAIIConf,
    "sampler/custom": search.CustomSamplerConf,
    "pruner": search.PrunerConf,
    "pruner/median": search.MedianPrunerConf,
    "pruner/asha": search.ASHAConf,
    "pruner/hyperband": search.HyperbandConf,
    "pruner/wilcoxon": search.WilcoxonConf,
    "pruner/patient": search.PatientConf,
    "pruner/threshold": search.ThresholdConf,
    "pruner/custom": search.CustomPrunerConf,
    "budget": search.BudgetConf,
    "storage": search.StorageConf,
    "tracking": search.TrackingConf,
    "train": TrainConf,
    "predict": PredictConf,
    "rerun": RerunConf,
    "refit": RefitConf,
    "export": ExportConf,
    "promote": PromoteConf,
    "compare": CompareConf,
}


def run_keys() -> list[str]:
    """Returns the groups that define a run and every dotted key of their options, sorted."""
    keys = set(RUN_GROUPS)
    for name, schema in SCHEMAS.items():
        group = name.partition("/")[0]
        if group in RUN_GROUPS:
            keys |= set(_leaves(group, schema))
    return sorted(keys)


def command_keys(command: str) -> set[str]:
    """Returns every dotted key of a command's configuration, and the keys above them, for all options.

    Args:
        command: The name of a command, as in `src.NAME`.
    """
    roots = {field.name for field in fields(SCHEMAS[command])}
    leaves = set(_leaves("", SCHEMAS[command]))
    for name, schema in SCHEMAS.items():
        group = name.partition("/")[0]
        leaves |= set(_leaves(group, schema)) if group in roots else set()
    return {
        ".".join(parts[: count + 1])
        for leaf in leaves
        for parts in [leaf.split(".")]
        for count in range(len(parts))
    }


def _leaves(prefix: str, schema: Any) -> list[str]:
    hints = get_type_hints(schema)
    leaves = []
    for name in hints:
        key, kind = f"{prefix}.{name}".lstrip("."), hints[name]
        leaves += _leaves(key, kind) if is_dataclass(kind) else [key]
    return leaves
