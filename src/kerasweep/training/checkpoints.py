"""Reads and writes a job's folder `checkpoints`: the training state, whole or absent, and saved models.

The state is arrays and JSON, no pickle: reading it runs no code. Nothing here imports Keras.
"""

import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

CHECKPOINTS, STATE, UNFINISHED = "checkpoints", "state.npz", "state.tmp"
BEST = "best"
DAMAGED = (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class TrainingState:
    """A training after some epoch."""

    fingerprint: str  # of its configuration and data
    weights: Sequence[np.ndarray]  # the model's variables, then its optimizer's
    best_weights: Sequence[np.ndarray]  # the model's weights at the best epoch
    counters: Mapping[str, Mapping[str, Any]]  # attributes of callbacks, by the name of their class
    history: Sequence[dict[str, float]]  # the metrics of each epoch
    is_over: bool  # training has ended
    is_pruned: bool  # the pruner ended it


def state_path(folder: Path) -> Path:
    """Returns the path of the training state in a job's folder."""
    return folder / CHECKPOINTS / STATE


def write_state(folder: Path, state: TrainingState) -> None:
    """Writes under another name, then renames: a kill meanwhile leaves the state of the epoch before."""
    notes = {
        "fingerprint": state.fingerprint,
        "counters": state.counters,
        "history": list(state.history),
        "is_over": state.is_over,
        "is_pruned": state.is_pruned,
        "weights": len(state.weights),
        "best_weights": len(state.best_weights),
    }
    arrays = {f"array_{index}": array for index, array in enumerate([*state.weights, *state.best_weights])}
    unfinished = folder / CHECKPOINTS / UNFINISHED
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    with open(unfinished, "wb") as file:
        np.savez(file, notes=np.array(json.dumps(notes)), **arrays)  # type: ignore[arg-type]
    _put_in_place(unfinished)


def read_state(folder: Path) -> TrainingState:
    """Reads a state. Raises one of DAMAGED if there is no whole one."""
    with open(state_path(folder), "rb") as opened, np.load(opened, allow_pickle=False) as file:
        notes = json.loads(str(file["notes"]))
        count = notes["weights"]
        arrays = [file[f"array_{index}"] for index in range(count + notes["best_weights"])]
    return TrainingState(
        fingerprint=notes["fingerprint"],
        weights=arrays[:count],
        best_weights=arrays[count:],
        counters=notes["counters"],
        history=notes["history"],
        is_over=notes["is_over"],
        is_pruned=notes["is_pruned"],
    )


def take_over(earlier: Path, folder: Path) -> None:
    """Copies an earlier attempt's models, then its state: a folder with a state is complete."""
    source, target = earlier / CHECKPOINTS, folder / CHECKPOINTS
    target.mkdir(parents=True, exist_ok=True)
    if source.samefile(target):
        return
    for path in source.iterdir():
        if path.name not in (STATE, UNFINISHED):
            shutil.copy(path, target)
    shutil.copy(source / STATE, target / UNFINISHED)
    _put_in_place(target / UNFINISHED)


def model_pattern(folder: Path, save_best_only: bool, save_weights_only: bool) -> str:
    """Makes the folder and returns the file name, with a placeholder for the epoch, for ModelCheckpoint.

    A best model is named `best-EPOCH` until `rename_best_model` renames it `best`.
    """
    checkpoints = folder / CHECKPOINTS
    checkpoints.mkdir(parents=True, exist_ok=True)
    ending = ".weights.h5" if save_weights_only else ".keras"
    return str(checkpoints / ((BEST if save_best_only else "epoch") + "-{epoch:03d}" + ending))


def rename_best_model(folder: Path, epoch: int) -> None:
    """Renames the best model of `epoch`, the last one of the state, to `best`.

    A model of another epoch was left by a kill before that epoch ended, maybe half-written: it is removed.
    """
    for path in (folder / CHECKPOINTS).glob(f"{BEST}-*"):
        number, _, ending = path.name.removeprefix(f"{BEST}-").partition(".")
        if number == f"{epoch:03d}":
            os.replace(path, path.with_name(f"{BEST}.{ending}"))
        else:
            path.unlink()


def _put_in_place(unfinished: Path) -> None:
    """Renames once the bytes are on the disk: else a power failure could leave an empty file."""
    with open(unfinished, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(unfinished, unfinished.with_name(STATE))
