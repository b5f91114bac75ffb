"""Callbacks of the user's run in a training, and continue with it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from kerasweep.errors import ConfigError
from kerasweep.training.own_callbacks import make_callbacks
from kerasweep.trial.network import build_network
from kerasweep.trial.run import read_data
from tests.training.own_parts import Halving

PLACE = "tests.training.own_parts"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "nothing",
            "must return a keras.callbacks.Callback, but it returned NoneType. Name a class of "
            "keras.callbacks.Callback, or a function without arguments that returns one.",
        ),
        (
            "OfBatches",
            "must return a keras.callbacks.Callback of epochs, but it has on_train_batch_end: one call of "
            "the graph trains many batches, so it would never be called. Use on_epoch_begin and "
            "on_epoch_end.",
        ),
        (
            "Scaled",
            "is called without arguments: missing a required argument: 'factor'. Give it a default, or name "
            "a function without arguments that passes it.",
        ),
    ],
)
def test_what_is_no_callback_of_epochs_is_refused(name: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        make_callbacks([f"{PLACE}:{name}"])
    assert str(error.value) == f"training.callbacks={PLACE}:{name} {said}"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("LoggingText", "set logs['stage'] = 'warm' in epoch 2, but logs hold numbers by name."),
        ("LoggingNothing", "set logs['stage'] = None in epoch 2, but logs hold numbers by name."),
        ("LoggingByNumber", "set logs[3] = 1.0 in epoch 2, but logs hold numbers by name."),
        ("Forgetting", "removed loss from the logs of epoch 2. Let it only add numbers."),
    ],
)
def test_logs_that_are_no_numbers_are_refused(
    name: str, said: str, configured: Callable[..., DictConfig], tmp_path: Path
) -> None:
    cfg = configured(f"training.callbacks=[{PLACE}:{name}]", "training.epochs=3")
    network = build_network(cfg, read_data(cfg))
    with pytest.raises(ConfigError) as error:
        network.fit(lambda epoch, metrics: False, tmp_path)
    assert str(error.value).startswith(f"A callback of training.callbacks {said}")


def test_a_callback_sets_the_rate_and_adds_to_the_metrics(
    configured: Callable[..., DictConfig], tmp_path: Path
) -> None:
    """The training is interrupted after three of its five epochs, and its callback counts on."""
    cfg = configured(
        f"training.callbacks=[{PLACE}:Halving]", "training.epochs=5", "training.checkpoint.enabled=true"
    )
    prepared = read_data(cfg)

    def interrupt(epoch: int, metrics: dict[str, float]) -> bool:
        if epoch == 4:
            raise KeyboardInterrupt
        return False

    first, second = tmp_path / "first", tmp_path / "second"
    with pytest.raises(KeyboardInterrupt):
        build_network(cfg, prepared).fit(interrupt, first)
    result = build_network(cfg, prepared).fit(lambda epoch, metrics: False, second, first)
    assert result.restored == 3
    rate = cfg.optimizer.learning_rate
    assert [epoch["learning_rate"] for epoch in result.history] == pytest.approx(
        [rate, rate, rate / 2, rate / 4, rate / 8]
    )
    assert [epoch["counted"] for epoch in result.history] == [1, 2, 3, 4, 5]


def test_each_epoch_has_the_rate_of_its_steps(configured: Callable[..., DictConfig], tmp_path: Path) -> None:
    cfg = configured(f"training.callbacks=[{PLACE}:HalvingAfterwards]", "training.epochs=3")
    history = build_network(cfg, read_data(cfg)).fit(lambda epoch, metrics: False, tmp_path).history
    rate = cfg.optimizer.learning_rate
    assert [epoch["learning_rate"] for epoch in history] == pytest.approx([rate, rate / 2, rate / 4])


def test_each_training_has_a_callback_of_its_own() -> None:
    first, second = (make_callbacks([f"{PLACE}:Halving"])[0] for _ in range(2))
    assert isinstance(first, Halving) and first is not second
