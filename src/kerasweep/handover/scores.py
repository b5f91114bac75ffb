"""Scores a model on the test images."""

from typing import Any

import numpy as np

from kerasweep.data.prepare import Part
from kerasweep.report.score import TestScore

BATCH = 256  # images


def score(probabilities: np.ndarray, labels: np.ndarray) -> TestScore:
    """Returns the score of probabilities (n, classes) for the true classes (n,)."""
    return TestScore(int((probabilities.argmax(axis=1) == labels).sum()), len(labels))


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
