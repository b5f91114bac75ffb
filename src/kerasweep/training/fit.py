"""Trains epoch by epoch with Keras's callbacks, those that a config asks for among them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from kerasweep.config.search import EPOCH_METRICS, ObjectiveConf
from kerasweep.config.training import ScheduleConf, TrainingConf
from kerasweep.training.callbacks import (
    CheckpointModel,
    EpochReport,
    KeepBestWeights,
    ReportEpochs,
    StopOnNonFiniteLoss,
)
from kerasweep.training.checkpoints import model_pattern, settle_best, take_over
from kerasweep.training.resume import TakeUp, WriteState, find_state
from kerasweep.training.schedules import Rate, rate_function

# run_epoch(epoch, rates): trains the epoch, counted from 0, with the learning rate of each of its steps;
# returns loss, accuracy, val_loss and val_accuracy.
RunEpoch = Callable[[int, Sequence[float]], dict[str, float]]


@dataclass(frozen=True)
class FitResult:
    """history: one dict an epoch (loss, accuracy, val_loss, val_accuracy, learning_rate, epoch_seconds).

    best_epoch: counted from 1, by the first objective that is measured each epoch, or else by the
    validation accuracy. seconds: of training and validation, those of earlier attempts too.
    restored: how many of the epochs an earlier attempt trained.
    """

    history: list[dict[str, float]]
    best_epoch: int
    pruned: bool
    seconds: float
    restored: int = 0


def fit(
    model: keras.Model,
    run_epoch: RunEpoch,
    steps: int,
    training: TrainingConf,
    schedule: ScheduleConf,
    learning_rate: float,
    objectives: Sequence[ObjectiveConf],
    report: EpochReport,
    folder: Path,
    resume_from: Path | None = None,
    fingerprint: str = "",
    checkpoint_model: Callable[[], keras.Model] | None = None,
) -> FitResult:
    """Train for up to training.epochs epochs; then the model holds the best epoch's weights.

    model: has an optimizer. run_epoch: see RunEpoch. steps: of each epoch. report: see
    ReportEpochs. folder: checkpoints go into its `checkpoints`. resume_from: the folder of an attempt
    that was interrupted, which goes on where it was of this configuration. fingerprint: of all that
    a training depends on. checkpoint_model: makes what a checkpoint of the model holds, the model
    itself where it is left out. Raises TrainingError for a loss that is not finite.
    """
    reporter = ReportEpochs(report)
    objective = _measured(objectives)
    keeper = KeepBestWeights(objective.metric, objective.direction)
    followers = _plateau(schedule)
    stoppers = _stoppers(training, folder, checkpoint_model or (lambda: model))
    callbacks = [StopOnNonFiniteLoss(), reporter, *followers, keeper, *stoppers]
    state = None
    if training.checkpoint.enabled:
        state = find_state(resume_from, fingerprint, model)
        if state is not None and resume_from is not None:
            take_over(resume_from, folder)
            callbacks.append(TakeUp(state, callbacks[:]))
        settle_best(folder, len(state.history) if state else 0)
        callbacks.append(WriteState(folder, fingerprint, callbacks[:], training.epochs))
    restored = len(state.history) if state else 0
    done = training.epochs if state and state.is_over else restored
    rate = None if followers else rate_function(schedule, learning_rate, steps, training.epochs)
    heard = keras.callbacks.CallbackList(callbacks, model=model)
    model.stop_training = False
    heard.on_train_begin()
    for epoch in range(done, training.epochs):
        heard.on_epoch_begin(epoch)
        heard.on_epoch_end(epoch, run_epoch(epoch, _rates(model, rate, epoch * steps, steps)))
        if model.stop_training:
            break
    heard.on_train_end()
    seconds = sum(epoch["epoch_seconds"] for epoch in reporter.history)
    return FitResult(reporter.history, keeper.best_epoch, reporter.is_pruned, seconds, restored)


def _rates(model: keras.Model, rate: Rate | None, first: int, steps: int) -> list[float]:
    """The learning rate of each step of an epoch: what a plateau has left of it where no function tells."""
    if rate is None:
        return [float(np.asarray(model.optimizer.learning_rate))] * steps
    return [rate(step) for step in range(first, first + steps)]


def _mode(metric: str) -> str:
    return "max" if metric.endswith("accuracy") else "min"


def _measured(objectives: Sequence[ObjectiveConf]) -> ObjectiveConf:
    """The first objective that is measured each epoch; the validation accuracy where none is."""
    measured = (objective for objective in objectives if objective.metric in EPOCH_METRICS)
    return next(measured, ObjectiveConf("val_accuracy", "maximize"))


def _plateau(schedule: ScheduleConf) -> list[keras.callbacks.Callback]:
    """What changes the learning rate by what the training shows."""
    if schedule.name != "plateau":
        return []
    return [
        keras.callbacks.ReduceLROnPlateau(
            monitor=schedule.monitor,  # type: ignore[attr-defined]
            factor=schedule.factor,  # type: ignore[attr-defined]
            patience=schedule.patience,  # type: ignore[attr-defined]
            min_lr=schedule.min_lr,  # type: ignore[attr-defined]
            mode=_mode(schedule.monitor),  # type: ignore[attr-defined]
        )
    ]


def _stoppers(
    training: TrainingConf, folder: Path, checkpoint_model: Callable[[], keras.Model]
) -> list[keras.callbacks.Callback]:
    callbacks: list[keras.callbacks.Callback] = []
    stopping, checkpoint = training.early_stopping, training.checkpoint
    if stopping.enabled:
        callbacks.append(
            keras.callbacks.EarlyStopping(
                monitor=stopping.monitor,
                patience=stopping.patience,
                min_delta=stopping.min_delta,
                mode=_mode(stopping.monitor),
            )
        )
    if checkpoint.enabled:
        callbacks.append(
            CheckpointModel(
                checkpoint_model,
                model_pattern(folder, checkpoint.save_best_only, checkpoint.save_weights_only),
                monitor=checkpoint.monitor,
                mode=_mode(checkpoint.monitor),
                save_best_only=checkpoint.save_best_only,
                save_weights_only=checkpoint.save_weights_only,
            )
        )
    return callbacks
