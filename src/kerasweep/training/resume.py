"""Saves the complete training state after each epoch and restores it on resume."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasweep.training.callbacks import KeepBestWeights, ReportEpochs
from kerasweep.training.checkpoints import (
    DAMAGED,
    TrainingState,
    read_state,
    rename_best_model,
    state_path,
    write_state,
)

COUNTERS = {
    "EarlyStopping": ("wait", "stopped_epoch", "best", "best_epoch"),
    "ReduceLROnPlateau": ("wait", "best", "cooldown_counter"),
    "CheckpointModel": ("best",),
    "KeepBestWeights": ("best", "best_epoch"),
}
log = logging.getLogger(__name__)


class SaveState(keras.callbacks.Callback):
    """Saves the training state after each epoch; must be the last callback, to see what the others did.

    Keras's BackupAndRestore saves the model, its optimizer and the epoch's number. It leaves out the counters
    of EarlyStopping, ReduceLROnPlateau and ModelCheckpoint, the best weights and the history, so a resumed
    training has other rates and another end than an uninterrupted one. It overwrites its only file, which a
    kill can leave half-written, and deletes it at the end, so a finished training would start again.

    Args:
        folder: The job's folder.
        fingerprint: Identifies configuration and data.
        callbacks: All callbacks before this one.
        epochs: The number of epochs of the whole training.
    """

    def __init__(
        self, folder: Path, fingerprint: str, callbacks: Sequence[keras.callbacks.Callback], epochs: int
    ) -> None:
        super().__init__()
        self.folder = folder
        self.fingerprint = fingerprint
        self.callbacks = callbacks
        self.epochs = epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        reporter = _one(self.callbacks, ReportEpochs)
        keepers = [callback for callback in self.callbacks if isinstance(callback, KeepBestWeights)]
        state = TrainingState(
            fingerprint=self.fingerprint,
            weights=_arrays(self.model),
            best_weights=keepers[0].weights if keepers else [],
            counters=_counters(self.callbacks),
            history=reporter.history,
            is_over=bool(self.model.stop_training) or epoch + 1 >= self.epochs,
            is_pruned=reporter.is_pruned,
        )
        write_state(self.folder, state)
        rename_best_model(self.folder, epoch + 1)


class RestoreState(keras.callbacks.Callback):
    """Restores a state into a model and its callbacks.

    It must follow these callbacks: their on_train_begin sets them to their start.
    """

    def __init__(self, state: TrainingState, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        super().__init__()
        self.state = state
        self.callbacks = callbacks

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        for variable, value in zip(_variables(self.model), self.state.weights, strict=True):
            variable.assign(value)
        for key, callback in _by_key(self.callbacks).items():
            for name, value in self.state.counters.get(key, {}).items():
                setattr(callback, name, value)
        for keeper in self.callbacks:
            if isinstance(keeper, KeepBestWeights):
                keeper.weights = list(self.state.best_weights)
        _one(self.callbacks, ReportEpochs).restore(self.state.history, self.state.is_pruned)


def find_state(folder: Path | None, fingerprint: str, model: keras.Model) -> TrainingState | None:
    """Reads the state that an earlier attempt left in its folder.

    Returns:
        The state; None, with a warning, if it is damaged or belongs to another configuration or network;
        None if there is no folder or no state.
    """
    if folder is None or not state_path(folder).exists():
        return None
    path = state_path(folder)
    try:
        state = read_state(folder)
    except DAMAGED as error:
        log.warning("%s cannot be read (%s): the training starts again.", path, error)
        return None
    if state.fingerprint != fingerprint or not _fits(state, model):
        log.warning("%s is of another configuration or network: the training starts again.", path)
        return None
    log.info("%s: the training goes on after epoch %d.", path, len(state.history))
    return state


def _fits(state: TrainingState, model: keras.Model) -> bool:
    best = model.get_weights() if state.best_weights else []
    return _kinds(state.weights) == _kinds(_arrays(model)) and _kinds(state.best_weights) == _kinds(best)


def _kinds(arrays: Sequence[np.ndarray]) -> list[tuple[Any, ...]]:
    return [(array.dtype, array.shape) for array in arrays]


def _one(callbacks: Sequence[keras.callbacks.Callback], kind: type) -> Any:
    return next(callback for callback in callbacks if isinstance(callback, kind))


def _variables(model: keras.Model) -> list[Any]:
    """Returns the model's variables (weights, moving statistics, random states), then the optimizer's."""
    if not model.optimizer.built:  # a second `build` would make a new loss scale
        model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]


def _arrays(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(variable) for variable in _variables(model)]


def _counters(callbacks: Sequence[keras.callbacks.Callback]) -> dict[str, dict[str, Any]]:
    return {
        key: {name: _plain(getattr(callback, name)) for name in names}
        for key, callback in _by_key(callbacks).items()
        if (names := _saved(callback))
    }


def _by_key(callbacks: Sequence[keras.callbacks.Callback]) -> dict[str, keras.callbacks.Callback]:
    """Returns the callbacks by the name of their class; the second of a class gets a number."""
    named: dict[str, keras.callbacks.Callback] = {}
    for callback in callbacks:
        name = type(callback).__name__
        named[name if name not in named else f"{name} {len(named)}"] = callback
    return named


def _saved(callback: keras.callbacks.Callback) -> Sequence[str]:
    """Returns the attributes that are saved: of a user's callback its public numbers and texts."""
    kind = type(callback)
    if kind.__name__ in COUNTERS:
        return COUNTERS[kind.__name__]
    if kind.__module__.partition(".")[0] in ("keras", "kerasweep"):
        return ()
    plain = (int, float, str, type(None))
    return [name for name, value in vars(callback).items() if isinstance(value, plain) and name[0] != "_"]


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (int, str)) else float(value)
