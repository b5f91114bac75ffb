"""Builds a user's own network with the function that `model.target` names."""

import logging
from functools import cache
from typing import Any, cast

import keras
import numpy as np
from omegaconf import OmegaConf

from kerasweep.config.model import ModelConf
from kerasweep.config.target import import_target
from kerasweep.errors import ConfigError

log = logging.getLogger(__name__)
# Random images on which a network is tried: the logits of one may add up to 1 by chance.
MAX_TRIED = 8


def build_custom(model: ModelConf, input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Calls model.target with (input_shape, num_classes, **model.kwargs).

    Args:
        model: Names the function and its keyword arguments.
        input_shape: The shape of one image, (height, width, channels).
        num_classes: How many probabilities the network must give.

    Returns:
        A functional or Sequential model from (n, height, width, channels) to probabilities (n, num_classes).

    Raises:
        ConfigError: The function returns something else. Its own exceptions are not caught.
    """
    target = str(model.target)
    shape = tuple(input_shape)
    network = import_target(target)(shape, num_classes, **_keywords(model.kwargs))
    _check_input(target, network, shape)
    _check_output(target, network, num_classes)
    if network.compiled:
        _warn_of_compiled(target)
    return network


@cache
def _warn_of_compiled(target: str) -> None:
    """Warns once in a process."""
    log.warning(
        "model.target=%s returns a compiled model. Its loss, optimizer and metrics are not used: kerasweep "
        "trains with the cross-entropy and the optimizer of the config, and measures the accuracy.",
        target,
    )


def _keywords(kwargs: Any) -> dict[str, Any]:
    """Returns plain lists and dicts instead of OmegaConf's."""
    if not kwargs:
        return {}
    plain = OmegaConf.to_container(kwargs, resolve=True) if OmegaConf.is_config(kwargs) else kwargs
    return dict(cast(dict[str, Any], plain))


def _check_input(target: str, network: Any, input_shape: tuple[int, ...]) -> None:
    if not isinstance(network, keras.Model):
        raise ConfigError(
            f"model.target={target} must return a keras.Model, but it returned {type(network).__name__}. "
            "Let it return keras.Model(inputs, outputs) or keras.Sequential([...])."
        )
    # A subclassed model has no input shape, and a saved one could not be loaded without its code.
    shape = getattr(network, "input_shape", None)
    if shape != (None, *input_shape):
        raise ConfigError(
            f"model.target={target} must return a network that takes {(None, *input_shape)}, but its input "
            f"is {shape}. Begin it with keras.Input(input_shape), the first argument it is called with."
        )


def _check_output(target: str, network: keras.Model, num_classes: int) -> None:
    advice = "End it with keras.layers.Dense(num_classes, activation='softmax')."
    if network.output_shape != (None, num_classes):
        raise ConfigError(
            f"model.target={target} must return a network that gives {(None, num_classes)}, one "
            f"probability a class, but its output is {network.output_shape}. {advice}"
        )
    images = np.random.default_rng(0).random((MAX_TRIED, *network.input_shape[1:]), dtype=np.float32)
    outputs = np.asarray(network(images, training=False), dtype=np.float32)
    totals, smallest = outputs.sum(axis=1), outputs.min()
    total = totals[np.abs(totals - 1).argmax()]
    # Loose enough for a float16 or bfloat16 softmax.
    fault = f"they add up to {total:.4g}" if not abs(total - 1) < 0.05 else ""
    if not fault and smallest < 0:
        fault = f"one is {smallest:.4g}"
    if fault:
        raise ConfigError(
            f"model.target={target} must return a network that gives probabilities, but for a random image "
            f"{fault}. {advice}"
        )
