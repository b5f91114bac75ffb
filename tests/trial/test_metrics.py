"""Where a classifier errs, as numbers."""

import numpy as np

from kerasweep.trial.metrics import confusion_matrix, most_confidently_wrong


def test_confusion_matrix_counts_true_rows_and_predicted_columns() -> None:
    matrix = confusion_matrix(np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 0, 2]), 4)
    assert matrix.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]]
    assert matrix.dtype == np.int64


def test_most_confident_errors_come_first_and_ties_keep_their_order() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])
    labels = np.array([0, 1, 0, 1, 0])
    assert most_confidently_wrong(probabilities, labels, 9).tolist() == [2, 1, 4]
    assert most_confidently_wrong(probabilities, labels, 1).tolist() == [2]


def test_no_error_at_all() -> None:
    assert most_confidently_wrong(np.eye(3), np.arange(3), 5).tolist() == []
