"""An interrupted training continues and ends like one without an interruption."""

import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

from kerasweep.config.search import ObjectiveConf
from kerasweep.config.training import CheckpointConf, EarlyStoppingConf, PlateauConf, TrainingConf
from kerasweep.training.checkpoints import TrainingState, read_state, state_path, write_state
from kerasweep.training.fit import FitResult, fit
from kerasweep.training.resume import find_state
from kerasweep.trial.network import build_network
from kerasweep.trial.run import read_data
from tests.processes import run_script

COMMON = (
    *("debug=fast", "model.filters=[4]", "model.normalization.kind=none", "optimizer=sgd"),
    *("training.deterministic=true", "training.checkpoint.enabled=true"),
)
PLATEAU = (
    *("optimizer.learning_rate=0.3", "schedule=plateau", "schedule.patience=1"),
    *("training=early_stopping", "training.early_stopping.patience=3", "training.epochs=9"),
    *("training.batch_size=16", "model.normalization.kind=batch"),
)
HALF_PRECISION = (
    *("optimizer=adamw", "training.precision=mixed_float16", "schedule=warmup_cosine"),
    *("augment=flip_crop", "augment.crop_padding=1", "model.dropout=0.3", "model.normalization.kind=batch"),
    *("training.epochs=5", "training.batch_size=16"),
)
FILE_AN_EPOCH = (
    *("optimizer=rmsprop", "training.shuffle=false", "training.epochs=4"),
    "training.checkpoint.save_best_only=false",
)
# The epochs in which the first two attempts end. With a plateau, the callbacks have counted epochs by then.
TRAININGS = {
    "momentum, plateau, early stopping": (PLATEAU, 5, 6),
    "adamw, loss scale, warm-up, augmentation, dropout, batch norm": (HALF_PRECISION, 2, 4),
    "rmsprop, no shuffling, a file an epoch": (FILE_AN_EPOCH, 2, 3),
}
KILLED = """
import os, signal, sys
from pathlib import Path
from omegaconf import OmegaConf
from kerasweep.trial.network import build_network
from kerasweep.trial.run import read_data, warm_up

cfg = OmegaConf.load(sys.argv[1])
warm_up(cfg)
network = build_network(cfg, read_data(cfg))
run_epoch = network.run_epoch

def kill(epoch, rates):
    if epoch == 2:
        network.train_steps(epoch, rates[:2])
        os.kill(os.getpid(), signal.SIGKILL)
    return run_epoch(epoch, rates)

network.run_epoch = kill
network.fit(lambda epoch, metrics: False, Path(sys.argv[2]))
"""


class Interrupted(Exception):
    """Stands for an event that ends a process during its training."""


@pytest.fixture
def train(configured: Callable[..., DictConfig], tmp_path: Path) -> Callable[..., Any]:
    """Returns a function that trains into a folder, perhaps from another folder's state.

    The function's `interrupt` names an epoch after whose report the training is interrupted.
    """

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

        network = build_network(cfg, read_data(cfg))
        try:
            earlier = tmp_path / resume if resume else None
            result = network.fit(report, tmp_path / name, earlier)
        except Interrupted:
            return None
        return result, heard, network.model.get_weights()

    return fit


def numbers(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [
        {name: value for name, value in epoch.items() if not name.endswith("_seconds")} for epoch in history
    ]


def assert_same(resumed: Any, whole: Any) -> None:
    """Asserts that histories, best epochs, reported epochs and weights are equal bit for bit."""
    assert numbers(resumed[0].history) == numbers(whole[0].history)
    assert (resumed[0].best_epoch, resumed[0].pruned) == (whole[0].best_epoch, whole[0].pruned)
    assert resumed[1] == list(range(1, len(whole[0].history) + 1))
    assert all(np.array_equal(*pair) for pair in zip(resumed[2], whole[2], strict=True))


def model_weights(folder: Path) -> list[np.ndarray]:
    """Returns the weights of the saved model; of the last one if each epoch saves a model."""
    path = max((folder / "checkpoints").glob("*.keras"))
    weights: list[np.ndarray] = keras.models.load_model(path, compile=False).get_weights()
    return weights


def files(folder: Path) -> set[str]:
    return {path.name for path in (folder / "checkpoints").iterdir()}


@pytest.mark.parametrize(("overrides", "first", "second"), TRAININGS.values(), ids=TRAININGS.keys())
def test_interrupted_training_equals_an_uninterrupted_one(
    train: Callable[..., Any], tmp_path: Path, overrides: tuple[str, ...], first: int, second: int
) -> None:
    whole = train("whole", *overrides)
    assert train("first", *overrides, interrupt=first) is None
    assert train("second", *overrides, resume="first", interrupt=second) is None
    resumed = train("third", *overrides, resume="second")
    assert_same(resumed, whole)
    assert (whole[0].restored, resumed[0].restored) == (0, second - 1)
    for name in ("seconds", "cpu_seconds"):
        spent = sum(epoch[f"epoch_{name}"] for epoch in resumed[0].history)
        assert getattr(resumed[0], name) == pytest.approx(spent)
    assert files(tmp_path / "third") == files(tmp_path / "whole")
    states = [read_state(tmp_path / name) for name in ("third", "whole")]
    assert all(np.array_equal(*pair) for pair in zip(*(state.weights for state in states), strict=True))
    assert states[0].counters == states[1].counters
    models = [model_weights(tmp_path / name) for name in ("third", "whole")]
    assert all(np.array_equal(*pair) for pair in zip(*models, strict=True))


def test_training_killed_within_an_epoch_continues(
    train: Callable[..., Any], configured: Callable[..., DictConfig], tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    OmegaConf.save(configured(*COMMON, *HALF_PRECISION), path)
    done = run_script(tmp_path, "-c", KILLED, str(path), str(tmp_path / "killed"))
    assert done.code == -signal.SIGKILL, done.stderr
    assert len(read_state(tmp_path / "killed").history) == 2
    resumed = train("resumed", *HALF_PRECISION, resume="killed")
    assert resumed[0].restored == 2
    assert_same(resumed, train("whole", *HALF_PRECISION))


def test_finished_training_trains_nothing_more(train: Callable[..., Any], tmp_path: Path) -> None:
    whole = train("whole", *PLATEAU)
    assert len(whole[0].history) < 9  # early stopping ended it
    again = train("again", *PLATEAU, resume="whole")
    assert_same(again, whole)
    assert again[0].history == whole[0].history  # seconds are equal too
    assert files(tmp_path / "again") == {"state.npz", "best.keras"}
    assert_same(train("whole", *PLATEAU, resume="whole"), whole)


def test_pruned_training_stays_pruned(train: Callable[..., Any]) -> None:
    whole = train("whole", "training.epochs=4", prune=2)
    again = train("again", "training.epochs=4", resume="whole")
    assert whole[0].pruned
    assert again[0].history == whole[0].history
    assert_same(again, whole)


@pytest.mark.parametrize(
    ("changed", "size", "said"),
    [
        ((), 900, "cannot be read"),
        (("optimizer.learning_rate=0.5",), None, "of another configuration or network"),
    ],
)
def test_unusable_state_gives_a_warning_and_training_restarts(
    train: Callable[..., Any],
    tmp_path: Path,
    changed: tuple[str, ...],
    size: int | None,
    said: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    train("first", "training.epochs=1", *changed)
    path = state_path(tmp_path / "first")
    path.write_bytes(path.read_bytes()[:size])
    result, heard, _ = train("second", "training.epochs=1", resume="first")
    assert (result.restored, heard) == (0, [1])
    (warning,) = [record for record in caplog.records if record.name == "kerasweep.training.resume"]
    assert said in warning.getMessage() and warning.levelname == "WARNING"


@pytest.mark.parametrize("weights", [np.zeros((2, 1)), np.zeros((1, 1)), np.zeros((1, 1), "float32")])
def test_state_of_other_weights_does_not_fit(tmp_path: Path, weights: np.ndarray) -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(optimizer=keras.optimizers.SGD(), loss="mse")
    rest = [np.zeros((), model.optimizer.iterations.dtype), np.zeros((), "float32")]
    write_state(tmp_path, TrainingState("a1", [weights, *rest], [], {}, [], False, False))
    state = find_state(tmp_path, "a1", model)
    assert (state is not None) == (weights.shape == (1, 1) and weights.dtype == "float32")
    assert find_state(tmp_path, "b2", model) is find_state(tmp_path / "absent", "a1", model) is None


def test_without_checkpoints_no_state_is_written(train: Callable[..., Any], tmp_path: Path) -> None:
    train("plain", "training.checkpoint.enabled=false", "training.epochs=1")
    assert not (tmp_path / "plain/checkpoints").exists()


def scripted(
    folder: Path, losses: list[float], resume: Path | None = None, interrupt: int = 0, min_lr: float = 0.0
) -> FitResult:
    """Fits with given validation losses; the patience is 3 epochs for the rate and 5 for early stopping."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(optimizer=keras.optimizers.SGD(0.5), loss="mse")
    stopping = EarlyStoppingConf(enabled=True, monitor="val_loss", patience=5, min_delta=0.0)

    def run_epoch(epoch: int, rates: Sequence[float]) -> dict[str, float]:
        if epoch + 1 == interrupt:
            raise Interrupted
        model.set_weights([np.array([[epoch + 1.0]])])
        return {"loss": 1.0, "accuracy": 0.5, "val_loss": losses[epoch], "val_accuracy": 0.5}

    result = fit(
        model,
        run_epoch,
        steps=1,
        training=TrainingConf(
            epochs=len(losses), early_stopping=stopping, checkpoint=CheckpointConf(enabled=True)
        ),
        schedule=PlateauConf("plateau", factor=0.5, patience=3, monitor="val_loss", min_lr=min_lr),
        learning_rate=0.5,
        objectives=[ObjectiveConf("val_loss", "minimize")],
        report=lambda epoch, metrics: False,
        folder=folder,
        resume_from=resume,
        fingerprint="a1",
    )
    assert model.get_weights()[0].item() == result.best_epoch
    return result


@pytest.mark.parametrize("interrupt", [3, 4, 5, 6, 8, 9])
def test_plateau_and_early_stopping_go_on_counting(tmp_path: Path, interrupt: int) -> None:
    """Without improvement the rate falls after 3 epochs and training ends after 5, interrupted or not."""
    losses = [4.0, 3.0, 3.0, 3.5, 3.0, 2.0, 2.0, 2.5, 2.0, 2.0, 2.0, 1.0]
    with pytest.raises(Interrupted):
        scripted(tmp_path / "first", losses, interrupt=interrupt)
    result = scripted(tmp_path / "second", losses, resume=tmp_path / "first")
    assert result.restored == interrupt - 1
    rates = [epoch["learning_rate"] for epoch in result.history]
    assert rates == [0.5] * 5 + [0.25] * 4 + [0.125] * 2
    assert (len(result.history), result.best_epoch) == (11, 6)


def test_plateau_stops_at_the_lowest_rate(tmp_path: Path) -> None:
    result = scripted(tmp_path, [2.0] * 4 + [1.0], min_lr=0.4)
    assert [epoch["learning_rate"] for epoch in result.history] == pytest.approx([0.5] * 4 + [0.4])
