"""A job's folder `checkpoints`: the state of its training, whole or absent, and the models that it keeps.

Nothing that is read runs: the state is arrays and JSON, no pickle.
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
class State:
    """A training after some epoch.

    fingerprint: of its configuration and data. weights: the model's variables, then its
    optimizer's. best_weights: of the best epoch. counters: what each callback remembers, by the
    name of its class. is_over: nothing more is to be trained, because the pruner ended it where
    is_pruned.
    """

    fingerprint: str
    weights: Sequence[np.ndarray]
    best_weights: Sequence[np.ndarray]
    counters: Mapping[str, Mapping[str, Any]]
    history: Sequence[dict[str, float]]
    is_over: bool
    is_pruned: bool


def state_path(folder: Path) -> Path:
    """The state of the training that a job's folder belongs to."""
    return folder / CHECKPOINTS / STATE


def write_state(folder: Path, state: State) -> None:
    """Write it under another name, then rename: a kill meanwhile leaves the state of the epoch before."""
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


def read_state(folder: Path) -> State:
    """Raises one of DAMAGED where there is no whole state."""
    with open(state_path(folder), "rb") as opened, np.load(opened, allow_pickle=False) as file:
        notes = json.loads(str(file["notes"]))
        count = notes["weights"]
        arrays = [file[f"array_{index}"] for index in range(count + notes["best_weights"])]
    return State(
        fingerprint=notes["fingerprint"],
        weights=arrays[:count],
        best_weights=arrays[count:],
        counters=notes["counters"],
        history=notes["history"],
        is_over=notes["is_over"],
        is_pruned=notes["is_pruned"],
    )


def take_over(earlier: Path, folder: Path) -> None:
    """Copy an earlier attempt's state and models. The state comes last: what has one is complete."""
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
    """The file name that ModelCheckpoint fills in: one an epoch, with the ending that Keras asks for.

    A best model is `best-EPOCH` until `settle_best` calls it `best`.
    """
    checkpoints = folder / CHECKPOINTS
    checkpoints.mkdir(parents=True, exist_ok=True)
    ending = ".weights.h5" if save_weights_only else ".keras"
    return str(checkpoints / ((BEST if save_best_only else "epoch") + "-{epoch:03d}" + ending))


def settle_best(folder: Path, epoch: int) -> None:
    """Let a best model of this epoch, the state's last one, replace the one before.

    One of another epoch was left by a kill before that epoch had ended, perhaps half a file: it goes.
    """
    for path in (folder / CHECKPOINTS).glob(f"{BEST}-*"):
        number, _, ending = path.name.removeprefix(f"{BEST}-").partition(".")
        if number == f"{epoch:03d}":
            os.replace(path, path.with_name(f"{BEST}.{ending}"))
        else:
            path.unlink()


def _put_in_place(unfinished: Path) -> None:
    """Rename, once the bytes are on the disk: else a power failure could leave an empty file."""
    with open(unfinished, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(unfinished, unfinished.with_name(STATE))
