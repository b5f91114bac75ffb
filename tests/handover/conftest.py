"""Fixtures for exports."""

from collections.abc import Callable

import keras
import numpy as np
import pytest


@pytest.fixture(scope="session")
def classifier() -> Callable[..., keras.Model]:
    """Returns a function that builds a small classifier of raw pixels, always with the same weights."""

    def build(*layers: keras.Layer, shape: tuple[int, int, int] = (6, 4, 3), classes: int = 5) -> keras.Model:
        pixels = keras.Input(shape)
        stack = [
            keras.layers.Rescaling(1 / 127.5, offset=-1.0),
            *layers,
            keras.layers.Flatten(),
            keras.layers.Dense(classes, activation="softmax"),
        ]
        model = keras.Sequential([pixels, *stack])
        rng = np.random.default_rng(0)
        model.set_weights([rng.normal(0.1, 0.3, weight.shape) ** 2 for weight in model.weights])
        return model

    return build


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """Returns random images, uint8 (40, 6, 4, 3)."""
    return np.random.default_rng(1).integers(0, 256, (40, 6, 4, 3), dtype=np.uint8)
