"""A block of a network: convolutions with normalization and activation, then downsampling and dropout."""

import keras

from kerasweep.config.model import ModelConf
from kerasweep.model.parts import Parts

_POOLINGS = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}


def block_layers(model: ModelConf, parts: Parts, block: int) -> list[keras.Layer]:
    """The layers of a block, named block1_conv1, block1_norm1, ... block: from 0.

    With model.downsampling=stride the last convolution moves by 2 pixels, and no pooling follows.
    """
    layers: list[keras.Layer] = []
    for conv in range(model.convs_per_block):
        layers += _convolution(model, parts, block, conv)
    if model.downsampling != "stride":
        layers.append(_POOLINGS[model.downsampling](2, name=f"block{block + 1}_pool"))
    return layers + parts.dropout("dropout", model.dropout, block, f"block{block + 1}_dropout")


def _convolution(model: ModelConf, parts: Parts, block: int, conv: int) -> list[keras.Layer]:
    """Convolution, normalization and activation, in the order model.normalization.position says."""
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
