"""Normalizes batches with fused kernels, and with a warm-up of the moving statistics."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from kerasweep.config.model import NormalizationConf

WARMUP_UPDATES = 9.0


@keras.saving.register_keras_serializable(package="kerasweep")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Keras's BatchNormalization (Ioffe and Szegedy, 2015), computed by TensorFlow's fused kernels.

    Keras 3 uses a dozen separate operations. Output, gradients and moving statistics are equal up to the
    rounding of float32. Masks, and inputs other than (n, height, width, channels), are left to Keras.
    https://arxiv.org/abs/1502.03167
    """

    momentum: Any

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalizes float (n, height, width, channels); returns the same shape in the compute dtype."""
        if mask is not None or len(inputs.shape) != 4 or self.axis not in (-1, 3):
            return super().call(inputs, training=training, mask=mask)
        images = tf.cast(inputs, tf.float32)
        if not (training and self.trainable):
            statistics = self.moving_mean.value, self.moving_variance.value
            outputs, *_ = self._fused(images, *statistics, is_training=False)
            return tf.cast(outputs, self.compute_dtype)
        nothing = tf.zeros([0])
        outputs, mean, variance, *_ = self._fused(images, nothing, nothing, is_training=True)
        # The kernels return the variance with Bessel's correction; Keras averages it without.
        count = tf.cast(tf.reduce_prod(tf.shape(images)[:3]), tf.float32)
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance * ((count - 1.0) / count))
        return tf.cast(outputs, self.compute_dtype)

    def _fused(self, images: Any, mean: Any, variance: Any, is_training: bool) -> Any:
        channels = images.shape[-1:]
        return tf.raw_ops.FusedBatchNormV3(
            x=images,
            scale=self.gamma.value if self.scale else tf.ones(channels),
            offset=self.beta.value if self.center else tf.zeros(channels),
            mean=mean,
            variance=variance,
            epsilon=self.epsilon,
            is_training=is_training,
        )

    def _move(self, moving: Any, value: Any) -> None:
        moving.assign(moving * self.momentum + value * (1.0 - self.momentum))


@keras.saving.register_keras_serializable(package="kerasweep")
class WarmupBatchNormalization(FusedBatchNormalization):
    """Batch normalization with a warm-up of its moving statistics.

    Update t (from 0) keeps min(momentum, t / (t + 9)) of the old mean and variance: nothing of their initial
    0 and 1, then an average over about the last tenth of the updates, until momentum is smaller. It is the
    decay of tf.train.ExponentialMovingAverage with num_updates, (1 + t) / (10 + t), shifted by one so that
    the first update keeps nothing. With Keras's constant 0.99 the statistics of a short run are mostly their
    initial values, and its validation measures that lag. A layer with trainable=False keeps its statistics.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        self.updates = self.add_weight(
            name="updates", shape=(), initializer="zeros", dtype="float32", trainable=False, autocast=False
        )

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalizes as the base class does, which reads `self.momentum` for the moving statistics."""
        if not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        momentum = self.momentum
        self.momentum = ops.minimum(momentum, self.updates / (self.updates + WARMUP_UPDATES))
        try:
            outputs = super().call(inputs, training=training, mask=mask)
        finally:
            self.momentum = momentum
        self.updates.assign_add(1.0)
        return outputs


def build_normalization(cfg: NormalizationConf, name: str, plain: bool) -> list[keras.Layer]:
    """Returns a normalization layer; no layer for cfg.kind=none. plain: Keras's own layer."""
    if cfg.kind == "none":
        return []
    ours = WarmupBatchNormalization if cfg.moving_statistics == "warmup" else FusedBatchNormalization
    layer = keras.layers.BatchNormalization if plain else ours
    return [layer(momentum=cfg.momentum, epsilon=cfg.epsilon, scale=cfg.scale, center=cfg.center, name=name)]
