"""Holds how many test images a model classifies rightly, and the interval that follows."""

from dataclasses import dataclass

from kerasweep.report.statistics import wilson
from kerasweep.tracking.run_record import RunRecord

TESTED = {"test_accuracy", "test_images"}


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
        low, high = wilson(self.correct, self.images)
        return float(low), float(high)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.accuracy:.4f} ({low:.4f} to {high:.4f})"


def recorded_score(run: RunRecord) -> TestScore | None:
    """Returns the score that a run recorded, None if it was not tested."""
    if not set(run.metrics) >= TESTED:
        return None
    images = round(run.metrics["test_images"])
    return TestScore(round(run.metrics["test_accuracy"] * images), images)
