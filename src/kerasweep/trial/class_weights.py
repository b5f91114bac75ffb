"""Weights the classes of a training loss, as class_weight of keras.Model.fit."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from kerasweep.config.training import BALANCED
from kerasweep.errors import ConfigError, first_names


def class_weights(value: Any, labels: np.ndarray, class_names: Sequence[str]) -> np.ndarray | None:
    """Returns the factor of each class, float32 (classes,); None without weights.

    Args:
        value: training.class_weight: `balanced` gives each class the same total, as in scikit-learn: images /
            (classes × images of the class). Or factors by number or name of the class; others have 1.
        labels: Of the training images, int64 (n,).
        class_names: Of all classes.

    Raises:
        ConfigError: A class is unknown, or named twice.
    """
    if value is None:
        return None
    count = len(class_names)
    if value == BALANCED:
        images = np.bincount(labels, minlength=count)
        return np.asarray(len(labels) / (count * np.maximum(images, 1)), np.float32)
    if isinstance(value, DictConfig):
        value = OmegaConf.to_container(value)
    assert isinstance(value, Mapping)
    weights = np.ones(count, np.float32)
    keys: dict[int, Any] = {}
    for key, factor in value.items():
        number = _number(key, class_names)
        if number in keys:
            raise ConfigError(
                f"training.class_weight names the class {class_names[number]} twice, as {keys[number]} and "
                f"{key}. Name it once."
            )
        keys[number], weights[number] = key, factor
    return weights


def _number(key: Any, class_names: Sequence[str]) -> int:
    if str(key) in class_names:
        return list(class_names).index(str(key))
    text, are_numbers = str(key), all(name.isdecimal() for name in class_names)
    if text.isdecimal() and int(text) < len(class_names) and not are_numbers:
        return int(text)
    advice = "one of these" if are_numbers else f"numbers from 0 to {len(class_names) - 1}, or names"
    raise ConfigError(
        f"training.class_weight names the class {key}, but the classes are {first_names(class_names, 10)}. "
        f"Give {advice}."
    )
