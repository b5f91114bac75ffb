"""The plain Keras model that is saved: same weights, stock layers, raw pixels in."""

from collections.abc import Callable, Sequence
from typing import Protocol

import keras
import numpy as np

TOLERANCE = 1e-4
PROBES = 8


class PixelScaling(Protocol):
    """scaled = pixel * scale + offset, one number or one a channel."""

    @property
    def scale(self) -> Sequence[float]: ...

    @property
    def offset(self) -> Sequence[float]: ...


def plain_twin(
    trained: keras.Model, rebuild: Callable[[], keras.Model], scaling: PixelScaling
) -> keras.Model:
    """A float32 model of stock layers that takes raw pixels 0..255 (n, height, width, channels).

    rebuild: builds the network with stock layers. `keras.models.load_model` reads the saved twin
    without this package. Asserts that it predicts what `trained` does, to within 1e-4 (under
    mixed precision 0.02, the trained network's own rounding).
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        core = rebuild()
    finally:
        keras.config.set_dtype_policy(policy)
    _copy_weights(trained, core)
    inputs = keras.Input(core.input_shape[1:], name="pixels")
    scale, offset = _broadcast(scaling.scale), _broadcast(scaling.offset)
    scaled = keras.layers.Rescaling(scale, offset, name="scaling", dtype="float32")(inputs)
    twin = keras.Model(inputs, core(scaled), name=trained.name)
    _check_equal(trained, twin, scaling, 0.02 if policy.name != "float32" else TOLERANCE)
    return twin


def _broadcast(numbers: Sequence[float]) -> float | list[float]:
    return float(numbers[0]) if len(numbers) == 1 else [float(number) for number in numbers]


def _copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copy by path, so that variables of ours that stock layers lack are passed over.

    A custom network whose layers Keras numbered anew has the same variables in the same order.
    """
    values = {variable.path: variable for variable in source.variables}
    wanted = [variable for variable in target.variables if "seed_generator" not in variable.path]
    if any(variable.path not in values for variable in wanted):
        target.set_weights(source.get_weights())
        return
    for variable in wanted:
        variable.assign(values[variable.path])


def _check_equal(trained: keras.Model, twin: keras.Model, scaling: PixelScaling, tolerance: float) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (PROBES, *twin.input_shape[1:])).astype("float32")
    scaled = pixels * np.asarray(scaling.scale, "float32") + np.asarray(scaling.offset, "float32")
    expected = np.asarray(trained(scaled, training=False))
    found = np.asarray(twin(pixels, training=False))
    difference = float(np.abs(expected - found).max())
    assert difference <= tolerance or not np.isfinite(expected).all(), (
        f"the saved twin differs from the trained network by {difference:g}"
    )
