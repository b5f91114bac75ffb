"""Tests a recorded model, and gathers the tags by which its version in the registry can be judged."""

import json
from dataclasses import dataclass

import numpy as np

from kerasweep.config.search import TrackingConf
from kerasweep.data.prepare import Prepared
from kerasweep.handover.origin import Origin, read_origin
from kerasweep.handover.recorded_data import read_recorded_data
from kerasweep.handover.recorded_model import RecordedModel, read_model
from kerasweep.handover.scores import TestScore, probabilities_of
from kerasweep.tracking.run_record import RunRecord
from kerasweep.tracking.tags import ENSEMBLE, REFIT_OF, RERUN_VERDICT

DATA_DIGEST, CLASS_NAMES = "data_digest", "class_names"


@dataclass(frozen=True, eq=False)
class Candidate:
    """A model that was run on its test images."""

    recorded: RecordedModel
    data: Prepared
    right: np.ndarray  # bool (test images,): whether it classifies the image rightly

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
    return Candidate(recorded, data, right_of(recorded, data))


def right_of(recorded: RecordedModel, data: Prepared) -> np.ndarray:
    """Returns bool (test images,): whether the model classifies the image rightly."""
    answers = probabilities_of(recorded.model, data.test).argmax(axis=1)
    return np.asarray(answers == data.test.labels)


def disagreement(candidate: Candidate) -> str | None:
    """Says how the score differs from the one that the run recorded; None if it does not."""
    metrics, score = candidate.run.metrics, candidate.score
    if metrics.get("test_images") != score.images:
        return None
    accuracy = metrics["test_accuracy"]
    if round(accuracy * score.images) == score.correct:
        return None
    return f"the run recorded the test accuracy {accuracy:.4f}, but its model has {score.accuracy:.4f} here"


def version_tags(cfg: TrackingConf, candidate: Candidate) -> dict[str, str]:
    """Returns the tags by which a colleague can judge the model: its score, data, sweep and verdicts."""
    return {
        "test_score": str(candidate.score),
        "test_accuracy": f"{candidate.score.accuracy:.6g}",
        "test_images": str(candidate.score.images),
        DATA_DIGEST: candidate.data.digest,
        CLASS_NAMES: json.dumps(candidate.data.class_names, ensure_ascii=False),
        **_origin_tags(read_origin(cfg, candidate.run)),
        **{name: candidate.run.tags[name] for name in (REFIT_OF, ENSEMBLE) if name in candidate.run.tags},
    }


def _origin_tags(origin: Origin) -> dict[str, str]:
    """Returns what is known of the training; a run without a sweep, or of another version, lacks some."""
    chosen = origin.chosen
    known = {name: chosen.tags.get(name) for name in ("dataset", "study", "sweep")} | {
        "chosen_of": origin.out_of,
        "objective": origin.chosen_by,
        "verdict": origin.parent.tags.get("verdict") if origin.parent else None,
        "best_epoch": f"{chosen.metrics['best_epoch']:.0f}" if "best_epoch" in chosen.metrics else None,
        RERUN_VERDICT: origin.rerun_verdict,
    }
    return {name: value for name, value in known.items() if value is not None}
