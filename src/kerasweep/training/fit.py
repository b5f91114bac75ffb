"""Trains epoch by epoch, with the Keras callbacks of a config."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from kerasweep.config.metrics import ASKED_METRICS, EPOCH_METRICS, is_of_epoch
from kerasweep.config.search import ObjectiveConf
from kerasweep.config.training import ScheduleConf, TrainingConf
from kerasweep.training.callbacks import (
    CheckpointModel,
    EpochReport,
    KeepBestWeights,
    ReportEpochs,
    StopOnNonFiniteLoss,
    current_rate,
)
from kerasweep.training.checkpoints import model_pattern, rename_best_model, take_over
from kerasweep.training.own_callbacks import CheckLogs
from kerasweep.training.resume import RestoreState, SaveState, find_state
from kerasweep.training.schedules import Rate, rate_function, reads_rate, unfreeze_factor, unfrozen

# run_epoch(epoch, rates) trains the epoch, counted from 0, with a learning rate for each step, and returns
# the metrics of an epoch and of the halves of the validation images, see config/metrics.py.
RunEpoch = Callable[[int, Sequence[float]], dict[str, float]]


@dataclass(frozen=True)
class FitResult:
    """The result of a training."""

    # One dict per epoch, see config/metrics.py: its metrics, those of the halves, and OF_TRAINING.
    history: list[dict[str, float]]
    # The metric that decides which epoch is best: the first objective measured each epoch, or else the
    # validation accuracy.
    objective: ObjectiveConf
    # Counted from 1; of all validation images.
    best_epoch: int
    pruned: bool
    # Training and validation, including earlier attempts.
    seconds: float
    cpu_seconds: float
    # How many epochs an earlier attempt trained.
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
    own_callbacks: Sequence[keras.callbacks.Callback] = (),
) -> FitResult:
    """Trains for up to training.epochs epochs; then the model holds the best epoch's weights.

    Args:
        model: A network with an optimizer.
        run_epoch: Trains and validates one epoch, see `RunEpoch`.
        steps: The steps of each epoch.
        training: Epochs, early stopping, checkpoints.
        schedule: The learning rate by step, or by plateau.
        learning_rate: The schedule's starting value.
        objectives: The first one measured each epoch decides which epoch is best.
        report: See `ReportEpochs`.
        folder: Checkpoints go into its subfolder `checkpoints`.
        resume_from: The folder of an interrupted attempt; it continues if its fingerprint is the same.
        fingerprint: Identifies everything that the training depends on.
        checkpoint_model: Returns the model to save in a checkpoint; None for `model` itself.
        own_callbacks: The user's, called first: numbers that they add to an epoch's logs are recorded. A rate
            that they set counts for constant schedules.

    Raises:
        DivergedError: A loss is not finite.
    """
    reporter = ReportEpochs(report)
    objective = _measured(objectives)
    keeper = KeepBestWeights(objective.metric, objective.direction)
    modes = _modes(objectives)
    plateau = _plateau(schedule, modes)
    stoppers = _stoppers(training, folder, checkpoint_model or (lambda: model), modes)
    check = CheckLogs()
    callbacks = [*own_callbacks, check, StopOnNonFiniteLoss(), reporter, *plateau, keeper, *stoppers]
    state = None
    if training.checkpoint.enabled:
        state = find_state(resume_from, fingerprint, model)
        if state is not None and resume_from is not None:
            take_over(resume_from, folder)
            callbacks.append(RestoreState(state, callbacks[:]))
        rename_best_model(folder, len(state.history) if state else 0)
        callbacks.append(SaveState(folder, fingerprint, callbacks[:], training.epochs))
    restored = len(state.history) if state else 0
    done = training.epochs if state and state.is_over else restored
    rate = None
    if not reads_rate(schedule, bool(own_callbacks)):
        course = rate_function(schedule, learning_rate, steps, training.epochs)
        rate = unfrozen(course, training, learning_rate, steps)
    callback_list = keras.callbacks.CallbackList(callbacks, model=model)
    model.stop_training = False
    callback_list.on_train_begin()
    for epoch in range(done, training.epochs):
        callback_list.on_epoch_begin(epoch)
        rates = _rates(model, rate, epoch * steps, steps)
        if rate is None and epoch + 1 == training.unfreeze_at:
            rates = [unfreeze_factor(training, learning_rate) * current for current in rates]
        metrics = run_epoch(epoch, rates)
        check.measured = metrics.keys()
        # That of the last step: a user's callback may set that of the next epoch before it is recorded.
        callback_list.on_epoch_end(epoch, metrics | {"learning_rate": current_rate(model)})
        if model.stop_training:
            break
    callback_list.on_train_end()
    seconds, cpu_seconds = (
        sum(epoch[name] for epoch in reporter.history) for name in ("epoch_seconds", "epoch_cpu_seconds")
    )
    return FitResult(
        reporter.history, objective, keeper.best_epoch, reporter.is_pruned, seconds, cpu_seconds, restored
    )


def _rates(model: keras.Model, rate: Rate | None, first: int, steps: int) -> list[float]:
    """Returns the learning rate of each step of an epoch; without a function, the optimizer's current one."""
    if rate is None:
        return [current_rate(model)] * steps
    return [rate(step) for step in range(first, first + steps)]


def _modes(objectives: Sequence[ObjectiveConf]) -> dict[str, str]:
    """Returns Keras's mode of each metric that a callback may monitor."""
    own = {objective.metric: objective.direction for objective in objectives}
    directions = {**own, **ASKED_METRICS, **EPOCH_METRICS}
    return {
        metric: {"maximize": "max", "minimize": "min"}[direction] for metric, direction in directions.items()
    }


def _measured(objectives: Sequence[ObjectiveConf]) -> ObjectiveConf:
    """Returns the first objective measured each epoch; the validation accuracy if there is none."""
    measured = (objective for objective in objectives if is_of_epoch(objective.metric))
    return next(measured, ObjectiveConf("val_accuracy", "maximize"))


def _plateau(schedule: ScheduleConf, modes: Mapping[str, str]) -> list[keras.callbacks.Callback]:
    """Returns the callback that lowers the learning rate on a plateau; none for other schedules."""
    if schedule.name != "plateau":
        return []
    return [
        keras.callbacks.ReduceLROnPlateau(
            monitor=schedule.monitor,  # type: ignore[attr-defined]
            factor=schedule.factor,  # type: ignore[attr-defined]
            patience=schedule.patience,  # type: ignore[attr-defined]
            min_lr=schedule.min_lr,  # type: ignore[attr-defined]
            mode=modes[schedule.monitor],  # type: ignore[attr-defined]
        )
    ]


def _stoppers(
    training: TrainingConf,
    folder: Path,
    checkpoint_model: Callable[[], keras.Model],
    modes: Mapping[str, str],
) -> list[keras.callbacks.Callback]:
    callbacks: list[keras.callbacks.Callback] = []
    stopping, checkpoint = training.early_stopping, training.checkpoint
    if stopping.enabled:
        callbacks.append(
            keras.callbacks.EarlyStopping(
                monitor=stopping.monitor,
                patience=stopping.patience,
                min_delta=stopping.min_delta,
                mode=modes[stopping.monitor],
            )
        )
    if checkpoint.enabled:
        callbacks.append(
            CheckpointModel(
                checkpoint_model,
                model_pattern(folder, checkpoint.save_best_only, checkpoint.save_weights_only),
                monitor=checkpoint.monitor,
                mode=modes[checkpoint.monitor],
                save_best_only=checkpoint.save_best_only,
                save_weights_only=checkpoint.save_weights_only,
            )
        )
    return callbacks
