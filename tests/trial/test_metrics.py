"""Metrics that Keras lacks have the values of a calculation by hand."""

import math

import numpy as np
import pytest

from kerasweep.trial.metrics import (
    Choice,
    choose_epochs,
    confusion_matrix,
    cross_fitted,
    epoch_variability,
    most_confidently_wrong,
    of_history,
)


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


def halved(*epochs: tuple[float, float], accuracy: float = 0.9) -> list[dict[str, float]]:
    """Returns a history in which the halves add these parts of the accuracy; the loss is its negative."""
    return [
        {
            "accuracy": accuracy - epoch / 100,
            "val_accuracy": a + b,
            "val_accuracy_a": a,
            "val_loss": -a - b,
            "val_loss_a": -a,
        }
        for epoch, (a, b) in enumerate(epochs)
    ]


def test_each_half_is_scored_at_the_epoch_that_the_other_chose() -> None:
    epochs = halved((0.40, 0.45), (0.44, 0.42), (0.41, 0.43))
    choice = choose_epochs(epochs, "val_accuracy", "maximize")
    assert choice == Choice(by_a=1, by_b=0)
    scores = cross_fitted(epochs, choice)
    assert scores["val_accuracy"] == pytest.approx(0.40 + 0.42)
    assert scores["val_loss"] == pytest.approx(-0.82)
    assert scores["generalization_gap"] == pytest.approx((0.89 + 0.90) / 2 - 0.82)
    assert scores["best_epoch_gain"] == pytest.approx(0.82 - 0.84)


def test_halves_that_choose_alike_give_the_epochs_own_value() -> None:
    epochs = halved((0.1, 0.1), (0.3, 1 / 3), (0.2, 0.2))
    choice = choose_epochs(epochs, "val_accuracy", "maximize")
    assert cross_fitted(epochs, choice)["val_accuracy"] == epochs[1]["val_accuracy"]


@pytest.mark.parametrize(
    ("metric", "direction", "chosen"), [("val_loss", "minimize", 1), ("accuracy", "maximize", 0)]
)
def test_epochs_are_chosen_by_the_objective(metric: str, direction: str, chosen: int) -> None:
    epochs = halved((0.1, 0.1), (0.3, 0.3), (0.2, 0.2))
    assert choose_epochs(epochs, metric, direction) == Choice(chosen, chosen)


def test_the_first_of_equal_epochs_is_chosen_though_their_parts_differ_by_rounding() -> None:
    epochs = halved((0.5, 0.1), (0.2, 0.3), (0.1, 0.3))
    epochs[2]["val_accuracy"] = 0.1 + 0.3 + 1e-16
    assert choose_epochs(epochs, "val_accuracy", "maximize").by_b == 1


def test_nan_is_never_chosen() -> None:
    epochs = halved((math.nan, 0.1), (0.2, 0.3))
    assert choose_epochs(epochs, "val_loss", "minimize") == Choice(1, 1)
    assert choose_epochs(epochs[:1], "val_loss", "minimize") == Choice(0, 0)


def test_the_maximum_stays_a_metric() -> None:
    assert of_history(history(0.5, 0.8, 0.7)) == {"max_val_accuracy": 0.8}


def test_variability_needs_four_epochs() -> None:
    assert "epoch_variability" not in of_history(history(0.5, 0.8, 0.7))
    assert "epoch_variability" in of_history(history(0.5, 0.8, 0.7, 0.8))


def test_variability_is_that_of_the_later_half() -> None:
    """From epoch 3 of 6 on, the changes are 0.1, -0.2 and 0.2."""
    assert epoch_variability([0.0, 0.1, 0.5, 0.6, 0.4, 0.6]) == pytest.approx((0.09 / 3 / 2) ** 0.5)


def test_variability_of_a_level_series_is_its_standard_deviation() -> None:
    values = np.random.default_rng(0).normal(0.9, 0.02, 20_000)
    assert epoch_variability(values.tolist()) == pytest.approx(0.02, rel=0.02)


def test_variability_of_a_slow_climb_is_small() -> None:
    assert epoch_variability([0.5 + 0.001 * epoch for epoch in range(40)]) < 0.001
