"""Writes down after each epoch all that a training is, and takes it up again where it ended."""

import json
import logging
import os
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from src.training.callbacks import KeepBestWeights, ReportEpochs

CHECKPOINTS, STATE = "checkpoints", "state.npz"
COUNTERS = {
    "EarlyStopping": ("wait", "stopped_epoch", "best", "best_epoch"),
    "ReduceLROnPlateau": ("wait", "best", "cooldown_counter"),
    "ModelCheckpoint": ("best",),
}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class State:
    """A training after some epoch.

    weights: the model's variables, then its optimizer's. best_weights: of KeepBestWeights.
    counters: of each callback, by the name of its class. is_over: nothing more is to be trained,
    because the pruner ended it where is_pruned.
    """

    fingerprint: str
    weights: Sequence[np.ndarray]
    best_weights: Sequence[np.ndarray]
    counters: Mapping[str, Mapping[str, Any]]
    history: Sequence[dict[str, float]]
    is_over: bool
    is_pruned: bool


class WriteState(keras.callbacks.Callback):
    """Writes the state of a training after each epoch. It stands last, so that it sees what the others did.

    Keras's BackupAndRestore keeps the model and the epoch, but neither the counters of EarlyStopping
    and ReduceLROnPlateau nor what was reported: a training that goes on with it stops at another
    epoch than one that was never interrupted.
    """

    def __init__(
        self, folder: Path, fingerprint: str, callbacks: Sequence[keras.callbacks.Callback], epochs: int
    ) -> None:
        super().__init__()
        self.path = folder / CHECKPOINTS / STATE
        self.fingerprint = fingerprint
        self.callbacks = callbacks
        self.epochs = epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        keeper, reporter = _one(self.callbacks, KeepBestWeights), _one(self.callbacks, ReportEpochs)
        state = State(
            fingerprint=self.fingerprint,
            weights=[np.asarray(variable) for variable in _variables(self.model)],
            best_weights=keeper.weights,
            counters=_counters(self.callbacks),
            history=reporter.history,
            is_over=bool(self.model.stop_training) or epoch + 1 >= self.epochs,
            is_pruned=reporter.is_pruned,
        )
        _write(self.path, state)


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
    path = folder / CHECKPOINTS / STATE if folder is not None else None
    if path is None or not path.exists():
        return None
    try:
        state = _read(path)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        log.warning("%s cannot be read (%s): the training begins anew.", path, error)
        return None
    shapes = [tuple(variable.shape) for variable in _variables(model)]
    if state.fingerprint != fingerprint or [array.shape for array in state.weights] != shapes:
        log.warning("%s is of another network or training: the training begins anew.", path)
        return None
    return state


def take_over_files(earlier: Path, folder: Path) -> None:
    """Copy what the attempt before has kept, such as its best model."""
    if earlier != folder:
        shutil.copytree(earlier / CHECKPOINTS, folder / CHECKPOINTS, dirs_exist_ok=True)


def _one(callbacks: Sequence[keras.callbacks.Callback], kind: type) -> Any:
    return next(callback for callback in callbacks if isinstance(callback, kind))


def _variables(model: keras.Model) -> list[Any]:
    """Weights, moving statistics and random states, then the optimizer's."""
    model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]


def _counters(callbacks: Sequence[keras.callbacks.Callback]) -> dict[str, dict[str, Any]]:
    found = {type(callback).__name__: callback for callback in callbacks}
    names = {**COUNTERS, "KeepBestWeights": ("best", "best_epoch")}
    return {
        kind: {name: _plain(getattr(found[kind], name)) for name in attributes}
        for kind, attributes in names.items()
        if kind in found
    }


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int) else float(value)


def _write(path: Path, state: State) -> None:
    """To a temporary name first: a kill while writing leaves the state of the epoch before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    notes = {
        "fingerprint": state.fingerprint,
        "counters": state.counters,
        "history": list(state.history),
        "is_over": state.is_over,
        "is_pruned": state.is_pruned,
        "weights": len(state.weights),
    }
    arrays = [*state.weights, *state.best_weights]
    unfinished = path.with_suffix(".tmp")
    with open(unfinished, "wb") as file:
        named: dict[str, Any] = {f"array_{index}": array for index, array in enumerate(arrays)}
        np.savez(file, notes=np.array(json.dumps(notes)), **named)
    os.replace(unfinished, path)


def _read(path: Path) -> State:
    with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
        notes = json.loads(str(file["notes"]))
        arrays = [file[f"array_{index}"] for index in range(len(file.files) - 1)]
    count = notes["weights"]
    return State(
        fingerprint=notes["fingerprint"],
        weights=arrays[:count],
        best_weights=arrays[count:],
        counters=notes["counters"],
        history=notes["history"],
        is_over=notes["is_over"],
        is_pruned=notes["is_pruned"],
    )
