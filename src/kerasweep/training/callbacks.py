"""Keras callbacks of a run: stop on a non-finite loss, report epochs, keep the best weights, save models."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kerasweep.config.metrics import without_halves
from kerasweep.errors import DivergedError
from kerasweep.results import sign_of

EpochReport = Callable[[int, dict[str, float]], bool]


def current_rate(model: keras.Model) -> float:
    """Returns the learning rate of the optimizer."""
    return float(np.asarray(model.optimizer.learning_rate))


class StopOnNonFiniteLoss(keras.callbacks.Callback):
    """Raises DivergedError if an epoch's loss or validation loss is NaN or infinite.

    No later epoch can repair such weights.
    """

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        losses = {name: float((logs or {}).get(name, 0.0)) for name in ("loss", "val_loss")}
        for name, loss in losses.items():
            if not math.isfinite(loss):
                raise DivergedError(
                    f"{name} became {loss} in epoch {epoch + 1}. "
                    "Lower optimizer.learning_rate, set optimizer.clipnorm=1, or choose another initializer."
                )


class ReportEpochs(keras.callbacks.Callback):
    """Collects and reports each epoch's metrics; ends the training if the report says so.

    Among the metrics are the learning rate, the epoch's seconds, and the CPU-seconds of all threads of this
    process, which other processes hardly change.

    Args:
        report: Called with the epoch, counted from 1, and its metrics. True prunes the training.
    """

    def __init__(self, report: EpochReport) -> None:
        super().__init__()
        self.report = report
        self.history: list[dict[str, float]] = []
        self.is_pruned = False
        self._began = self._cpu_began = 0.0

    def restore(self, history: Sequence[dict[str, float]], is_pruned: bool) -> None:
        """Reports the epochs of an earlier attempt again; whether to stop was decided then."""
        self.is_pruned = is_pruned
        for metrics in history:
            self.history.append(dict(metrics))
            self._report(len(self.history))

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._began, self._cpu_began = time.perf_counter(), time.process_time()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        metrics.setdefault("learning_rate", current_rate(self.model))
        metrics["epoch_seconds"] = time.perf_counter() - self._began
        metrics["epoch_cpu_seconds"] = time.process_time() - self._cpu_began
        self.history.append(metrics)
        if self._report(epoch + 1):
            self.is_pruned = True
            self.model.stop_training = True

    def _report(self, epoch: int) -> bool:
        metrics = self.history[epoch - 1]
        return self.report(epoch, without_halves(metrics))


class KeepBestWeights(keras.callbacks.Callback):
    """Keeps the weights of the best epoch in memory and restores them at the end.

    Of equal epochs the first is the best; NaN is never best. `best_epoch` counts from 1.

    Args:
        metric: The name in the logs.
        direction: `maximize` or `minimize`.
    """

    def __init__(self, metric: str, direction: str) -> None:
        super().__init__()
        self.metric = metric
        self.sign = sign_of(direction)
        self.best_epoch = 1
        self.best = -math.inf
        self.weights: list[np.ndarray] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        value = self.sign * float((logs or {})[self.metric])
        if value > self.best:
            self.best, self.best_epoch = value, epoch + 1
            self.weights = self.model.get_weights()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self.weights:
            self.model.set_weights(self.weights)


class CheckpointModel(keras.callbacks.ModelCheckpoint):
    """Keras's ModelCheckpoint for another model than the trained one.

    Args:
        make: Returns the model to save, with the current weights; called only when something is saved.
        filepath: See keras.callbacks.ModelCheckpoint, as for the other arguments.
    """

    def __init__(self, make: Callable[[], keras.Model], filepath: str, **arguments: Any) -> None:
        super().__init__(filepath, **arguments)
        self.make = make

    def set_model(self, model: keras.Model) -> None:
        super().set_model(_MadeWhenSaved(self.make))


@dataclass(frozen=True)
class _MadeWhenSaved:
    make: Callable[[], keras.Model]

    def save(self, path: str, overwrite: bool) -> None:
        self.make().save(path, overwrite=overwrite)

    def save_weights(self, path: str, overwrite: bool) -> None:
        self.make().save_weights(path, overwrite=overwrite)
