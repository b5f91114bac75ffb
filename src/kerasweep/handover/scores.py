"""Scores a model on the test images."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasweep.data.prepare import Part
from kerasweep.report.statistics import wilson
from kerasweep.report.summary import TESTED
from kerasweep.tracking.run_record import RunRecord

BATCH = 256  # images


@dataclass(frozen=True)
class TestScore:
    """How many test images a model classifies rightly."""

    __test__ = False  # no test of pytest

    correct: int
    images: int

    @property
    def accuracy(self) -> float:
        return self.correct / self.images

    @property
    def interval(self) -> tuple[float, float]:
        """The ends of Wilson's 95 % interval, for other images of the same kind."""
        return wilson(self.correct, self.images)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.accuracy:.4f} ({low:.4f} to {high:.4f})"


def score(probabilities: np.ndarray, labels: np.ndarray) -> TestScore:
    """Returns the score of probabilities (n, classes) for the true classes (n,)."""
    return TestScore(int((probabilities.argmax(axis=1) == labels).sum()), len(labels))


def recorded_score(run: RunRecord) -> TestScore | None:
    """Returns the score that a run recorded, None if it was not tested."""
    if not set(run.metrics) >= TESTED:
        return None
    images = round(run.metrics["test_images"])
    return TestScore(round(run.metrics["test_accuracy"] * images), images)


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
