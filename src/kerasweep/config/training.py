"""Schemas of the groups `optimizer`, `schedule` and `training`."""

from dataclasses import dataclass, field

from omegaconf import MISSING

# The fields of each optimizer besides learning_rate and clipnorm.
OPTIMIZERS = {
    "sgd": ("momentum", "nesterov"),
    "adam": ("beta_1", "beta_2", "epsilon"),
    "adamw": ("beta_1", "beta_2", "epsilon", "weight_decay"),
    "rmsprop": ("rho", "momentum", "epsilon"),
}
SCHEDULES = ("constant", "plateau", "cosine", "exponential", "step", "warmup_cosine")
PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")


@dataclass
class OptimizerConf:
    name: str = MISSING
    learning_rate: float = 0.001
    clipnorm: float | None = None


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
class ScheduleConf:
    name: str = MISSING


@dataclass
class PlateauConf(ScheduleConf):
    monitor: str = "val_loss"
    factor: float = 0.1
    patience: int = 3
    min_lr: float = 0.0


@dataclass
class CosineConf(ScheduleConf):
    alpha: float = 0.0


@dataclass
class ExponentialConf(ScheduleConf):
    decay_rate: float = 0.95


@dataclass
class StepConf(ScheduleConf):
    factor: float = 0.1
    boundaries: list[float] = field(default_factory=lambda: [0.5, 0.75])


@dataclass
class WarmupCosineConf(CosineConf):
    warmup_epochs: float = 1.0


@dataclass
class EarlyStoppingConf:
    enabled: bool = False
    monitor: str = "val_loss"
    patience: int = 5
    min_delta: float = 0.0


@dataclass
class CheckpointConf:
    enabled: bool = False
    monitor: str = "val_accuracy"
    save_best_only: bool = True
    save_weights_only: bool = False


@dataclass
class TrainingConf:
    epochs: int = 10
    batch_size: int = 32
    shuffle: bool = True
    seed: int = 0
    deterministic: bool = False
    precision: str = "float32"
    jit_compile: bool | None = None
    reuse_programs: bool = True
    early_stopping: EarlyStoppingConf = field(default_factory=EarlyStoppingConf)
    checkpoint: CheckpointConf = field(default_factory=CheckpointConf)
