"""A training without validation ends with the weights of its last epoch, also after a resume."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import pytest

from kerasweep.errors import DivergedError
from kerasweep.training.fit_all import fit_all

STEPS = 2


class Training:
    """Counts epochs and rates in the only weight of a model: each epoch adds the sum of its rates."""

    def __init__(self) -> None:
        dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
        self.model = keras.Sequential([keras.Input((1,)), dense])
        self.model.compile(optimizer=keras.optimizers.SGD())
        self.reported: list[int] = []
        self.losses: Callable[[int], float] = lambda epoch: 1.0 / (epoch + 1)

    def train_epoch(self, epoch: int, rates: Sequence[float]) -> dict[str, float]:
        self.model.set_weights([self.model.get_weights()[0] + sum(rates)])
        return {"loss": self.losses(epoch), "accuracy": 0.5}

    def report(self, epoch: int, metrics: dict[str, float]) -> bool:
        self.reported.append(epoch)
        return False

    def fit(self, epochs: int, folder: Path | None = None, fingerprint: str = "a") -> int:
        rate = lambda step: float(step)  # noqa: E731
        return fit_all(self.model, self.train_epoch, STEPS, epochs, rate, self.report, folder, fingerprint)

    @property
    def weight(self) -> float:
        return float(np.asarray(self.model.get_weights()[0]).item())


def test_each_step_has_its_rate_and_the_last_weights_stay() -> None:
    training = Training()
    assert training.fit(3) == 0
    assert training.reported == [1, 2, 3]
    assert training.weight == 0 + 1 + 2 + 3 + 4 + 5


def test_a_resumed_training_has_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    first, second = Training(), Training()

    def interrupt(epoch: int) -> float:
        if epoch == 2:
            raise KeyboardInterrupt
        return 1.0

    first.losses = interrupt
    with pytest.raises(KeyboardInterrupt):
        first.fit(4, tmp_path)
    assert second.fit(4, tmp_path) == 2
    assert second.reported == [1, 2, 3, 4]
    assert second.weight == sum(range(8))
    third = Training()
    assert third.fit(4, tmp_path) == 4  # it is over
    assert third.weight == sum(range(8))


def test_a_state_of_another_training_is_not_used(tmp_path: Path) -> None:
    Training().fit(2, tmp_path)
    other = Training()
    assert other.fit(3, tmp_path, fingerprint="b") == 0
    assert other.weight == sum(range(6))


def test_a_loss_that_is_not_finite_ends_the_training() -> None:
    training = Training()
    training.losses = lambda epoch: np.nan if epoch == 1 else 1.0
    with pytest.raises(DivergedError, match="^loss became nan in epoch 2. "):
        training.fit(5)
    assert training.weight == 0 + 1 + 2 + 3
