"""Declares the schemas of the groups `optimizer`, `schedule` and `training`."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from kerasweep.config.data import open_mapping

# The fields of each optimizer besides learning_rate and clipnorm.
OPTIMIZERS = {
    "sgd": ("momentum", "nesterov"),
    "adam": ("beta_1", "beta_2", "epsilon"),
    "adamw": ("beta_1", "beta_2", "epsilon", "weight_decay"),
    "rmsprop": ("rho", "momentum", "epsilon"),
    "custom": ("target", "kwargs"),
}
# Keras's losses that training.loss may name, besides a function of the user's.
LOSSES = (
    "crossentropy",
    "categorical_focal_crossentropy",
    "kl_divergence",
    "mean_squared_error",
    "mean_absolute_error",
    "categorical_hinge",
    "squared_hinge",
)
BALANCED = "balanced"
SCHEDULES = ("constant", "plateau", "cosine", "exponential", "step", "warmup_cosine")
PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")


@dataclass
class OptimizerConf:
    name: str = MISSING  # one of OPTIMIZERS
    learning_rate: float = 0.001
    clipnorm: float | None = None  # the largest norm of each gradient; None: no limit


@dataclass
class SGDConf(OptimizerConf):
    learning_rate: float = 0.01
    momentum: float = 0.9
    nesterov: bool = False


@dataclass
class AdamConf(OptimizerConf):
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7


@dataclass
class AdamWConf(AdamConf):
    weight_decay: float = 0.004


@dataclass
class RMSpropConf(OptimizerConf):
    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7


@dataclass
class CustomOptimizerConf(OptimizerConf):
    target: str = MISSING  # package.module:function, or a class: called with learning_rate and kwargs
    kwargs: Any = field(default_factory=open_mapping)


@dataclass
class ScheduleConf:
    name: str = MISSING  # one of SCHEDULES


@dataclass
class PlateauConf(ScheduleConf):
    monitor: str = "val_loss"  # a metric of each epoch
    factor: float = 0.1  # of the rate, after `patience` epochs without improvement
    patience: int = 3  # epochs
    min_lr: float = 0.0


@dataclass
class CosineConf(ScheduleConf):
    alpha: float = 0.0  # the last rate as a share of the first


@dataclass
class ExponentialConf(ScheduleConf):
    decay_rate: float = 0.95  # the factor of the rate per epoch


@dataclass
class StepConf(ScheduleConf):
    factor: float = 0.1  # of the rate at each boundary
    boundaries: list[float] = field(default_factory=lambda: [0.5, 0.75])  # rising shares of the training


@dataclass
class WarmupCosineConf(CosineConf):
    warmup_epochs: float = 1.0  # in which the rate rises


@dataclass
class EarlyStoppingConf:
    enabled: bool = False
    monitor: str = "val_loss"  # a metric of each epoch
    patience: int = 5  # epochs
    min_delta: float = 0.0  # the least change that is an improvement


@dataclass
class CheckpointConf:
    enabled: bool = False  # also makes interrupted trials resume
    monitor: str = "val_accuracy"  # a metric of each epoch
    save_best_only: bool = True
    save_weights_only: bool = False


@dataclass
class TrainingConf:
    epochs: int = 10
    batch_size: int = 32
    shuffle: bool = True  # in each epoch
    seed: int = 0  # of weights, shuffling, dropout and augmentation
    deterministic: bool = False  # equal bits in each run, and slower
    precision: str = "float32"  # one of PRECISIONS
    jit_compile: bool | None = None  # whether XLA compiles the step; None: if there is a GPU
    reuse_programs: bool = True  # whether trials share traced graphs
    loss: str = "crossentropy"  # one of LOSSES, or package.module:function
    label_smoothing: float = 0.0  # the share of each label that all classes get
    # balanced, or the factor of each class in the training loss, by its number or name; None: all are 1.
    class_weight: Any = None
    # Of the validation images after each epoch: see config/metrics.py, or package.module:function.
    metrics: list[str] = field(default_factory=list)
    callbacks: list[str] = field(default_factory=list)  # package.module:function, which returns a callback
    unfreeze_at: int | None = None  # the epoch from which a backbone trains; until then it is frozen
    unfreeze_learning_rate: float = 1e-5  # replaces optimizer.learning_rate from that epoch on
    early_stopping: EarlyStoppingConf = field(default_factory=EarlyStoppingConf)
    checkpoint: CheckpointConf = field(default_factory=CheckpointConf)
