"""Compares an exported model with the Keras model on the test images."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasweep.data.prepare import Part
from kerasweep.errors import ConfigError
from kerasweep.handover.scores import BATCH, TestScore
from kerasweep.report.statistics import LEVEL, mcnemar, p_text

# Both compute in float32, but add in another order.
TOLERANCE = 1e-4
WARM_UP, MIN_CALLS, MAX_CALLS, MAX_SECONDS = 10, 20, 500, 2.0

Predict = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Comparison:
    """How an exported model differs from the Keras model on the test images."""

    # How many images get the same class.
    agreeing: int
    # The largest absolute difference of a probability.
    largest_difference: float
    # How many images the Keras model classifies rightly.
    keras_correct: int
    # Images that only the Keras model classifies rightly, and that only the export does.
    lost: int
    gained: int

    @property
    def p(self) -> float:
        """The p-value of McNemar's exact test: are losses and gains equally likely?"""
        return mcnemar(self.lost, self.gained)

    def __str__(self) -> str:
        chance = "beyond chance" if self.p < 1 - LEVEL else "within chance"
        return (
            f"loses {self.lost:,} of {self.keras_correct:,} images that the Keras model gets right, "
            f"gains {self.gained:,}: {chance} ({p_text(self.p)})"
        )


@dataclass(frozen=True)
class Figures:
    """How a model does on the test images, and on this processor."""

    name: str
    score: TestScore
    bytes: int
    milliseconds: float  # an image
    comparison: Comparison | None = None  # None for the Keras model itself

    def as_mapping(self) -> dict[str, Any]:
        """Returns what signature.json says of an export."""
        compared = self.comparison
        assert compared is not None
        return {
            "test_images": self.score.images,
            "same_class": compared.agreeing,
            "largest_difference": compared.largest_difference,
            "accuracy": self.score.accuracy,
            "accuracy_interval": self.score.interval,
            "keras_accuracy": compared.keras_correct / self.score.images,
            "lost": compared.lost,
            "gained": compared.gained,
            "p": compared.p,
            "bytes": self.bytes,
            "milliseconds_an_image": self.milliseconds,
        }


def probabilities_by(predict: Predict, part: Part) -> np.ndarray:
    """Returns the probabilities of all images of a part, float32 (n, classes)."""
    starts = range(0, len(part), BATCH)
    return np.concatenate(
        [predict(part.take(np.arange(start, min(start + BATCH, len(part))))) for start in starts]
    )


def compare(exported: np.ndarray, keras: np.ndarray, labels: np.ndarray) -> Comparison:
    """Compares probabilities (n, classes) of the same images.

    Args:
        exported: Of the exported model.
        keras: Of the Keras model.
        labels: The true classes, int64 (n,).
    """
    chosen, expected = exported.argmax(axis=1), keras.argmax(axis=1)
    is_right, was_right = chosen == labels, expected == labels
    return Comparison(
        agreeing=int((chosen == expected).sum()),
        largest_difference=float(np.abs(exported - keras).max()),
        lost=int((was_right & ~is_right).sum()),
        gained=int((is_right & ~was_right).sum()),
        keras_correct=int(was_right.sum()),
    )


def check_equal(comparison: Comparison, name: str) -> None:
    """Raises ConfigError if a format of the same numbers computes something else, or NaN."""
    if comparison.largest_difference <= TOLERANCE:
        return
    raise ConfigError(
        f"format={name} must predict as the Keras model to within {TOLERANCE:g}, but on the test images "
        f"their probabilities differ by {comparison.largest_difference:.3g}. Choose another format."
    )


def milliseconds_an_image(predict: Predict, image: np.ndarray) -> float:
    """Returns the median time of a call with one image, after some calls to warm up.

    Args:
        predict: Takes uint8 (n, height, width, channels).
        image: (height, width, channels).
    """
    batch = image[np.newaxis]
    for _ in range(WARM_UP):
        predict(batch)
    seconds: list[float] = []
    while len(seconds) < MIN_CALLS or (sum(seconds) < MAX_SECONDS and len(seconds) < MAX_CALLS):
        began = time.perf_counter()
        predict(batch)
        seconds.append(time.perf_counter() - began)
    return 1000 * float(np.median(seconds))
