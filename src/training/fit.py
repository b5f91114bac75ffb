"""Trains a compiled network with Keras's `fit` and the callbacks that a config asks for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from src.config.search import EPOCH_METRICS, ObjectiveConf
from src.config.training import ScheduleConf, TrainingConf
from src.training.callbacks import (
    EpochReport,
    FollowSchedule,
    KeepBestWeights,
    ReportEpochs,
    StopOnNonFiniteLoss,
)
from src.training.checkpoints import model_pattern, settle_best, take_over
from src.training.resume import TakeUp, WriteState, find_state
from src.training.schedules import rate_function


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
    train_batches: Callable[[int], Any],
    steps: int,
    validation_batches: Any,
    training: TrainingConf,
    schedule: ScheduleConf,
    learning_rate: float,
    objectives: Sequence[ObjectiveConf],
    report: EpochReport,
    folder: Path,
    resume_from: Path | None = None,
    fingerprint: str = "",
) -> FitResult:
    """Train for up to training.epochs epochs; then the model holds the best epoch's weights.

    train_batches: gives the tf.data.Dataset of all epochs from one on, `steps` batches each.
    validation_batches: one epoch. report: see ReportEpochs. folder: checkpoints go into its
    `checkpoints`. resume_from: the folder of an attempt that was interrupted, which goes on where it
    was of this configuration. fingerprint: of all that a training depends on. Raises TrainingError
    for a loss that is not finite.
    """
    reporter = ReportEpochs(report)
    objective = _measured(objectives)
    keeper = KeepBestWeights(objective.metric, objective.direction)
    rate = rate_function(schedule, learning_rate, steps, training.epochs)
    followers = _schedule_callbacks(schedule, rate)
    callbacks = [StopOnNonFiniteLoss(), reporter, *followers, keeper, *_stoppers(training, folder)]
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
    model.fit(
        train_batches(done + 1),
        validation_data=validation_batches,
        epochs=training.epochs,
        initial_epoch=done,
        steps_per_epoch=steps,
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )
    seconds = sum(epoch["epoch_seconds"] for epoch in reporter.history)
    return FitResult(reporter.history, keeper.best_epoch, reporter.is_pruned, seconds, restored)


def _mode(metric: str) -> str:
    return "max" if metric.endswith("accuracy") else "min"


def _measured(objectives: Sequence[ObjectiveConf]) -> ObjectiveConf:
    """The first objective that is measured each epoch; the validation accuracy where none is."""
    measured = (objective for objective in objectives if objective.metric in EPOCH_METRICS)
    return next(measured, ObjectiveConf("val_accuracy", "maximize"))


def _schedule_callbacks(schedule: ScheduleConf, rate: Any) -> list[keras.callbacks.Callback]:
    if schedule.name == "constant":
        return []
    if schedule.name != "plateau":
        return [FollowSchedule(rate)]
    return [
        keras.callbacks.ReduceLROnPlateau(
            monitor=schedule.monitor,  # type: ignore[attr-defined]
            factor=schedule.factor,  # type: ignore[attr-defined]
            patience=schedule.patience,  # type: ignore[attr-defined]
            min_lr=schedule.min_lr,  # type: ignore[attr-defined]
            mode=_mode(schedule.monitor),  # type: ignore[attr-defined]
        )
    ]


def _stoppers(training: TrainingConf, folder: Path) -> list[keras.callbacks.Callback]:
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
            keras.callbacks.ModelCheckpoint(
                model_pattern(folder, checkpoint.save_best_only, checkpoint.save_weights_only),
                monitor=checkpoint.monitor,
                mode=_mode(checkpoint.monitor),
                save_best_only=checkpoint.save_best_only,
                save_weights_only=checkpoint.save_weights_only,
            )
        )
    return callbacks
