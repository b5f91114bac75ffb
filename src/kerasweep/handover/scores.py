"""Scores a model on the test images."""

from typing import Any

import numpy as np

from kerasweep.data.prepare import Part, Prepared
from kerasweep.errors import TrackingError
from kerasweep.handover.recorded_model import RecordedModel, check_outputs
from kerasweep.report.score import TestScore

BATCH = 256  # images


def score(probabilities: np.ndarray, labels: np.ndarray) -> TestScore:
    """Returns the score of probabilities (n, classes) for the true classes (n,)."""
    return TestScore(int((probabilities.argmax(axis=1) == labels).sum()), len(labels))


def checked_probabilities(recorded: RecordedModel, data: Prepared) -> np.ndarray:
    """Returns a recorded model's probabilities of all test images, float32 (n, classes).

    Raises:
        TrackingError: The model takes other images, gives another number of classes, or predicts NaN.
    """
    check_outputs(recorded)
    shape, model = data.test.image_shape, recorded.model
    if (
        any(
            expected not in (None, side) for expected, side in zip(model.input_shape[1:], shape, strict=False)
        )
        or len(model.input_shape) != len(shape) + 1
    ):
        raise TrackingError(
            f"The model of {recorded.name} takes images of {model.input_shape[1:]}, but those of its run are "
            f"{shape}."
        )
    probabilities = probabilities_of(model, data.test)
    if not np.isfinite(probabilities).all():
        raise TrackingError(
            f"The model of {recorded.name} predicts NaN for test images. Export or promote another run."
        )
    return probabilities


def probabilities_of(model: Any, part: Part) -> np.ndarray:
    """Returns a Keras model's probabilities of all images of a part, float32 (n, classes).

    Args:
        model: Takes raw pixels (n, height, width, channels), 0..255.
        part: The images.
    """
    import tensorflow as tf

    predict = tf.function(
        lambda pixels: model(pixels, training=False),
        input_signature=[tf.TensorSpec([None, *part.image_shape], tf.uint8)],
        autograph=False,
    )
    batches = [
        predict(tf.constant(part.take(np.arange(start, min(start + BATCH, len(part)))))).numpy()
        for start in range(0, len(part), BATCH)
    ]
    return np.concatenate(batches).astype(np.float32)
