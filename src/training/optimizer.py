"""Builds Keras's optimizers from the group `optimizer`."""

from typing import Any

import keras
import tensorflow as tf

from src.config.training import OPTIMIZERS, OptimizerConf
from src.errors import ConfigError

_CLASSES = {
    "sgd": keras.optimizers.SGD,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
}


def build_optimizer(cfg: OptimizerConf) -> keras.optimizers.Optimizer:
    """A new optimizer whose learning rate is a number that callbacks may change.

    Raises ConfigError for an unknown name.
    """
    if cfg.name not in _CLASSES:
        raise ConfigError(f"optimizer.name must be one of {', '.join(_CLASSES)}, but got {cfg.name}.")
    arguments: dict[str, Any] = {field: getattr(cfg, field) for field in OPTIMIZERS[cfg.name]}
    return _CLASSES[cfg.name](learning_rate=cfg.learning_rate, clipnorm=cfg.clipnorm, **arguments)


def build_adjustable(cfg: OptimizerConf) -> keras.optimizers.Optimizer:
    """As build_optimizer, with a variable for the weight decay: see `adjust`."""
    optimizer = build_optimizer(cfg)
    if optimizer.weight_decay is not None:
        optimizer.weight_decay = tf.Variable(optimizer.weight_decay, trainable=False)
    return optimizer


def adjust(optimizer: keras.optimizers.Optimizer, cfg: OptimizerConf) -> None:
    """Give it, which Keras may have wrapped for its loss scale, another learning rate and weight decay."""
    optimizer.learning_rate = cfg.learning_rate
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if inner.weight_decay is not None:
        inner.weight_decay.assign(cfg.weight_decay)  # type: ignore[attr-defined]
