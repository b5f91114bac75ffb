"""Callbacks are small state machines, tested with logs written by hand."""

import math

import keras
import numpy as np
import pytest

from kerasweep.errors import DivergedError
from kerasweep.training.callbacks import KeepBestWeights, ReportEpochs, StopOnNonFiniteLoss


def logs(val_accuracy: float = 0.5, loss: float = 1.0, val_loss: float = 1.0) -> dict[str, float]:
    return {"loss": loss, "accuracy": 0.5, "val_loss": val_loss, "val_accuracy": val_accuracy}


def one_weight(learning_rate: float = 0.25) -> keras.Model:
    """Returns a network with a single weight."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(optimizer=keras.optimizers.SGD(learning_rate), loss="mse")
    return model


@pytest.mark.parametrize(
    ("metric", "direction", "values", "best"),
    [
        ("val_accuracy", "maximize", [0.1, 0.7, 0.3], 2),
        ("val_accuracy", "maximize", [0.7, 0.7, 0.7], 1),
        ("val_accuracy", "maximize", [math.nan, 0.2, math.nan], 2),
        ("val_loss", "minimize", [3.0, 1.0, 2.0], 2),
    ],
)
def test_best_epoch_and_its_weights(metric: str, direction: str, values: list[float], best: int) -> None:
    keeper, model = KeepBestWeights(metric, direction), one_weight()
    keeper.set_model(model)
    for epoch, value in enumerate(values):
        model.set_weights([np.array([[float(epoch + 1)]])])
        keeper.on_epoch_end(epoch, {metric: value})
    keeper.on_train_end()
    assert keeper.best_epoch == best
    assert model.get_weights()[0].tolist() == [[float(best)]]


@pytest.mark.parametrize("loss", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["loss", "val_loss"])
def test_a_loss_that_is_not_finite_ends_the_run(name: str, loss: float) -> None:
    stopper = StopOnNonFiniteLoss()
    stopper.on_epoch_end(0, logs())
    with pytest.raises(DivergedError, match=rf"^{name} became {loss} in epoch 2\. Lower"):
        stopper.on_epoch_end(1, logs(**{name: loss}))


def test_reports_each_epoch_from_one_and_stops_on_request() -> None:
    heard: list[tuple[int, float]] = []

    def report(epoch: int, metrics: dict[str, float]) -> bool:
        heard.append((epoch, metrics["val_accuracy"]))
        return epoch == 2

    reporter = ReportEpochs(report)
    model = one_weight(learning_rate=0.25)
    reporter.set_model(model)
    for epoch, accuracy in enumerate((0.1, 0.2)):
        assert not reporter.is_pruned
        reporter.on_epoch_begin(epoch)
        reporter.on_epoch_end(epoch, logs(val_accuracy=accuracy) | {"val_recall": 0.75})
    assert heard == [(1, 0.1), (2, 0.2)]
    assert reporter.is_pruned and model.stop_training
    assert [epoch["learning_rate"] for epoch in reporter.history] == [0.25, 0.25]
    assert [epoch["val_recall"] for epoch in reporter.history] == [0.75, 0.75]
    assert all(epoch["epoch_seconds"] >= 0 for epoch in reporter.history)
