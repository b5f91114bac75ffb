"""Writes down after each epoch all that a training is, and takes it up again where it ended."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasweep.training.callbacks import KeepBestWeights, ReportEpochs
from kerasweep.training.checkpoints import DAMAGED, State, read_state, settle_best, state_path, write_state

COUNTERS = {
    "EarlyStopping": ("wait", "stopped_epoch", "best", "best_epoch"),
    "ReduceLROnPlateau": ("wait", "best", "cooldown_counter"),
    "CheckpointModel": ("best",),
    "KeepBestWeights": ("best", "best_epoch"),
}
log = logging.getLogger(__name__)


class WriteState(keras.callbacks.Callback):
    """Writes the state of a training after each epoch. It stands last, so that it sees what the others did.

    Keras's BackupAndRestore keeps the model, its optimizer and the epoch's number. It leaves out what
    EarlyStopping, ReduceLROnPlateau and ModelCheckpoint have counted, the best weights and what was
    reported, so that a training goes on with other rates and stops elsewhere than one that was never
    interrupted. It writes into its only file, which a kill leaves as half of one, and deletes it at
    the end, after which a finished training begins anew.
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
        keeper, reporter = _one(self.callbacks, KeepBestWeights), _one(self.callbacks, ReportEpochs)
        state = State(
            fingerprint=self.fingerprint,
            weights=_arrays(self.model),
            best_weights=keeper.weights,
            counters=_counters(self.callbacks),
            history=reporter.history,
            is_over=bool(self.model.stop_training) or epoch + 1 >= self.epochs,
            is_pruned=reporter.is_pruned,
        )
        write_state(self.folder, state)
        settle_best(self.folder, epoch + 1)


class TakeUp(keras.callbacks.Callback):
    """Puts a state into a model and its callbacks once they have begun, which sets them to their start."""

    def __init__(self, state: State, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        super().__init__()
        self.state = state
        self.callbacks = callbacks

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        for variable, value in zip(_variables(self.model), self.state.weights, strict=True):
            variable.assign(value)
        for callback in self.callbacks:
            for name, value in self.state.counters.get(type(callback).__name__, {}).items():
                setattr(callback, name, value)
        keeper = _one(self.callbacks, KeepBestWeights)
        keeper.weights = list(self.state.best_weights)
        _one(self.callbacks, ReportEpochs).go_on(self.state.history, self.state.is_pruned)


def find_state(folder: Path | None, fingerprint: str, model: keras.Model) -> State | None:
    """The state that an earlier attempt left in its folder, None where it does not fit or is damaged."""
    if folder is None or not state_path(folder).exists():
        return None
    path = state_path(folder)
    try:
        state = read_state(folder)
    except DAMAGED as error:
        log.warning("%s cannot be read (%s): the training begins anew.", path, error)
        return None
    if state.fingerprint != fingerprint or not _fits(state, model):
        log.warning("%s is of another configuration or network: the training begins anew.", path)
        return None
    log.info("%s: the training goes on after epoch %d.", path, len(state.history))
    return state


def _fits(state: State, model: keras.Model) -> bool:
    best = model.get_weights() if state.best_weights else []
    return _kinds(state.weights) == _kinds(_arrays(model)) and _kinds(state.best_weights) == _kinds(best)


def _kinds(arrays: Sequence[np.ndarray]) -> list[tuple[Any, ...]]:
    return [(array.dtype, array.shape) for array in arrays]


def _one(callbacks: Sequence[keras.callbacks.Callback], kind: type) -> Any:
    return next(callback for callback in callbacks if isinstance(callback, kind))


def _variables(model: keras.Model) -> list[Any]:
    """Weights, moving statistics and random states, then the optimizer's, its loss scale among them."""
    if not model.optimizer.built:  # a second `build` would make a new loss scale
        model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]


def _arrays(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(variable) for variable in _variables(model)]


def _counters(callbacks: Sequence[keras.callbacks.Callback]) -> dict[str, dict[str, Any]]:
    found = {type(callback).__name__: callback for callback in callbacks}
    return {
        kind: {name: _plain(getattr(found[kind], name)) for name in attributes}
        for kind, attributes in COUNTERS.items()
        if kind in found
    }


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int) else float(value)
