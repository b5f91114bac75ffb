"""Trains a fixed number of epochs without validation, up to the last epoch's weights."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras

from kerasweep.training.callbacks import EpochReport, ReportEpochs, StopOnNonFiniteLoss, current_rate
from kerasweep.training.resume import RestoreState, SaveState, find_state
from kerasweep.training.schedules import Rate

# train_epoch(epoch, rates) trains the epoch, counted from 0, with a learning rate for each step, and returns
# loss and accuracy.
TrainEpoch = Callable[[int, Sequence[float]], dict[str, float]]


def fit_all(
    model: keras.Model,
    train_epoch: TrainEpoch,
    steps: int,
    epochs: int,
    rate: Rate,
    report: EpochReport,
    folder: Path | None,
    fingerprint: str,
    own_callbacks: Sequence[keras.callbacks.Callback] = (),
) -> int:
    """Trains for `epochs` epochs.

    Args:
        model: A network with an optimizer. At the end it holds the weights of the last epoch.
        train_epoch: Trains one epoch, see `TrainEpoch`.
        steps: The steps of each epoch.
        epochs: The number of epochs.
        rate: The learning rate by step.
        report: See `ReportEpochs`.
        folder: Keeps the state after each epoch, so that an interrupted training goes on; None for none.
        fingerprint: Identifies everything that the training depends on.
        own_callbacks: The user's, called first.

    Returns:
        How many epochs an earlier attempt trained.

    Raises:
        DivergedError: A loss is not finite.
    """
    reporter = ReportEpochs(report)
    callbacks: list[keras.callbacks.Callback] = [*own_callbacks, StopOnNonFiniteLoss(), reporter]
    state = find_state(folder, fingerprint, model)
    if state is not None:
        callbacks.append(RestoreState(state, callbacks[:]))
    if folder is not None:
        callbacks.append(SaveState(folder, fingerprint, callbacks[:], epochs))
    callback_list = keras.callbacks.CallbackList(callbacks, model=model)
    model.stop_training = False
    callback_list.on_train_begin()
    restored = len(reporter.history)
    for epoch in range(restored, epochs):
        callback_list.on_epoch_begin(epoch)
        rates = [rate(step) for step in range(epoch * steps, (epoch + 1) * steps)]
        metrics = train_epoch(epoch, rates)
        callback_list.on_epoch_end(epoch, metrics | {"learning_rate": current_rate(model)})
    callback_list.on_train_end()
    return restored
