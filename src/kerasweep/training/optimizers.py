"""Builds optimizers from the group `optimizer`: Keras's own, or the same with fused kernels."""

from typing import Any

import keras
import tensorflow as tf

from kerasweep.config.target import check_arguments, import_target, plain_arguments
from kerasweep.config.training import OPTIMIZERS, OptimizerConf
from kerasweep.errors import ConfigError


class _FusedStep:
    """The step of keras.optimizers.Adam (Kingma and Ba, 2015), by TensorFlow's kernel of the same formula.

    Keras 3 computes a step as twenty operations per variable, half of all operations in a small network's
    step. Sparse gradients are left to Keras. https://arxiv.org/abs/1412.6980
    """

    def apply(self: Any, grads: Any, trainable_variables: Any = None) -> None:
        """Computes the powers of beta once for all variables, then does as Keras."""
        step = tf.cast(self.iterations + 1, tf.float32)
        self._powers = tf.pow(self.beta_1, step), tf.pow(self.beta_2, step)
        super().apply(grads, trainable_variables)  # type: ignore[misc]

    def update_step(self: Any, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates the moments, then the variable."""
        if isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable, learning_rate)  # type: ignore[misc]
            return
        index, dtype = self._get_variable_index(variable), variable.dtype
        beta_1_power, beta_2_power = (tf.cast(power, dtype) for power in self._powers)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=beta_1_power,
            beta2_power=beta_2_power,
            lr=tf.cast(learning_rate, dtype),
            beta1=tf.constant(self.beta_1, dtype),
            beta2=tf.constant(self.beta_2, dtype),
            epsilon=tf.constant(self.epsilon, dtype),
            grad=tf.cast(gradient, dtype),
        )


class FusedAdam(_FusedStep, keras.optimizers.Adam):
    """Keras's Adam with one kernel per variable."""


class FusedAdamW(_FusedStep, keras.optimizers.AdamW):
    """Keras's AdamW with one kernel per variable, besides the weight decay."""


_CLASSES = {
    "sgd": keras.optimizers.SGD,
    "adam": FusedAdam,
    "adamw": FusedAdamW,
    "rmsprop": keras.optimizers.RMSprop,
}


def build_optimizer(cfg: OptimizerConf) -> keras.optimizers.Optimizer:
    """Builds an optimizer whose learning rate and weight decay can be set later, see `adjust`.

    Raises:
        ConfigError: The name is unknown, or optimizer.target makes nothing that can be adjusted.
    """
    if cfg.name == "custom":
        return _build_custom(cfg)
    if cfg.name not in _CLASSES:
        raise ConfigError(f"optimizer.name must be one of {', '.join(_CLASSES)}, but got {cfg.name}.")
    arguments = {field: getattr(cfg, field) for field in OPTIMIZERS[cfg.name]}
    optimizer: Any = _CLASSES[cfg.name](learning_rate=cfg.learning_rate, clipnorm=cfg.clipnorm, **arguments)
    if optimizer.weight_decay is not None:
        optimizer.weight_decay = tf.Variable(optimizer.weight_decay, trainable=False)
    return optimizer


def _build_custom(cfg: Any) -> keras.optimizers.Optimizer:
    """Calls optimizer.target with the learning rate, kwargs, and clipnorm if there is one."""
    clipnorm = {} if cfg.clipnorm is None else {"clipnorm": cfg.clipnorm}
    arguments = {"learning_rate": cfg.learning_rate, **clipnorm, **plain_arguments(cfg.kwargs)}
    make, origin = import_target(cfg.target), f"optimizer.target={cfg.target}"
    check_arguments(origin, make, kwargs=arguments, key="learning_rate, clipnorm and optimizer.kwargs")
    try:
        optimizer: Any = make(**arguments)
    except (TypeError, ValueError) as error:  # Keras's classes take any name, and refuse it then
        raise ConfigError(f"{origin} refuses its arguments: {error}. Correct optimizer.kwargs.") from error
    expected = f"{origin} must return a keras.optimizers.Optimizer"
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise ConfigError(
            f"{expected}, but it returned {type(optimizer).__name__}. Name a class such as "
            "keras.optimizers:Lion, or a function of learning_rate that returns one."
        )
    rate = optimizer._learning_rate
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        raise ConfigError(
            f"{expected} with a number as its learning rate, but it has a {type(rate).__name__}. "
            "Pass on learning_rate, and choose a schedule such as schedule=cosine."
        )
    if optimizer.use_ema:
        raise ConfigError(
            f"{expected} without use_ema: validation would not see its averaged weights. Leave use_ema out."
        )
    return optimizer


def adjust(optimizer: keras.optimizers.Optimizer, cfg: OptimizerConf) -> None:
    """Sets learning rate and weight decay, also in an optimizer that Keras has wrapped for a loss scale."""
    optimizer.learning_rate = cfg.learning_rate
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if inner.weight_decay is not None and "weight_decay" in OPTIMIZERS[cfg.name]:
        inner.weight_decay.assign(cfg.weight_decay)  # type: ignore[attr-defined]
