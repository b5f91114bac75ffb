"""Builds backbones of KerasHub from presets, with the preprocessing that a preset names."""

import inspect
import logging
from collections.abc import Callable
from typing import Any

import keras

from kerasweep.config.backbones import preset_folder, preset_of
from kerasweep.config.model import BackboneConf
from kerasweep.config.target import plain_arguments
from kerasweep.errors import ConfigError, UnavailableError, first_line
from kerasweep.serving.hub_layers import PACKAGE

log = logging.getLogger(__name__)
# What KerasHub raises for presets that it cannot find, download or build.
ERRORS = (ValueError, TypeError, KeyError, OSError)
WITHOUT_NETWORK = "Without a network, give the folder that its save_to_preset wrote."


def build_preset(model: BackboneConf, image_shape: tuple[int, int, int], load_weights: bool) -> keras.Model:
    """Builds the backbone of a preset: preprocessed images (n, height, width, 3) to a feature map or tokens.

    It becomes a plain functional model unless it has layers that Keras lacks: only with these does a saved
    network need KerasHub.

    Raises:
        ConfigError: KerasHub cannot build it, or it reads no images.
        UnavailableError: Its files cannot be downloaded.
    """
    import keras_hub

    height, width, _ = image_shape
    arguments = {**plain_arguments(model.kwargs), "image_shape": image_shape}
    try:
        backbone = keras_hub.models.Backbone.from_preset(
            _location(model), load_weights=load_weights, **arguments
        )
    except ERRORS as error:
        raise _kind(error)(
            f"model.backbone={model.backbone} cannot be built for images of {height}x{width}: "
            f"{_reason(error)}. It must be a preset of an image backbone of KerasHub, model.image_size one "
            f"of its sizes, and model.kwargs arguments of its constructor. {WITHOUT_NETWORK}"
        ) from error
    _check_arguments(backbone, model)
    shapes = [tensor.shape for tensor in keras.tree.flatten([backbone.input, backbone.output])]
    if len(shapes) != 2 or len(shapes[0]) != 4 or len(shapes[1]) not in (3, 4):
        raise ConfigError(
            f"model.backbone={model.backbone} is a {type(backbone).__name__}, which does not turn images "
            "into one feature map or one sequence. Choose an image backbone, as in hub:resnet_18_imagenet."
        )
    plain = keras.Model(backbone.input, backbone.output, name=backbone.name)
    # Some layers of KerasHub are saved right only as a part of their backbone.
    return backbone if _needs_hub(plain) else plain


def preset_preprocessing(model: BackboneConf) -> Callable[[Any], Any]:
    """Returns the scaling of pixels 0..255 that a preset names; none if it names none.

    Raises:
        ConfigError: It cannot be loaded, or KerasHub has none for such a backbone.
        UnavailableError: It cannot be downloaded.
    """
    try:
        converter = _image_converter(_location(model))
    except ERRORS as error:
        raise _kind(error)(
            f"The preprocessing of model.backbone={model.backbone} cannot be loaded: {_reason(error)}. "
            f"{WITHOUT_NETWORK}"
        ) from error
    if converter is None:
        log.info("%s names no preprocessing: its backbone gets pixels 0..255", model.backbone)
        return lambda pixels: pixels
    scale = 1.0 if converter.scale is None else converter.scale
    offset = 0.0 if converter.offset is None else converter.offset
    return keras.layers.Rescaling(scale, offset, dtype="float32", name="preprocessing")


def _image_converter(preset: str) -> Any:
    import keras_hub

    try:
        return keras_hub.layers.ImageConverter.from_preset(preset)
    except FileNotFoundError as error:
        if _is_of_network(error):
            raise
        return None


def _check_arguments(backbone: keras.Model, model: BackboneConf) -> None:
    """Refuses what KerasHub would ignore: its constructors take any keyword."""
    parameters = inspect.signature(type(backbone)).parameters.values()
    known = [each.name for each in parameters if each.kind is not each.VAR_KEYWORD]
    for name in plain_arguments(model.kwargs):
        if name not in known:
            raise ConfigError(
                f"model.kwargs.{name} is no argument of keras_hub.models.{type(backbone).__name__}. "
                f"It takes {', '.join(known)}."
            )


def _needs_hub(plain: keras.Model) -> bool:
    of_hub = (type(layer).__module__.startswith(PACKAGE) for layer in plain.layers)
    return any(of_hub) or PACKAGE in plain.to_json()


def _kind(error: Exception) -> type[ConfigError]:
    return UnavailableError if _is_of_network(error) else ConfigError


def _is_of_network(error: Exception) -> bool:
    from huggingface_hub.errors import LocalEntryNotFoundError

    if isinstance(error, FileNotFoundError):  # of a preset without such a file, or of an unreachable address
        return isinstance(error.__cause__, LocalEntryNotFoundError)
    return isinstance(error, OSError)


def _reason(error: Exception) -> str:
    return first_line(error).split(". ")[0].removesuffix(".")


def _location(model: BackboneConf) -> str:
    return str(preset_folder(model.backbone) or preset_of(model.backbone))
