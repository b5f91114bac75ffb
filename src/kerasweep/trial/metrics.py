"""Computes metrics that Keras lacks: cross-fitted scores, confusion matrix, worst errors, variability."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from kerasweep.config.metrics import FIRST, SECOND
from kerasweep.results import DECIMALS, sign_of

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


@dataclass(frozen=True)
class Choice:
    """The epochs that the two halves of the validation images choose, each without seeing the other half."""

    by_a: int  # an index of the history
    by_b: int


def choose_epochs(history: History, metric: str, direction: str) -> Choice:
    """Returns each half's best epoch; of equal epochs the first, and NaN is never best.

    Args:
        history: The metrics of each epoch, and of its halves, see config/metrics.py.
        metric: A metric of each epoch. A metric of the training images does not look at the validation
            images: both halves choose its best epoch.
        direction: `maximize` or `minimize`.
    """
    sign = sign_of(direction)
    whole = [sign * epoch[metric] for epoch in history]
    if metric + FIRST not in history[0]:
        return Choice(_best(whole), _best(whole))
    of_a = [sign * epoch[metric + FIRST] for epoch in history]
    if metric + SECOND in history[0]:
        of_b = [sign * epoch[metric + SECOND] for epoch in history]
    else:
        of_b = [both - a for both, a in zip(whole, of_a, strict=True)]
    return Choice(_best(of_a), _best(of_b))


def cross_fitted(history: History, choice: Choice) -> dict[str, float]:
    """Returns the metrics of the validation images, and what follows, without the luck of the best epoch.

    What follows: generalization_gap, and best_epoch_gain over the last epoch. A metric that is no mean over
    images is the mean of its two halves, each scored so.

    The largest of many validation accuracies is partly luck, and more so for a network whose accuracy jumps
    from epoch to epoch. Here each image is scored at the epoch that the other half of the images chose: the
    expectation for a user who keeps the best epoch, with no image and no training lost. Cross-fitting:
    Chernozhukov et al. (2018), Double/debiased machine learning, https://doi.org/10.1111/ectj.12097

    Args:
        history: The metrics of each epoch, and of its halves, see config/metrics.py.
        choice: The epochs, see `choose_epochs`.

    Example:
        >>> loss = {"accuracy": 1.0, "val_loss": 0.3, "val_loss_a": 0.1}
        >>> one = {**loss, "val_accuracy": 0.9, "val_accuracy_a": 0.4}
        >>> two = {**loss, "val_accuracy": 0.9, "val_accuracy_a": 0.5}
        >>> choice = choose_epochs([one, two], "val_accuracy", "maximize")
        >>> choice, round(cross_fitted([one, two], choice)["val_accuracy"], 12)
        (Choice(by_a=1, by_b=0), 0.8)
    """
    by_a, by_b = history[choice.by_a], history[choice.by_b]
    scores = {
        metric: by_a[metric]
        if choice.by_a == choice.by_b
        else by_a[metric] - by_a[metric + FIRST] + by_b[metric + FIRST]
        for metric in ("val_loss", "val_accuracy")
    }
    for metric in (name.removesuffix(SECOND) for name in history[0] if name.endswith(SECOND)):
        if metric + FIRST in history[0]:
            scores[metric] = fmean([by_a[metric + SECOND], by_b[metric + FIRST]])
    # Keras's training accuracy is the mean over the epoch, while the network still learns.
    trained = fmean([by_a["accuracy"], by_b["accuracy"]])
    return {
        **scores,
        "generalization_gap": trained - scores["val_accuracy"],
        "best_epoch_gain": scores["val_accuracy"] - history[-1]["val_accuracy"],
    }


def _best(values: Sequence[float]) -> int:
    """Returns the index of the first largest value; equal sums of other parts may differ by rounding."""
    known = [-math.inf if math.isnan(value) else round(value, DECIMALS) for value in values]
    return known.index(max(known))


def of_history(history: History) -> dict[str, float]:
    """Returns max_val_accuracy and, from four epochs on, epoch_variability."""
    accuracies = [epoch["val_accuracy"] for epoch in history]
    metrics = {"max_val_accuracy": max(accuracies)}
    if len(history) >= MIN_EPOCHS:
        metrics["epoch_variability"] = epoch_variability(accuracies)
    return metrics


def epoch_variability(accuracies: Sequence[float]) -> float:
    """Returns how far accuracies jump between epochs, over the later half of the epochs (n,), n >= 4.

    It is the root of half the mean square of successive differences: for a series without a trend, its
    standard deviation; a slow climb hardly enlarges it. Von Neumann, Kent, Bellinson and Hart (1941), The
    mean square successive difference, https://doi.org/10.1214/aoms/1177731746
    """
    later = accuracies[len(accuracies) // 2 - 1 :]
    changes = [after - before for before, after in zip(later, later[1:], strict=False)]
    return math.sqrt(fmean(change**2 for change in changes) / 2)
