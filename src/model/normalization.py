"""Batch normalization whose moving statistics never carry their initial values."""

from typing import Any

import keras
from keras import ops

from src.config.model import NormalizationConf


@keras.saving.register_keras_serializable(package="kerasweep")
class WarmupBatchNormalization(keras.layers.BatchNormalization):
    """Keras's BatchNormalization (Ioffe and Szegedy, 2015) with a warm-up of its moving statistics.

    Update t (the first is 0) keeps min(momentum, t / (t + 1)) of the old mean and variance: the
    plain mean over the batches at first, which turns into the moving average once t / (t + 1)
    exceeds momentum. With Keras's constant 0.99 the statistics of a short run are mostly their
    initial 0 and 1, and its validation shows that lag instead of the network. Output and
    gradients in training are Keras's own; a layer with trainable=False keeps its statistics.
    https://arxiv.org/abs/1502.03167
    """

    momentum: Any

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        self.updates = self.add_weight(
            name="updates", shape=(), initializer="zeros", dtype="float32", trainable=False, autocast=False
        )

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """As Keras's, which reads `self.momentum` where it moves the statistics."""
        if not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        momentum = self.momentum
        self.momentum = ops.minimum(momentum, self.updates / (self.updates + 1.0))
        try:
            outputs = super().call(inputs, training=training, mask=mask)
        finally:
            self.momentum = momentum
        self.updates.assign_add(1.0)
        return outputs


def build_normalization(cfg: NormalizationConf, name: str, plain: bool) -> list[keras.Layer]:
    """The layer that normalizes; no layer for cfg.kind=none. plain: Keras's own, whatever cfg says."""
    if cfg.kind == "none":
        return []
    is_stock = plain or cfg.moving_statistics == "keras"
    layer = keras.layers.BatchNormalization if is_stock else WarmupBatchNormalization
    return [layer(momentum=cfg.momentum, epsilon=cfg.epsilon, scale=cfg.scale, center=cfg.center, name=name)]
