"""Builds Keras's optimizers from the group `optimizer`."""

from typing import Any

import keras

from src.config.training import OptimizerConf
from src.errors import ConfigError

_CLASSES = {
    "sgd": (keras.optimizers.SGD, ("momentum", "nesterov")),
    "adam": (keras.optimizers.Adam, ("beta_1", "beta_2", "epsilon")),
    "adamw": (keras.optimizers.AdamW, ("beta_1", "beta_2", "epsilon", "weight_decay")),
    "rmsprop": (keras.optimizers.RMSprop, ("rho", "momentum", "epsilon")),
}


def build_optimizer(cfg: OptimizerConf) -> keras.optimizers.Optimizer:
    """A new optimizer whose learning rate is a number that callbacks may change.

    Raises ConfigError for an unknown name.
    """
    if cfg.name not in _CLASSES:
        raise ConfigError(f"optimizer.name must be one of {', '.join(_CLASSES)}, but got {cfg.name}.")
    maker, fields = _CLASSES[cfg.name]
    arguments: dict[str, Any] = {field: getattr(cfg, field) for field in fields}
    return maker(learning_rate=cfg.learning_rate, clipnorm=cfg.clipnorm, **arguments)
