"""A checkpoint's state is complete or absent, even if the process dies while it writes or copies it."""

import math
import os
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kerasweep.training import checkpoints
from kerasweep.training.checkpoints import (
    DAMAGED,
    TrainingState,
    read_state,
    rename_best_model,
    state_path,
    take_over,
    write_state,
)

STATE = TrainingState(
    fingerprint="a1b2",
    weights=[np.arange(12, dtype=np.float32).reshape(3, 4), np.array(7, np.int64), np.zeros(0, np.uint32)],
    best_weights=[np.full((3, 4), 0.1, np.float32)],
    counters={"EarlyStopping": {"wait": 2, "best": 0.1 + 0.2}, "ModelCheckpoint": {"best": -math.inf}},
    history=[{"loss": 1 / 3}, {"loss": 1e-300}],
    is_over=False,
    is_pruned=True,
)


def is_equal(one: TrainingState, other: TrainingState) -> bool:
    plain = [replace(state, weights=[], best_weights=[]) for state in (one, other)]
    pairs = zip([*one.weights, *one.best_weights], [*other.weights, *other.best_weights], strict=True)
    return plain[0] == plain[1] and all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)


def test_state_comes_back_bit_for_bit(tmp_path: Path) -> None:
    write_state(tmp_path, STATE)
    assert is_equal(read_state(tmp_path), STATE)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["state.npz"]


def test_damaged_state_is_refused(tmp_path: Path) -> None:
    write_state(tmp_path, STATE)
    path = state_path(tmp_path)
    whole, chance = path.read_bytes(), random.Random(0)
    for _ in range(500):
        start = chance.randrange(len(whole))
        length = chance.choice([1, 40, len(whole)])
        spoilt = bytes(byte ^ 0xA5 for byte in whole[start : start + length])
        path.write_bytes(chance.choice([whole[:start], whole[:start] + spoilt + whole[start + length :]]))
        try:
            state = read_state(tmp_path)
        except DAMAGED:
            continue
        assert is_equal(state, STATE)  # the changed byte may lie in unused parts of the zip, such as dates


def test_no_pickle_is_read(tmp_path: Path) -> None:
    state_path(tmp_path).parent.mkdir()
    np.savez(state_path(tmp_path), notes=np.array([{"weights": 0}], dtype=object))
    with pytest.raises(ValueError, match="Object arrays"):
        read_state(tmp_path)


def test_death_before_the_rename_keeps_the_earlier_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_state(tmp_path, STATE)
    monkeypatch.setattr(os, "replace", dying)
    with pytest.raises(KeyboardInterrupt):
        write_state(tmp_path, replace(STATE, is_over=True))
    monkeypatch.undo()
    assert is_equal(read_state(tmp_path), STATE)
    write_state(tmp_path, replace(STATE, is_over=True))
    assert read_state(tmp_path).is_over


@pytest.mark.parametrize(("module", "name"), [("shutil", "copy"), ("os", "replace")])
def test_death_while_copying_leaves_no_state_in_the_new_folder(
    module: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier, folder = attempt(tmp_path / "earlier"), tmp_path / "later"
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(getattr(checkpoints, module), name, dying)
        take_over(earlier, folder)
    assert not state_path(folder).exists()
    take_over(earlier, folder)
    assert is_equal(read_state(folder), STATE)
    assert (folder / "checkpoints/best.keras").read_text() == "epoch 1"
    take_over(folder, folder)
    assert is_equal(read_state(folder), STATE)


@pytest.mark.parametrize(
    ("epoch", "best", "why"),
    [
        (2, "epoch 2", "killed after the state of epoch 2: its model is the best"),
        (1, "epoch 1", "killed before the state of epoch 2: its model, half of one perhaps, is none"),
        (0, "epoch 1", "begun anew"),
    ],
)
def test_best_model_is_that_of_the_epochs_in_the_state(
    tmp_path: Path, epoch: int, best: str, why: str
) -> None:
    folder = attempt(tmp_path)
    (folder / "checkpoints/best-002.keras").write_text("epoch 2")
    rename_best_model(folder, epoch)
    assert (folder / "checkpoints/best.keras").read_text() == best, why
    assert not list(folder.glob("checkpoints/best-*"))


def attempt(folder: Path) -> Path:
    """Returns a job's folder with a state and a best model."""
    write_state(folder, STATE)
    (folder / "checkpoints/best.keras").write_text("epoch 1")
    return folder


def dying(*arguments: object) -> None:
    """Stands for a kill: files written so far remain, and nothing more is written."""
    raise KeyboardInterrupt
