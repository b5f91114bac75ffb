"""A training that was interrupted goes on, and ends as one that never was."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig

from src.trial.network import Network
from src.trial.run import read_data

COMMON = (
    "debug=fast",
    "model.filters=[4]",
    "training.deterministic=true",
    "training.checkpoint.enabled=true",
)
TRAININGS = {
    "momentum, plateau, early stopping": (
        *("optimizer=sgd", "optimizer.learning_rate=0.3", "schedule=plateau", "schedule.patience=1"),
        *("training=early_stopping", "training.early_stopping.patience=3", "training.epochs=9"),
        "training.batch_size=16",
    ),
    "warm-up, augmentation, dropout, batch norm": (
        *("schedule=warmup_cosine", "augment=flip_crop", "augment.crop_padding=1", "model.dropout=0.3"),
        *("training.epochs=5", "training.batch_size=64"),
    ),
    "no shuffling, rmsprop": ("optimizer=rmsprop", "training.shuffle=false", "training.epochs=4"),
}


class Interrupted(Exception):
    """Stands for whatever ends a process in the middle of its training."""


@pytest.fixture
def train(configured: Callable[..., DictConfig], tmp_path: Path) -> Callable[..., Any]:
    """Trains into a folder, from another one's state; interrupted once an epoch has been reported."""

    def fit(
        name: str,
        *overrides: str,
        resume: str | None = None,
        interrupt: int | None = None,
        prune: int | None = None,
    ) -> Any:
        cfg = configured(*COMMON, *overrides)
        heard: list[int] = []

        def report(epoch: int, metrics: dict[str, float]) -> bool:
            heard.append(epoch)
            if epoch == interrupt:
                raise Interrupted
            return epoch == prune

        network = Network(cfg, read_data(cfg))
        try:
            earlier = tmp_path / resume if resume else None
            result = network.fit(report, tmp_path / name, earlier)
        except Interrupted:
            return None
        return result, heard, network.model.get_weights()

    return fit


def numbers(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{name: value for name, value in epoch.items() if name != "epoch_seconds"} for epoch in history]


@pytest.mark.parametrize("overrides", TRAININGS.values(), ids=TRAININGS.keys())
def test_interrupted_training_equals_one_that_was_not(train: Callable[..., Any], overrides: Any) -> None:
    whole, _, weights = train("whole", *overrides)
    assert train("first", *overrides, interrupt=2) is None
    assert train("second", *overrides, resume="first", interrupt=3) is None
    result, heard, resumed = train("third", *overrides, resume="second")
    assert numbers(result.history) == numbers(whole.history)
    assert heard == list(range(1, len(whole.history) + 1))
    assert (result.best_epoch, result.pruned) == (whole.best_epoch, False)
    assert all(np.array_equal(*pair) for pair in zip(weights, resumed, strict=True))
    assert result.seconds >= sum(epoch["epoch_seconds"] for epoch in result.history[:2])


def test_finished_training_trains_nothing_more(train: Callable[..., Any], tmp_path: Path) -> None:
    overrides = TRAININGS["momentum, plateau, early stopping"]
    whole, _, weights = train("whole", *overrides)
    again, heard, resumed = train("again", *overrides, resume="whole")
    assert again.history == whole.history and heard == list(range(1, len(whole.history) + 1))
    assert again.best_epoch == whole.best_epoch
    assert all(np.array_equal(*pair) for pair in zip(weights, resumed, strict=True))
    assert (tmp_path / "again/checkpoints/best.keras").exists()


def test_training_that_the_pruner_ended_stays_pruned(train: Callable[..., Any]) -> None:
    whole, _, weights = train("whole", "training.epochs=4", prune=2)
    again, heard, resumed = train("again", "training.epochs=4", resume="whole")
    assert (whole.pruned, again.pruned) == (True, True)
    assert again.history == whole.history and heard == [1, 2]
    assert all(np.array_equal(*pair) for pair in zip(weights, resumed, strict=True))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:900]), "cannot be read"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (
            lambda path: shutil.copy(path.parents[2] / "other/checkpoints/state.npz", path),
            "of another network",
        ),
    ],
)
def test_state_that_cannot_be_used_is_told_and_the_training_begins_anew(
    train: Callable[..., Any],
    tmp_path: Path,
    spoil: Callable[[Path], Any],
    said: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    whole, _, _ = train("whole", "training.epochs=2")
    train("other", "training.epochs=2", "model.kernel_size=1", interrupt=2)
    assert train("first", "training.epochs=2", interrupt=2) is None
    spoil(tmp_path / "first/checkpoints/state.npz")
    result, heard, _ = train("second", "training.epochs=2", resume="first")
    assert numbers(result.history) == numbers(whole.history) and heard == [1, 2]
    assert said in caplog.text


def test_half_written_state_leaves_the_one_before(train: Callable[..., Any], tmp_path: Path) -> None:
    whole, _, _ = train("whole", "training.epochs=3")
    assert train("first", "training.epochs=3", interrupt=3) is None
    (tmp_path / "first/checkpoints/state.tmp").write_bytes(b"half of")
    result, _, _ = train("second", "training.epochs=3", resume="first")
    assert numbers(result.history) == numbers(whole.history)


def test_without_checkpoints_no_state_is_written(train: Callable[..., Any], tmp_path: Path) -> None:
    train("plain", "training.checkpoint.enabled=false", "training.epochs=1")
    assert not (tmp_path / "plain/checkpoints").exists()
