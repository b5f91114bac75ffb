"""Builds a network from the group `model`: blocks of convolutions, then a head."""

from typing import Any

import keras

from kerasweep.config.model import ModelConf
from kerasweep.errors import ConfigError
from kerasweep.model.backbone import build_with_backbone
from kerasweep.model.custom import build_custom
from kerasweep.model.head import dense_layers
from kerasweep.model.parts import Parts
from kerasweep.model.shapes import check_shape

_POOLINGS = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}


def build_model(model: Any, parts: Parts, input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Builds an uncompiled network: scaled images (n, height, width, channels) to probabilities.

    Args:
        model: A ModelConf or a BackboneConf. A custom network ignores `parts` and draws its weights as it
            likes; a backbone reads pixels 0..255, which it scales itself.
        parts: Makes kernels' arguments, dropout and normalization layers.
        input_shape: The shape of one image, (height, width, channels).
        num_classes: Two or more.

    Returns:
        A network from float32 (n, height, width, channels) to float32 probabilities (n, num_classes).

    Raises:
        ConfigError: The image is too small, there are fewer than two classes, or a backbone's weights do
            not fit.
    """
    check_shape(model, input_shape)
    if num_classes < 2:
        raise ConfigError(
            f"A classifier needs at least two classes, but got {num_classes}. Add images of another."
        )
    if model.architecture == "custom":
        return build_custom(model, input_shape, num_classes)
    if model.architecture == "backbone":
        return build_with_backbone(model, parts, input_shape, num_classes)
    layers = [keras.Input(tuple(input_shape), name="images")]
    for block in range(len(model.filters)):
        layers += _block_layers(model, parts, block)
    return keras.Sequential(layers + _head_layers(model, parts, num_classes), name=model.architecture)


def _block_layers(model: ModelConf, parts: Parts, block: int) -> list[keras.Layer]:
    """Returns the layers of block 0, 1, ..., named block1_conv1, block1_norm1, ... .

    With model.downsampling=stride the last convolution moves by 2 pixels, and no pooling follows.
    """
    layers: list[keras.Layer] = []
    for conv in range(model.convs_per_block):
        layers += _convolution_layers(model, parts, block, conv)
    if model.downsampling != "stride":
        layers.append(_POOLINGS[model.downsampling](2, name=f"block{block + 1}_pool"))
    return layers + parts.dropout("dropout", model.dropout, block, f"block{block + 1}_dropout")


def _convolution_layers(model: ModelConf, parts: Parts, block: int, conv: int) -> list[keras.Layer]:
    """Returns convolution, normalization and activation in the order of model.normalization.position."""
    prefix, number = f"block{block + 1}", conv + 1
    name = f"{prefix}_conv{number}"
    normalization = parts.normalization(model.normalization, f"{prefix}_norm{number}")
    is_between = bool(normalization) and model.normalization.position == "before_activation"
    is_inside = not is_between and not model.separate_activation
    convolution = keras.layers.Conv2D(
        model.filters[block],
        model.kernel_size,
        strides=2 if model.downsampling == "stride" and number == model.convs_per_block else 1,
        padding=model.padding,
        activation=model.activation if is_inside else None,
        # The offset of a normalization that follows at once makes a bias redundant.
        use_bias=not (is_between and model.normalization.center),
        name=name,
        **parts.kernel("conv", block * model.convs_per_block + conv, name),
    )
    activation = (
        [] if is_inside else [keras.layers.Activation(model.activation, name=f"{prefix}_activation{number}")]
    )
    if is_between:
        return [convolution, *normalization, *activation]
    return [convolution, *activation, *normalization]


def _head_layers(model: ModelConf, parts: Parts, num_classes: int) -> list[keras.Layer]:
    """Returns flatten or global average pooling, then the dense layers."""
    if model.head == "flatten":
        first: keras.Layer = keras.layers.Flatten(name="flatten")
    else:
        first = keras.layers.GlobalAveragePooling2D(name="global_average")
    blocks = len(model.filters)
    return [first, *dense_layers(model, parts, num_classes, blocks * model.convs_per_block, blocks)]
