"""Schemas of the groups `model`, `initializer` and `regularizer`."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from kerasweep.config.data import open_mapping

ARCHITECTURES = ("cnn", "custom")
ACTIVATIONS = ("relu", "leaky_relu", "elu", "selu", "gelu", "silu", "tanh", "sigmoid", "softplus", "linear")
INITIALIZERS = (
    "zeros",
    "constant",
    "random_normal",
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_normal",
)
REGULARIZERS = ("none", "l1", "l2", "l1_l2")
NORMALIZATIONS = ("none", "batch")
POSITIONS = ("before_activation", "after_activation")
MOVING_STATISTICS = ("warmup", "keras")
DOWNSAMPLINGS = ("max", "average", "stride")
HEADS = ("flatten", "global_average")
REGULARIZED = ("conv", "dense", "both")


@dataclass
class NormalizationConf:
    kind: str = "batch"
    position: str = "before_activation"
    scale: bool = True
    center: bool = True
    momentum: float = 0.99
    epsilon: float = 0.001
    moving_statistics: str = "warmup"


@dataclass
class ModelConf:
    architecture: str = MISSING
    filters: list[int] = field(default_factory=lambda: [16, 32])
    convs_per_block: int = 1
    kernel_size: int = 3
    padding: str = "same"
    activation: str = "relu"
    separate_activation: bool = False
    normalization: NormalizationConf = field(default_factory=NormalizationConf)
    downsampling: str = "max"
    dropout: float = 0.0
    head: str = "flatten"
    dense_units: list[int] = field(default_factory=list)
    dense_dropout: float = 0.0
    target: str | None = None
    kwargs: Any = field(default_factory=open_mapping)


@dataclass
class InitializerConf:
    name: str = MISSING


@dataclass
class ConstantInitializerConf(InitializerConf):
    value: float = 0.05


@dataclass
class RandomNormalInitializerConf(InitializerConf):
    stddev: float = 0.05


@dataclass
class RegularizerConf:
    name: str = MISSING
    strength: float | None = None
    on: str = "both"
