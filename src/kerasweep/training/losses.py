"""Computes the loss of each image by Keras's losses, or by a function of the user's."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasweep.config.metrics import is_target
from kerasweep.config.target import import_target, make_without_arguments
from kerasweep.errors import ConfigError

CROSSENTROPY = "crossentropy"
# losses(labels, probabilities) of int64 (b,), or mixed float (b, classes), and float (b, classes) returns
# float (b,). Mixed labels need one-hot losses.
Losses = Callable[[Any, Any], Any]


class Smoothing:
    """Gives all classes a share of each label, as label_smoothing of Keras's losses does.

    The share is in variables, so that another one needs no new graph.

    Args:
        num_classes: The number of classes.
    """

    def __init__(self, num_classes: int) -> None:
        self._num_classes = num_classes
        self._kept = tf.Variable(1.0, trainable=False)
        self._spread = tf.Variable(0.0, trainable=False)

    def set(self, share: float) -> None:
        """Sets the share, 0 <= share < 1."""
        self._kept.assign(1.0 - share)
        self._spread.assign(np.float32(share) / np.float32(self._num_classes))

    def __call__(self, targets: Any) -> Any:
        """Returns float (b, classes) from one-hot labels of that shape."""
        kept, spread = (tf.cast(number, targets.dtype) for number in (self._kept, self._spread))
        return targets * kept + spread


def build_losses(name: str, is_one_hot: bool, smoothing: Smoothing | None) -> Losses:
    """Returns the function for the losses of a batch.

    Args:
        name: One of config.training.LOSSES, or `package.module:function`: a function of labels and
            probabilities, or a class of keras.losses.Loss. Its labels are int64 (b,), or with `is_one_hot`
            float (b, classes).
        is_one_hot: The form of the labels. Keras's losses other than the cross-entropy need one-hot ones.
        smoothing: Applied to the labels, which are then one-hot.

    Raises:
        ConfigError: There is no such module or function, or its losses are not (b,).
    """
    if name == CROSSENTROPY and not is_one_hot and smoothing is None:
        return keras.losses.sparse_categorical_crossentropy  # type: ignore[no-any-return]
    if is_target(name):
        measure = _own(name)
        return _one_hot(measure, None) if is_one_hot else measure
    function = keras.losses.get("categorical_crossentropy" if name == CROSSENTROPY else name)
    return _one_hot(function, smoothing)


def _one_hot(function: Losses, smoothing: Smoothing | None) -> Losses:
    def losses(labels: Any, probabilities: Any) -> Any:
        is_mixed = labels.shape.rank == 2
        targets = labels if is_mixed else tf.one_hot(labels, probabilities.shape[-1])
        return function(targets if smoothing is None else smoothing(targets), probabilities)

    return losses


def _own(target: str) -> Losses:
    named: Any = import_target(target)
    loss = make_without_arguments("training.loss", target) if isinstance(named, type) else named
    function = loss.call if isinstance(loss, keras.losses.Loss) else loss

    def losses(labels: Any, probabilities: Any) -> Any:
        values = function(labels, probabilities)
        expected = f"training.loss={target} must return one loss an image, of shape (b,), but it returned"
        if values is None:
            raise ConfigError(f"{expected} nothing. End the function with return.")
        values = tf.convert_to_tensor(values)
        if values.shape.rank != 1:
            raise ConfigError(
                f"{expected} the shape {tuple(values.shape)}. Leave out the mean over the batch: kerasweep "
                "takes it."
            )
        return values

    return losses
