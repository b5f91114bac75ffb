"""Builds a network from the group `model` and the parts that fill it."""

import keras

from kerasweep.config.model import ModelConf
from kerasweep.errors import ConfigError
from kerasweep.model.blocks import block_layers
from kerasweep.model.check import check_shape
from kerasweep.model.custom import build_custom
from kerasweep.model.head import head_layers
from kerasweep.model.parts import Parts


def build_model(
    model: ModelConf, parts: Parts, input_shape: tuple[int, int, int], num_classes: int
) -> keras.Model:
    """An uncompiled network: scaled images (n, height, width, channels) to probabilities (n, num_classes).

    input_shape: one image, (height, width, channels). A custom network takes none of the parts: it
    draws its weights as it likes. Raises ConfigError where the image is too small, and for fewer
    than two classes.
    """
    check_shape(model, input_shape)
    if num_classes < 2:
        raise ConfigError(
            f"A classifier needs at least two classes, but got {num_classes}. Add images of another."
        )
    if model.architecture == "custom":
        return build_custom(model, input_shape, num_classes)
    layers = [keras.Input(tuple(input_shape), name="images")]
    for block in range(len(model.filters)):
        layers += block_layers(model, parts, block)
    return keras.Sequential(layers + head_layers(model, parts, num_classes), name=model.architecture)
