"""Metrics that Keras lacks have the values of a calculation by hand."""

import numpy as np
import pytest

from kerasweep.trial.metrics import confusion_matrix, epoch_variability, most_confidently_wrong, of_history


def test_confusion_matrix_counts_true_rows_and_predicted_columns() -> None:
    matrix = confusion_matrix(np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 0, 2]), 4)
    assert matrix.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]]
    assert matrix.dtype == np.int64


def test_most_confident_errors_come_first_and_ties_keep_their_order() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])
    labels = np.array([0, 1, 0, 1, 0])
    assert most_confidently_wrong(probabilities, labels, 9).tolist() == [2, 1, 4]
    assert most_confidently_wrong(probabilities, labels, 1).tolist() == [2]


def test_perfect_predictions_have_no_errors() -> None:
    assert most_confidently_wrong(np.eye(3), np.arange(3), 5).tolist() == []


def history(*validation: float) -> list[dict[str, float]]:
    return [{"accuracy": 0.9, "val_accuracy": value} for value in validation]


def test_gap_is_that_of_the_best_epoch() -> None:
    assert of_history(history(0.5, 0.8, 0.7), best_epoch=2) == {"generalization_gap": pytest.approx(0.1)}


def test_variability_needs_four_epochs() -> None:
    assert "epoch_variability" not in of_history(history(0.5, 0.8, 0.7), 2)
    assert "epoch_variability" in of_history(history(0.5, 0.8, 0.7, 0.8), 2)


def test_variability_is_that_of_the_later_half() -> None:
    """From epoch 3 of 6 on, the changes are 0.1, -0.2 and 0.2."""
    assert epoch_variability([0.0, 0.1, 0.5, 0.6, 0.4, 0.6]) == pytest.approx((0.09 / 3 / 2) ** 0.5)


def test_variability_of_a_level_series_is_its_standard_deviation() -> None:
    values = np.random.default_rng(0).normal(0.9, 0.02, 20_000)
    assert epoch_variability(values.tolist()) == pytest.approx(0.02, rel=0.02)


def test_variability_of_a_slow_climb_is_small() -> None:
    assert epoch_variability([0.5 + 0.001 * epoch for epoch in range(40)]) < 0.001
