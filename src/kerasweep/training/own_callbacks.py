"""Makes the callbacks that training.callbacks names, and checks the numbers that they log."""

from collections.abc import Collection, Iterable
from typing import Any

import keras

from kerasweep.config.target import make_without_arguments
from kerasweep.errors import ConfigError

OF_BATCHES = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")


class CheckLogs(keras.callbacks.Callback):
    """Raises ConfigError if the user's callbacks, which come before it, leave other logs than numbers."""

    def __init__(self) -> None:
        super().__init__()
        # The names of the epoch's metrics.
        self.measured: Collection[str] = ()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        lost = next((name for name in self.measured if name not in logs), None)
        if lost is not None:
            raise ConfigError(
                f"A callback of training.callbacks removed {lost} from the logs of epoch {epoch + 1}. "
                "Let it only add numbers."
            )
        for name, value in logs.items():
            if not isinstance(name, str) or not _is_number(value):
                raise ConfigError(
                    f"A callback of training.callbacks set logs[{name!r}] = {value!r} in epoch {epoch + 1}, "
                    "but logs hold numbers by name. Add a number, or keep the value in an attribute."
                )


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def make_callbacks(targets: Iterable[str]) -> list[keras.callbacks.Callback]:
    """Calls each function, or class, without arguments.

    Raises:
        ConfigError: One makes no callback, or a callback of batches: one graph call trains many of them.
    """
    return [_make(target) for target in targets]


def _make(target: str) -> keras.callbacks.Callback:
    callback = make_without_arguments("training.callbacks", target)
    expected = f"training.callbacks={target} must return a keras.callbacks.Callback"
    if not isinstance(callback, keras.callbacks.Callback):
        raise ConfigError(
            f"{expected}, but it returned {type(callback).__name__}. Name a class of "
            "keras.callbacks.Callback, or a function without arguments that returns one."
        )
    base = keras.callbacks.Callback
    for name in OF_BATCHES:
        if getattr(type(callback), name) is not getattr(base, name):
            raise ConfigError(
                f"{expected} of epochs, but it has {name}: one call of the graph trains many batches, so it "
                "would never be called. Use on_epoch_begin and on_epoch_end."
            )
    return callback
