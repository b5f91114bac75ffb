"""Tests a recorded model, and gathers the tags by which its version in the registry can be judged."""

import json
from dataclasses import dataclass

import numpy as np

from kerasweep.config.search import TrackingConf
from kerasweep.data.prepare import Prepared
from kerasweep.handover.card import Card
from kerasweep.handover.recorded_data import read_recorded_data
from kerasweep.handover.recorded_model import RecordedModel, read_model
from kerasweep.handover.scores import TestScore, checked_probabilities
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import ENSEMBLE

DATA_DIGEST, CLASS_NAMES = "data_digest", "class_names"


@dataclass(frozen=True, eq=False)
class Candidate:
    """A model that was run on its test images."""

    recorded: RecordedModel
    data: Prepared
    probabilities: np.ndarray  # of the test images, float32 (n, classes)

    @property
    def right(self) -> np.ndarray:
        """Whether the model classifies a test image rightly, bool (n,)."""
        return right_of(self.probabilities, self.data)

    @property
    def run(self) -> RunRecord:
        return self.recorded.run

    @property
    def score(self) -> TestScore:
        return TestScore(int(self.right.sum()), len(self.right))


def read_candidate(cfg: TrackingConf, run_id: str, path: str | None) -> Candidate:
    """Loads the model and the images of a run, and classifies the test images.

    Args:
        cfg: Names the server or database, and the experiment.
        run_id: The run's.
        path: Where the images have moved; None for the recorded place.

    Raises:
        TrackingError: The run has no complete model; see `read_model`.
        DataError: The images are gone, or changed.
    """
    recorded = read_model(cfg, run_id)
    data = read_recorded_data(cfg, recorded.run, path)
    return Candidate(recorded, data, checked_probabilities(recorded, data))


def right_of(probabilities: np.ndarray, data: Prepared) -> np.ndarray:
    """Returns bool (test images,): whether probabilities (n, classes) are largest for the true class."""
    return np.asarray(probabilities.argmax(axis=1) == data.test.labels)


def disagreement(candidate: Candidate) -> str | None:
    """Says how the score differs from the one that the run recorded; None if it does not."""
    metrics, score = candidate.run.metrics, candidate.score
    if metrics.get("test_images") != score.images:
        return None
    accuracy = metrics["test_accuracy"]
    if round(accuracy * score.images) == score.correct:
        return None
    return f"the run recorded the test accuracy {accuracy:.4f}, but its model has {score.accuracy:.4f} here"


def version_tags(candidate: Candidate, card: Card) -> dict[str, str]:
    """Returns the tags by which a colleague can judge the model: the facts of its card."""
    ensemble = {name: candidate.run.tags[name] for name in (ENSEMBLE,) if name in candidate.run.tags}
    names = json.dumps(candidate.data.class_names, ensure_ascii=False)
    return {**card.facts, "test_score": str(candidate.score), CLASS_NAMES: names, **ensemble}
