"""Makes the plain Keras model that is saved: the same weights, stock layers, raw pixels as input."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import keras
import numpy as np

from kerasweep.errors import ConfigError

TOLERANCE = 1e-4


class PixelScaling(Protocol):
    """scaled = pixel * scale + offset, with one number, or one per channel."""

    @property
    def scale(self) -> Sequence[float]: ...

    @property
    def offset(self) -> Sequence[float]: ...


def plain_twin(
    trained: keras.Model, rebuild: Callable[[], keras.Model], scaling: PixelScaling
) -> keras.Model:
    """Builds an uncompiled model that predicts as `trained` does and needs only Keras to be loaded.

    Args:
        trained: Reads scaled images (n, height, width, channels), under any precision policy.
        rebuild: Builds the same network of stock layers, with any weights.
        scaling: The pixel scaling that the twin does itself.

    Returns:
        A model from raw pixels 0..255 (n, height, width, channels), uint8 or float, to probabilities
        (n, classes). It computes in float32: after mixed precision its probabilities differ from those of
        `trained` by the rounding of half precision.

    Raises:
        ConfigError: The two differ by more than 1e-4 on random pixels, computed under the precision of
            `trained`: rebuild() makes another network, or the network keeps state outside its weights.
    """
    twin = _twin_under("float32", trained, rebuild, scaling)
    policy = trained.dtype_policy
    is_single = policy.name == "float32"
    _check_equal(trained, twin if is_single else _twin_under(policy, trained, rebuild, scaling), scaling)
    return twin


def _twin_under(
    policy: Any, trained: keras.Model, rebuild: Callable[[], keras.Model], scaling: PixelScaling
) -> keras.Model:
    """Builds under a precision policy, which is reset afterwards, and copies the weights."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        network = rebuild()
        copy_weights(trained, network)
        return _with_rescaling(network, scaling)
    finally:
        keras.config.set_dtype_policy(before)


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copies by path, which skips variables of ours that stock layers lack.

    In a custom network Keras may name the layers, with other numbers at each call: then the weights are
    copied in their order.
    """
    by_path = {weight.path: weight for weight in source.weights}
    if all(weight.path in by_path for weight in target.weights):
        partners = [by_path[weight.path] for weight in target.weights]
    else:
        partners = source.weights
    shapes = [tuple(weight.shape) for weight in target.weights]
    if [tuple(weight.shape) for weight in partners] != shapes:
        raise ConfigError(
            "The network was built a second time to save it, and its weights should have the shapes of the "
            f"trained ones, but got {shapes}. Let model.target build the same network at each call."
        )
    for weight, partner in zip(target.weights, partners, strict=True):
        weight.assign(partner)


def _with_rescaling(network: keras.Model, scaling: PixelScaling) -> keras.Model:
    """Puts Rescaling in front: as a layer of a Sequential network, else around the network."""
    pixels = keras.Input(network.input_shape[1:], name="pixels")
    rescaling = keras.layers.Rescaling(
        _numbers(scaling.scale), _numbers(scaling.offset), name="pixel_scaling", dtype="float32"
    )
    if isinstance(network, keras.Sequential):
        return keras.Sequential([pixels, rescaling, *network.layers], name=network.name)
    return keras.Model(pixels, network(rescaling(pixels)), name=network.name)


def _numbers(values: Sequence[float]) -> float | list[float]:
    """Returns what Rescaling saves as plain JSON: one number, or a list with one per channel."""
    return float(values[0]) if len(values) == 1 else [float(value) for value in values]


def _check_equal(trained: keras.Model, twin: keras.Model, scaling: PixelScaling) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, *twin.input_shape[1:])).astype(np.float32)
    scaled = pixels * np.asarray(scaling.scale, np.float32) + np.asarray(scaling.offset, np.float32)
    expected = np.asarray(trained(scaled, training=False), np.float32)
    actual = np.asarray(twin(pixels, training=False), np.float32)
    if np.allclose(actual, expected, rtol=0, atol=TOLERANCE, equal_nan=True):
        return
    raise ConfigError(
        f"The saved model must predict as the trained one to within {TOLERANCE:g}, but on random pixels they "
        f"differ by {np.abs(actual - expected).max():.3g}. Let model.target build the same network at each "
        "call, without randomness at prediction or state outside its weights."
    )
