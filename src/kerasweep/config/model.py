"""Declares the schemas of the groups `model`, `initializer` and `regularizer`."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from kerasweep.config.data import open_mapping

ARCHITECTURES = ("cnn", "custom", "backbone")
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
    kind: str = "batch"  # one of NORMALIZATIONS
    position: str = "before_activation"  # one of POSITIONS
    scale: bool = True  # whether gamma is learned
    center: bool = True  # whether beta is learned
    momentum: float = 0.99  # of the moving averages
    epsilon: float = 0.001  # added to the variance
    moving_statistics: str = "warmup"  # one of MOVING_STATISTICS


@dataclass
class NetworkConf:
    architecture: str = MISSING  # one of ARCHITECTURES


@dataclass
class ModelConf(NetworkConf):
    filters: list[int] = field(default_factory=lambda: [16, 32])  # of the convolutions of each block
    convs_per_block: int = 1
    kernel_size: int = 3  # pixels a side
    padding: str = "same"  # same or valid
    activation: str = "relu"  # one of ACTIVATIONS
    # Whether the activation is a layer, not an argument of Conv2D; the outputs are equal.
    separate_activation: bool = False
    normalization: NormalizationConf = field(default_factory=NormalizationConf)
    downsampling: str = "max"  # one of DOWNSAMPLINGS
    dropout: float = 0.0  # the rate after each block
    head: str = "flatten"  # one of HEADS
    dense_units: list[int] = field(default_factory=list)  # of each dense layer before the softmax
    dense_dropout: float = 0.0  # the rate after each dense layer
    target: str | None = None  # package.module:function, for custom
    kwargs: Any = field(default_factory=open_mapping)  # arguments of that function
    from_logits: bool = False  # whether that function's network ends in logits, which then get a softmax


@dataclass
class BackboneConf(NetworkConf):
    backbone: str = "mobilenet_v3_small"  # one of BACKBONES, or hub: and a preset of KerasHub
    # imagenet (also for the weights of a preset), or a file; None: drawn with training.seed.
    weights: str | None = "imagenet"
    trainable: Any = False  # False: frozen; True: all layers; a number: the last layers
    image_size: list[int] | None = None  # [height, width] to which the graph resizes; None: as they are
    # Whether a frozen backbone's outputs are computed once and kept on disk; never with augmentation.
    cache_features: bool = True
    dropout: float = 0.0  # the rate after the backbone's global average
    dense_units: list[int] = field(default_factory=list)  # of each dense layer before the softmax
    activation: str = "relu"  # of the dense layers; one of ACTIVATIONS
    dense_dropout: float = 0.0  # the rate after each dense layer
    kwargs: Any = field(default_factory=open_mapping)  # more arguments of the constructor, as alpha


@dataclass
class InitializerConf:
    name: str = MISSING  # one of INITIALIZERS


@dataclass
class ConstantInitializerConf(InitializerConf):
    value: float = 0.05  # of every weight


@dataclass
class RandomNormalInitializerConf(InitializerConf):
    stddev: float = 0.05  # of every layer


@dataclass
class RegularizerConf:
    name: str = MISSING  # one of REGULARIZERS
    strength: float | None = None  # the factor of the penalty; None for none
    on: str = "both"  # one of REGULARIZED
