"""Computes metrics that Keras lacks: confusion matrix, worst errors, generalization gap, variability."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np

MIN_EPOCHS = 4
History = Sequence[Mapping[str, float]]


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts how often each true class (row) was predicted as each class (column): int64 (classes, classes).

    Args:
        labels: True classes, integers (n,), 0 <= value < num_classes.
        predicted: Predicted classes, as labels.
        num_classes: The number of classes.
    """
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def most_confidently_wrong(probabilities: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """Returns the indices of wrongly classified images, the most confident first; ties keep their order.

    Args:
        probabilities: (n, classes).
        labels: True classes (n,).
        count: The largest number of indices.
    """
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    confidence = probabilities[wrong, predicted[wrong]]
    return wrong[np.argsort(-confidence, kind="stable")][:count]


def of_history(history: History, best_epoch: int) -> dict[str, float]:
    """Returns the metrics below by name; the variability needs four epochs. best_epoch: from 1."""
    found = {"generalization_gap": generalization_gap(history[best_epoch - 1])}
    if len(history) >= MIN_EPOCHS:
        found["epoch_variability"] = epoch_variability([epoch["val_accuracy"] for epoch in history])
    return found


def generalization_gap(epoch: Mapping[str, float]) -> float:
    """Returns an epoch's training accuracy minus its validation accuracy.

    Keras's training accuracy is the mean over the epoch, while the network still learns.
    """
    return epoch["accuracy"] - epoch["val_accuracy"]


def epoch_variability(accuracies: Sequence[float]) -> float:
    """Returns how far accuracies jump between epochs, over the later half of the epochs (n,), n >= 4.

    It is the root of half the mean square of successive differences: for a series without a trend, its
    standard deviation; a slow climb hardly enlarges it. Von Neumann, Kent, Bellinson and Hart (1941), The
    mean square successive difference, https://doi.org/10.1214/aoms/1177731746
    """
    later = accuracies[len(accuracies) // 2 - 1 :]
    changes = [after - before for before, after in zip(later, later[1:], strict=False)]
    return math.sqrt(fmean(change**2 for change in changes) / 2)
