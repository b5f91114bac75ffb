"""Keras's Adam with one kernel a variable, where Keras 3 computes a step of twenty operations each."""

from typing import Any

import keras
import tensorflow as tf


class _FusedStep:
    """The step of keras.optimizers.Adam (Kingma and Ba, 2015), by TensorFlow's kernel of the same formula.

    Half of the operations of a small network's step are Adam's. Sparse gradients Keras computes.
    https://arxiv.org/abs/1412.6980
    """

    def apply(self: Any, grads: Any, trainable_variables: Any = None) -> None:
        """As Keras's; the powers of beta are computed once for all variables."""
        step = tf.cast(self.iterations + 1, tf.float32)
        self._powers = tf.pow(self.beta_1, step), tf.pow(self.beta_2, step)
        super().apply(grads, trainable_variables)  # type: ignore[misc]

    def update_step(self: Any, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """As Keras's: the moments, then the variable."""
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
    """Keras's Adam, by one kernel a variable."""


class FusedAdamW(_FusedStep, keras.optimizers.AdamW):
    """Keras's AdamW, by one kernel a variable beside its weight decay."""
