"""Builds networks of a backbone of keras.applications, or of KerasHub, and a head."""

import inspect
import logging
import math
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import keras
import numpy as np

from kerasweep.config.backbones import HUB
from kerasweep.config.model import BackboneConf
from kerasweep.config.target import plain_arguments
from kerasweep.errors import ConfigError, UnavailableError, first_line
from kerasweep.file_lock import locked
from kerasweep.model.head import dense_layers
from kerasweep.model.hub import build_preset, preset_preprocessing
from kerasweep.model.parts import Parts
from kerasweep.model.weights import IMAGENET

log = logging.getLogger(__name__)
RGB = 3


def build_with_backbone(
    model: BackboneConf, parts: Parts, input_shape: tuple[int, int, int], num_classes: int
) -> keras.Model:
    """Builds an uncompiled network: pixels 0..255 (n, height, width, channels) to probabilities.

    The layers of `model.trainable` train; see also `unfreeze`. Batch normalization is in inference mode, also
    in these: its statistics are those of the trained weights (keras.io/guides/transfer_learning).

    Raises:
        ConfigError: The weights do not fit, or the constructor does not take model.kwargs.
        UnavailableError: The weights cannot be downloaded.
    """
    images = keras.Input(input_shape, name="images")
    base = _build_base(model, input_shape)
    # A backbone without trained weights, all of whose layers train, is trained as any other network.
    begins_untrained = model.weights is None and model.trainable is True
    outputs = _features(model, images, base, base if begins_untrained else parts.in_inference(base))
    for layer in _head(model, parts, num_classes):
        outputs = layer(outputs)
    return keras.Model(images, outputs, name=_name(model))


def build_extractor(model: BackboneConf, input_shape: tuple[int, int, int]) -> keras.Model:
    """Builds the part before the head: pixels 0..255 (n, height, width, channels) to features (n, d).

    Raises:
        ConfigError: As `build_with_backbone`.
    """
    images = keras.Input(input_shape, name="images")
    base = _build_base(model, input_shape)
    return keras.Model(images, _features(model, images, base, base), name="extractor")


def build_head(model: BackboneConf, parts: Parts, dimension: int, num_classes: int) -> keras.Model:
    """Builds the head alone: features (n, dimension) to probabilities (n, num_classes)."""
    features = keras.Input((dimension,), name="features")
    return keras.Sequential([features, *_head(model, parts, num_classes)], name=f"{_name(model)}_head")


def join(extractor: keras.Model, head: keras.Model) -> keras.Model:
    """Returns one network, with the variables of both."""
    images = keras.Input(extractor.input_shape[1:], name="images")
    return keras.Model(images, head(extractor(images)), name="joined")


def base_of(network: keras.Model) -> keras.Model:
    """Returns the backbone inside a network of `build_with_backbone`."""
    bases = (getattr(layer, "base", layer) for layer in network.layers)
    return next(base for base in bases if isinstance(base, keras.Model))


def unfreeze(network: keras.Model, model: BackboneConf) -> list[Any]:
    """Makes the layers train that begin frozen: the last `model.trainable`, or all; returns their weights."""
    base = base_of(network)
    if model.trainable is False:
        base.trainable = True
    return list(base.trainable_weights)


def redraw(network: keras.Model, model: BackboneConf, input_shape: tuple[int, int, int]) -> None:
    """Draws a backbone without trained weights again, from the seed of keras.utils.set_random_seed."""
    fresh = _build_base(model, input_shape)
    for variable, value in zip(base_of(network).variables, fresh.variables, strict=True):
        variable.assign(value)


def _name(model: BackboneConf) -> str:
    return model.backbone.rpartition("/")[2].replace(":", "_")  # Keras refuses a slash


def _head(model: BackboneConf, parts: Parts, num_classes: int) -> list[keras.Layer]:
    dropout = parts.dropout("dropout", model.dropout, 0, "features_dropout")
    return [*dropout, *dense_layers(model, parts, num_classes, convolutions=0, dropouts=1)]


def _features(model: BackboneConf, images: Any, base: keras.Model, call: Callable[[Any], Any]) -> Any:
    """Applies channels, size, the backbone's own preprocessing, a call of it, and the global average."""
    pixels = images
    if pixels.shape[-1] == 1:
        pixels = keras.layers.Concatenate(name="grey_to_rgb")([pixels] * RGB)
    if model.image_size is not None:
        pixels = keras.layers.Resizing(*model.image_size, dtype="float32", name="resizing")(pixels)
    pixels = _preprocessing(model)(pixels)
    # DINO of KerasHub takes a dictionary of its images.
    features = call(keras.tree.map_structure(lambda _: pixels, base.input))
    is_map = len(features.shape) == 4
    average = keras.layers.GlobalAveragePooling2D if is_map else keras.layers.GlobalAveragePooling1D
    return average(name="global_average")(features)


def _constructor(backbone: str) -> Callable[..., keras.Model]:
    wanted = backbone.replace("_", "")
    names = {name.lower(): name for name in dir(keras.applications) if name[0].isupper()}
    return cast(Callable[..., keras.Model], getattr(keras.applications, names[wanted]))


def _preprocessing(model: BackboneConf) -> Callable[[Any], Any]:
    """Returns preprocess_input of the constructor's module, or the scaling of a preset."""
    if model.backbone.startswith(HUB):
        return preset_preprocessing(model)
    module = sys.modules[_constructor(model.backbone).__module__]
    return cast(Callable[[Any], Any], module.preprocess_input)


def _build_base(model: BackboneConf, input_shape: tuple[int, int, int]) -> keras.Model:
    height, width = model.image_size or input_shape[:2]
    if model.backbone.startswith(HUB):
        base = _build_hub_base(model, (height, width, RGB))
    else:
        base = _build_application(model, (height, width, RGB))
    _set_trainable(base, model.trainable)
    return base


def _build_hub_base(model: BackboneConf, shape: tuple[int, int, int]) -> keras.Model:
    with locked(weights_lock(), lambda: log.info("another process loads weights: waiting for it")):
        base = build_preset(model, shape, load_weights=model.weights == IMAGENET)
    _load_file(base, model)
    return base


def _build_application(model: BackboneConf, shape: tuple[int, int, int]) -> keras.Model:
    arguments = {**plain_arguments(model.kwargs), "input_shape": shape, "include_top": False}
    constructor = _constructor(model.backbone)
    known = inspect.signature(constructor).parameters
    for name in arguments:
        if name not in known:
            raise ConfigError(
                f"model.kwargs.{name} is no argument of keras.applications.{constructor.__name__}. "
                f"It takes {', '.join(known)}."
            )
    if model.weights == IMAGENET:
        return _load_imagenet(model, constructor, arguments)
    base = _construct(model, constructor, arguments)
    _load_file(base, model)
    return base


def _construct(model: BackboneConf, constructor: Callable[..., keras.Model], arguments: Any) -> keras.Model:
    try:
        return constructor(**arguments, weights=None)
    except (TypeError, ValueError) as error:
        kwargs = plain_arguments(model.kwargs)
        raise ConfigError(
            f"keras.applications.{constructor.__name__} does not take model.kwargs={kwargs}: "
            f"{first_line(error)}. Correct them."
        ) from error


def _load_imagenet(
    model: BackboneConf, constructor: Callable[..., keras.Model], arguments: Any
) -> keras.Model:
    _construct(model, constructor, arguments)  # so that an error below is one of the weights
    try:
        with warnings.catch_warnings():
            # Those of another size are the right ones: convolutions have no size.
            warnings.filterwarnings("ignore", ".*input_shape.*", UserWarning)
            with locked(weights_lock(), lambda: log.info("another process loads weights: waiting for it")):
                return constructor(**arguments, weights=IMAGENET)
    except Exception as error:  # Keras raises a bare Exception if a download fails
        kind = ConfigError if isinstance(error, ValueError) else UnavailableError  # Keras has no such weights
        raise kind(
            f"model.weights=imagenet cannot be loaded for {model.backbone}: {first_line(error)}. Without "
            "a network, copy the file of weights here and name it, as in model.weights=FILE; "
            "model.weights=null begins with random weights."
        ) from error


def weights_lock() -> Path:
    """Returns the file whose lock a download of weights holds: Keras writes to their final name."""
    return Path(tempfile.gettempdir()) / f"kerasweep-weights-{os.getuid()}.lock"


def _load_file(base: keras.Model, model: BackboneConf) -> None:
    """Loads a file of weights. Keras warns of layers that it may lack; NaN shows those that it does lack."""
    if model.weights is None or model.weights == IMAGENET:
        return
    for weight in base.weights:
        weight.assign(keras.ops.full_like(weight, math.nan))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            base.load_weights(Path(model.weights).expanduser())
    except (ValueError, OSError, KeyError, TypeError, AttributeError) as error:
        raise _misfit(base, model, first_line(error)) from error
    missing = [weight.path for weight in base.weights if np.isnan(weight).all()]
    if missing:
        raise _misfit(base, model, f"it has no {missing[0]}")


def _misfit(base: keras.Model, model: BackboneConf, reason: str) -> ConfigError:
    return ConfigError(
        f"model.weights={model.weights} does not fit {model.backbone}, which has {base.count_params():,} "
        f"parameters without its top: {reason}. Give the file of this backbone, saved without its top by "
        "save_weights, and its model.kwargs."
    )


def _set_trainable(base: keras.Model, trainable: bool | int) -> None:
    if isinstance(trainable, bool):
        base.trainable = trainable
        return
    if trainable > len(base.layers):
        raise ConfigError(
            f"model.trainable={trainable} must be at most the {len(base.layers)} layers of {base.name}. "
            "Lower it, or use true for all."
        )
    for layer in base.layers[:-trainable]:
        layer.trainable = False
