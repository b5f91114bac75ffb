"""Builds a user's own network with the function that `model.target` names."""

import logging
from functools import cache
from typing import Any

import keras
import numpy as np

from kerasweep.config.model import ModelConf
from kerasweep.config.target import check_arguments, import_target, plain_arguments
from kerasweep.errors import ConfigError

log = logging.getLogger(__name__)
# Random images on which a network is tried: the logits of one may add up to 1 by chance.
MAX_TRIED = 8
ADVICE = "End it with keras.layers.Dense(num_classes, activation='softmax')"
SMALLEST_SCALE = 1 / 64  # a smaller factor is for pixels from 0 to 255
# Methods of keras.Model that Keras's fit calls, and kerasweep's program does not.
OVERRIDDEN_STEPS = ("train_step", "test_step", "predict_step", "compute_loss", "compute_metrics")


def build_custom(model: ModelConf, input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Calls model.target with (input_shape, num_classes, **model.kwargs).

    Args:
        model: Names the function and its keyword arguments, and whether its network ends in logits.
        input_shape: The shape of one image, (height, width, channels).
        num_classes: How many probabilities the network must give.

    Returns:
        A functional or Sequential model from (n, height, width, channels) to probabilities (n, num_classes).
        A subclassed network is its only layer.

    Raises:
        ConfigError: The function returns something else. Its own exceptions are not caught.
    """
    target = str(model.target)
    shape = tuple(input_shape)
    function, kwargs = import_target(target), plain_arguments(model.kwargs)
    check_arguments(f"model.target={target}", function, shape, num_classes, kwargs=kwargs, key="model.kwargs")
    network = function(shape, num_classes, **kwargs)
    _check_model(target, network)
    if network.compiled:
        _warn_of_compiled(target)
    network = _with_input(network, shape)
    _check_shapes(target, network, shape, num_classes)
    _check_output(target, network, model.from_logits)
    return _with_softmax(network) if model.from_logits else network


def check_saveable(target: str, network: keras.Model) -> None:
    """Checks before the training that a network can be saved; warns once if loading it needs the user's code.

    Raises:
        ConfigError: It cannot be built from its configuration, or has none.
    """
    layers = [network, *network._flatten_layers(include_self=False)]
    own = {type(layer).__name__: type(layer) for layer in layers if not _is_of_keras(type(layer))}
    try:
        with keras.saving.custom_object_scope(own):
            keras.models.model_from_json(network.to_json())
    except (NotImplementedError, TypeError, ValueError) as error:
        advice = "Give its class get_config, as Keras's guide to serialization shows"
        if any(isinstance(layer, keras.layers.Lambda) for layer in layers):
            advice = "Replace the lambda by a layer, or by a function registered with Keras"
        raise ConfigError(
            f"model.target={target} returns a network that cannot be saved: {_reason(error)}. {advice}, or "
            "record no model with tracking.models=none."
        ) from error
    if own:
        _warn_of_code(target, ", ".join(own))


@cache
def _warn_of_code(target: str, names: str) -> None:
    """Warns once in a process."""
    log.warning(
        "model.target=%s has classes of its own (%s): only a program that imports them can load the saved "
        "model. Decorate them with keras.saving.register_keras_serializable(), so that an import is enough.",
        target,
        names,
    )


def _is_of_keras(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in ("keras", "kerasweep")


def _reason(error: Exception) -> str:
    """Returns the first sentence of the exception that Keras found inside."""
    text = " ".join(str(error).split()).rpartition("Exception encountered: ")[2]
    return text.partition(". ")[0].rstrip(".")


def _check_model(target: str, network: Any) -> None:
    if not isinstance(network, keras.Model):
        raise ConfigError(
            f"model.target={target} must return a keras.Model, but it returned {type(network).__name__}. "
            "Let it return keras.Model(inputs, outputs) or keras.Sequential([...])."
        )
    for name in OVERRIDDEN_STEPS:
        if getattr(type(network), name) is not getattr(keras.Model, name):
            raise ConfigError(
                f"model.target={target} returns a {type(network).__name__} with a {name} of its own, which "
                "nothing would call: kerasweep has its own training step. Use training.loss, add_loss in a "
                "layer, or trial.target for a training function of your own."
            )


def _with_input(network: keras.Model, input_shape: tuple[int, ...]) -> keras.Model:
    """Returns a network that knows its input: one that has none yet is called on an image, as in fit."""
    if getattr(network, "input_shape", None) is not None:
        return network
    images = keras.Input(input_shape, name="images")
    outputs = network(images)
    if isinstance(network, keras.Sequential):
        return network
    return keras.Model(images, outputs, name=network.name)


def _with_softmax(network: keras.Model) -> keras.Model:
    softmax = keras.layers.Softmax(dtype="float32", name="softmax_of_logits")
    if isinstance(network, keras.Sequential):
        layers = [keras.Input(network.input_shape[1:]), *network.layers, softmax]
        return keras.Sequential(layers, name=network.name)
    return keras.Model(network.inputs, softmax(network.outputs[0]), name=network.name)


@cache
def _warn_of_compiled(target: str) -> None:
    """Warns once in a process."""
    log.warning(
        "model.target=%s returns a compiled model. Its loss, optimizer and metrics are not used: kerasweep "
        "trains with the cross-entropy and the optimizer of the config, and measures the accuracy.",
        target,
    )


def _check_shapes(target: str, network: keras.Model, input_shape: tuple[int, ...], num_classes: int) -> None:
    if network.input_shape != (None, *input_shape):
        raise ConfigError(
            f"model.target={target} must return a network that takes {(None, *input_shape)}, but its input "
            f"is {network.input_shape}. Begin it with keras.Input(input_shape), the first argument it is "
            "called with."
        )
    if network.output_shape != (None, num_classes):
        raise ConfigError(
            f"model.target={target} must return a network that gives {(None, num_classes)}, one "
            f"probability a class, but its output is {network.output_shape}. {ADVICE}."
        )


def _check_output(target: str, network: keras.Model, from_logits: bool) -> None:
    """Raises ConfigError for logits without model.from_logits, and for probabilities with it."""
    images = np.random.default_rng(0).random((MAX_TRIED, *network.input_shape[1:]), dtype=np.float32)
    outputs = np.asarray(network(images, training=False), dtype=np.float32)
    totals, smallest = outputs.sum(axis=1), outputs.min()
    total = totals[np.abs(totals - 1).argmax()]
    # Loose enough for a float16 or bfloat16 softmax.
    fault = f"they add up to {total:.4g}" if not abs(total - 1) < 0.05 else ""
    if not fault and smallest < 0:
        fault = f"one is {smallest:.4g}"
    if from_logits and not fault:
        raise ConfigError(
            f"model.target={target} returns a network that gives probabilities, but model.from_logits=true "
            "puts a softmax behind it. Leave out model.from_logits, or the network's own softmax."
        )
    if fault and not from_logits:
        raise ConfigError(
            f"model.target={target} must return a network that gives probabilities, but for a random image "
            f"{fault}. {ADVICE}, or set model.from_logits=true."
        )


def check_scaling(target: str, network: keras.Model, scaling: str) -> None:
    """Warns once of a network that scales pixels which the data has scaled already.

    Args:
        target: The function that built the network.
        network: The network.
        scaling: data.scaling.
    """
    if scaling == "none":
        return
    for layer in network._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.Rescaling) and np.abs(layer.scale).max() < SMALLEST_SCALE:
            _warn_of_scaling(target, layer.name, scaling)


@cache
def _warn_of_scaling(target: str, layer: str, scaling: str) -> None:
    log.warning(
        "model.target=%s scales pixels in its layer %s, but receives pixels that data.scaling=%s has scaled "
        "already. Add data.scaling=none, or remove the layer.",
        target,
        layer,
        scaling,
    )
