"""Measures what a configuration asks for after each epoch besides loss and accuracy."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from omegaconf import DictConfig
from scipy.stats import rankdata

from kerasweep.config.metrics import (
    ASKED_METRICS,
    EPOCH_METRICS,
    FIRST,
    HALVES,
    SECOND,
    VALIDATION,
    asked_metrics,
    is_of_epoch,
    is_target,
)
from kerasweep.errors import ConfigError
from kerasweep.trial.metrics import confusion_matrix

# measure(labels, probabilities): int64 (n,), float32 (n, classes).
Measure = Callable[[np.ndarray, np.ndarray], float]
BINS = 15
EPSILON = 1e-7


class EpochMetrics:
    """Metrics of images, computed from their probabilities.

    Args:
        measures: By the name of the metric, without `val_`.
    """

    def __init__(self, measures: Mapping[str, Measure]) -> None:
        self.measures = measures

    def measure(
        self, labels: np.ndarray, probabilities: np.ndarray, half: np.ndarray | None
    ) -> dict[str, float]:
        """Returns each metric, and with `half` those of the two halves, see config/metrics.py.

        Args:
            labels: int64 (n,).
            probabilities: float32 (n, classes).
            half: bool (n,), which images belong to the first half.
        """
        parts: dict[str, Any] = {"": slice(None)}
        if half is not None:
            parts |= {FIRST: half, SECOND: ~half}
        return {
            name + ending: measure(labels[part], probabilities[part])
            for name, measure in self.measures.items()
            for ending, part in parts.items()
        }


def build_epoch_metrics(cfg: DictConfig, num_classes: int) -> EpochMetrics | None:
    """Returns the metrics that a configuration asks for; None if it asks for none.

    Raises:
        ConfigError: A function of training.metrics makes no metric, or an objective names none.
    """
    measures = {name: BUILT_IN[name] for name in asked_metrics(cfg)}
    for target in filter(is_target, cfg.training.metrics):
        from kerasweep.training.own_metrics import make_metric

        name, measure = make_metric(target, cfg.data.labels == "one_hot", num_classes)
        if VALIDATION + name in (*EPOCH_METRICS, *ASKED_METRICS) or name in measures or name.endswith(HALVES):
            raise ConfigError(
                f"training.metrics={target} has the name {name}, which another metric has or which ends "
                "in _a or _b. Give it a name of its own."
            )
        measures[name] = measure
    for objective in cfg.objective:
        name = objective.metric.removeprefix(VALIDATION)
        if is_of_epoch(objective.metric) and objective.metric not in EPOCH_METRICS and name not in measures:
            own = ", ".join(VALIDATION + name for name in measures)
            raise ConfigError(f"objective.metric is {objective.metric}, but training.metrics gives {own}.")
    return EpochMetrics(measures) if measures else None


def f1_macro(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns the mean F1 score of the classes that the labels have."""
    matrix = _confusion(labels, probabilities)
    is_present = matrix.sum(axis=1) > 0
    scores = 2 * matrix.diagonal()[is_present] / (matrix.sum(axis=0) + matrix.sum(axis=1))[is_present]
    return float(scores.mean())


def balanced_accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns the mean recall of the classes that the labels have."""
    matrix = _confusion(labels, probabilities)
    counts = matrix.sum(axis=1)
    return float((matrix.diagonal()[counts > 0] / counts[counts > 0]).mean())


def top_accuracy(labels: np.ndarray, probabilities: np.ndarray, k: int) -> float:
    """Returns the share of images whose class has one of the k largest probabilities."""
    of_class = probabilities[np.arange(len(labels)), labels]
    return float(((probabilities > of_class[:, np.newaxis]).sum(axis=1) < k).mean())


def auc(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns the area under the ROC curve of each class against the rest, averaged over the classes.

    Left out are classes that no image or all images have. The area is the statistic of Mann and Whitney
    (Hanley and McNeil, 1982, https://doi.org/10.1148/radiology.143.1.7063747). NaN if no class is left.
    """
    areas = []
    for number in np.unique(labels):
        is_class = labels == number
        positive, negative = int(is_class.sum()), int((~is_class).sum())
        if negative:
            ranks = rankdata(probabilities[:, number])[is_class].sum()
            areas.append((ranks - positive * (positive + 1) / 2) / (positive * negative))
    return float(np.mean(areas)) if areas else float("nan")


def calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns the expected calibration error, in 15 bins of equal width.

    It is the mean over images of |confidence - accuracy| in their bin. Guo, Pleiss, Sun and Weinberger
    (2017), On Calibration of Modern Neural Networks, https://arxiv.org/abs/1706.04599
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    is_right = probabilities.argmax(axis=1) == labels
    if not np.isfinite(confidence).all():
        return float("nan")
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, confidence - is_right, minlength=BINS)
    return float(np.abs(gaps).sum() / len(labels))


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns the mean cross-entropy, without penalties, smoothing and class weights."""
    of_class = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.clip(of_class, EPSILON, 1.0)).mean())


BUILT_IN: Mapping[str, Measure] = {
    "f1_macro": f1_macro,
    "balanced_accuracy": balanced_accuracy,
    "top_5_accuracy": partial(top_accuracy, k=5),
    "auc": auc,
    "calibration_error": calibration_error,
    "log_loss": log_loss,
}


def _confusion(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    return confusion_matrix(labels, probabilities.argmax(axis=1), probabilities.shape[1])
