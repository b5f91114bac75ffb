"""Training with callbacks reports epochs, keeps the best weights, stops, and writes checkpoints."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest

from kerasweep.config.data import AugmentConf
from kerasweep.config.metrics import EPOCH_METRICS
from kerasweep.config.search import ObjectiveConf
from kerasweep.config.training import (
    AdamConf,
    CheckpointConf,
    EarlyStoppingConf,
    PlateauConf,
    ScheduleConf,
    SGDConf,
    StepConf,
    TrainingConf,
)
from kerasweep.data.feeds import feed_of
from kerasweep.data.prepare import Part
from kerasweep.data.scaling import Scaling
from kerasweep.errors import TrainingError
from kerasweep.training.fit import FitResult, fit
from kerasweep.training.program import Program
from kerasweep.training.runtime import set_precision

ACCURACY = ObjectiveConf("val_accuracy", "maximize")
CLASSES = 3
SCALING = Scaling((1 / 255,), (0.0,))


def part(count: int = 48) -> Part:
    """Returns images whose brightness depends on their class; 16 a batch make three steps an epoch."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, CLASSES, count)
    brightness = generator.normal(60 * (labels[:, None, None, None] + 1), 20, (count, 4, 4, 1))
    return Part(brightness.clip(0, 255).astype(np.uint8), labels)


PART = part()
# The learning rates of `train` replace these.
OPTIMIZERS = {"adam": AdamConf("adam"), "sgd": SGDConf("sgd", momentum=0.9)}


@cache
def new_program(optimizer: str, labels: str, precision: str) -> tuple[Program, list[np.ndarray]]:
    """Returns a program and its first weights. precision: the policy that is set."""
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Conv2D(4, 3, activation="relu", kernel_initializer=keras.initializers.HeNormal(0)),
            keras.layers.Flatten(),
            keras.layers.Dense(
                CLASSES,
                activation="softmax",
                kernel_initializer=keras.initializers.GlorotUniform(1),
                dtype="float32",
            ),
        ]
    )
    made = Program(
        model, None, OPTIMIZERS[optimizer], labels, TrainingConf(), AugmentConf(), jit_compile=False
    )
    return made, model.get_weights()


def program(optimizer: str = "adam", labels: str = "sparse") -> Program:
    """Returns a program at its start; tests share those of the same graph."""
    made, weights = new_program(optimizer, labels, keras.config.dtype_policy().name)
    made.begin(OPTIMIZERS[optimizer], AugmentConf())
    made.model.set_weights(weights)
    return made


def evaluated(trained: Program) -> dict[str, float]:
    return trained.evaluate(feed_of(PART), SCALING, 16)


def train(
    folder: Path,
    training: TrainingConf,
    *,
    trained: Program | None = None,
    schedule: ScheduleConf | None = None,
    objectives: Sequence[ObjectiveConf] = (ACCURACY,),
    report: Callable[[int, dict[str, float]], bool] = lambda epoch, metrics: False,
    learning_rate: float = 0.01,
) -> FitResult:
    trained = trained or program()

    def run_epoch(epoch: int, rates: Sequence[float]) -> dict[str, float]:
        found = trained.train(feed_of(PART), SCALING, np.arange(48), 16, 0, epoch + 1, rates)
        return found | {f"val_{name}": value for name, value in evaluated(trained).items()}

    return fit(
        trained.model,
        run_epoch,
        3,
        training,
        schedule or ScheduleConf("constant"),
        learning_rate,
        objectives,
        report,
        folder,
    )


def test_the_model_ends_with_the_best_epochs_weights(tmp_path: Path) -> None:
    trained = program("sgd")
    result = train(
        tmp_path,
        TrainingConf(epochs=5),
        trained=trained,
        objectives=[ObjectiveConf("val_loss", "minimize")],
        learning_rate=0.3,
    )
    losses = [epoch["val_loss"] for epoch in result.history]
    assert len(losses) == 5
    assert result.best_epoch == losses.index(min(losses)) + 1
    assert evaluated(trained)["loss"] == min(losses)
    assert result.seconds > 0 and not result.pruned


@pytest.mark.parametrize(
    ("objectives", "followed", "best_of"),
    [
        ([("parameters", "minimize"), ("val_loss", "minimize"), ("accuracy", "maximize")], "val_loss", min),
        ([("seconds", "minimize"), ("loss", "maximize")], "loss", max),
        ([("seconds", "minimize"), ("parameters", "minimize")], "val_accuracy", max),
    ],
)
def test_the_best_epoch_is_that_of_the_first_objective_with_a_value_each_epoch(
    objectives: list[tuple[str, str]], followed: str, best_of: Callable[..., float], tmp_path: Path
) -> None:
    result = train(
        tmp_path,
        TrainingConf(epochs=5),
        trained=program("sgd"),
        objectives=[ObjectiveConf(*objective) for objective in objectives],
        learning_rate=0.3,
    )
    values = [epoch[followed] for epoch in result.history]
    assert result.best_epoch == values.index(best_of(values)) + 1


def test_pruning_ends_after_the_epoch_that_was_reported(tmp_path: Path) -> None:
    result = train(tmp_path, TrainingConf(epochs=5), report=lambda epoch, metrics: epoch == 2)
    assert result.pruned and len(result.history) == 2


def test_sparse_and_one_hot_labels_are_the_same_model(tmp_path: Path) -> None:
    histories = []
    for labels in ("sparse", "one_hot"):
        result = train(tmp_path, TrainingConf(epochs=2), trained=program(labels=labels))
        histories.append(
            [[epoch[name] for name in ("loss", "accuracy", "val_loss")] for epoch in result.history]
        )
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-5)


def test_a_step_schedule_reaches_the_optimizer(tmp_path: Path) -> None:
    schedule = StepConf("step", factor=0.1, boundaries=[0.5])
    result = train(tmp_path, TrainingConf(epochs=4), schedule=schedule, learning_rate=0.04)
    rates = [epoch["learning_rate"] for epoch in result.history]
    assert rates == pytest.approx([0.04, 0.04, 0.004, 0.004])


def test_plateau_lowers_the_rate_when_nothing_improves(tmp_path: Path) -> None:
    schedule = PlateauConf("plateau", factor=0.5, patience=1, monitor="val_loss")
    trained = program("sgd")
    trained.optimizer.learning_rate = 1e-12
    result = train(tmp_path, TrainingConf(epochs=4), trained=trained, schedule=schedule)
    rates = [epoch["learning_rate"] for epoch in result.history]
    assert rates[0] == pytest.approx(1e-12)
    assert rates[-1] < 0.6e-12


def test_monitor_improves_in_the_direction_of_its_metric(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EPOCH_METRICS, "val_recall", "maximize")
    stopping = EarlyStoppingConf(enabled=True, monitor="val_recall", patience=1)

    def run_epoch(epoch: int, rates: Sequence[float]) -> dict[str, float]:
        return {"val_accuracy": 0.5, "val_recall": 0.1 * epoch}

    result = fit(
        program().model,
        run_epoch,
        1,
        TrainingConf(epochs=4, early_stopping=stopping),
        ScheduleConf("constant"),
        0.01,
        [ACCURACY],
        lambda epoch, metrics: False,
        tmp_path,
    )
    assert len(result.history) == 4


def test_early_stopping_ends_before_the_last_epoch(tmp_path: Path) -> None:
    stopping = EarlyStoppingConf(enabled=True, monitor="val_loss", patience=1, min_delta=10.0)
    result = train(tmp_path, TrainingConf(epochs=9, early_stopping=stopping))
    assert len(result.history) == 2


@pytest.mark.parametrize(
    ("best_only", "weights_only", "files"),
    [
        (True, False, ["best.keras"]),
        (True, True, ["best.weights.h5"]),
        (False, False, ["epoch-001.keras", "epoch-002.keras"]),
        (False, True, ["epoch-001.weights.h5", "epoch-002.weights.h5"]),
    ],
)
def test_checkpoints(tmp_path: Path, best_only: bool, weights_only: bool, files: list[str]) -> None:
    checkpoint = CheckpointConf(enabled=True, save_best_only=best_only, save_weights_only=weights_only)
    train(tmp_path, TrainingConf(epochs=2, checkpoint=checkpoint))
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [*files, "state.npz"]


def test_a_loss_that_explodes_raises_after_the_epochs_before_it(tmp_path: Path) -> None:
    trained = program("sgd")
    with pytest.raises(TrainingError, match="in epoch 1"):
        train(tmp_path, TrainingConf(epochs=3), trained=trained, learning_rate=1e30)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_and_predicts_in_float32(precision: str, tmp_path: Path) -> None:
    set_precision(precision)
    try:
        trained = program()
        result = train(tmp_path, TrainingConf(epochs=2), trained=trained)
    finally:
        set_precision("float32")
    probabilities = trained.probabilities(feed_of(PART), SCALING, 16)
    assert probabilities.dtype == np.float32 and probabilities.shape == (48, CLASSES)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-3)
    assert result.history[1]["loss"] < result.history[0]["loss"]
