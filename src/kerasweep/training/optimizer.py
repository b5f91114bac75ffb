"""Builds Keras's optimizers from the group `optimizer`."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from kerasweep.config.training import OPTIMIZERS, OptimizerConf
from kerasweep.errors import ConfigError
from kerasweep.training.fused import FusedAdam, FusedAdamW

_CLASSES = {
    "sgd": keras.optimizers.SGD,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
}
_FUSED = {"adam": FusedAdam, "adamw": FusedAdamW}


def build_optimizer(cfg: OptimizerConf) -> keras.optimizers.Optimizer:
    """A new optimizer whose learning rate is a number that callbacks may change.

    Raises ConfigError for an unknown name.
    """
    if cfg.name not in _CLASSES:
        raise ConfigError(f"optimizer.name must be one of {', '.join(_CLASSES)}, but got {cfg.name}.")
    return _built(cfg, _CLASSES)


def _built(cfg: OptimizerConf, classes: Mapping[str, Any]) -> Any:
    arguments = {field: getattr(cfg, field) for field in OPTIMIZERS[cfg.name]}
    return classes[cfg.name](learning_rate=cfg.learning_rate, clipnorm=cfg.clipnorm, **arguments)


def build_adjustable(cfg: OptimizerConf) -> keras.optimizers.Optimizer:
    """As build_optimizer, by fused kernels, with a variable for the weight decay: see `adjust`."""
    optimizer = _built(cfg, _CLASSES | _FUSED)
    if optimizer.weight_decay is not None:
        optimizer.weight_decay = tf.Variable(optimizer.weight_decay, trainable=False)
    return optimizer


def adjust(optimizer: keras.optimizers.Optimizer, cfg: OptimizerConf) -> None:
    """Give it, which Keras may have wrapped for its loss scale, another learning rate and weight decay."""
    optimizer.learning_rate = cfg.learning_rate
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if inner.weight_decay is not None:
        inner.weight_decay.assign(cfg.weight_decay)  # type: ignore[attr-defined]
