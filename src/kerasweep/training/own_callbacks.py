"""Makes the callbacks that training.callbacks names."""

from collections.abc import Iterable

import keras

from kerasweep.config.target import import_target
from kerasweep.errors import ConfigError

OF_BATCHES = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")


def make_callbacks(targets: Iterable[str]) -> list[keras.callbacks.Callback]:
    """Calls each function, or class, without arguments.

    Raises:
        ConfigError: One makes no callback, or a callback of batches: one graph call trains many of them.
    """
    return [_make(target) for target in targets]


def _make(target: str) -> keras.callbacks.Callback:
    callback = import_target(target)()
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
