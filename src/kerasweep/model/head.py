"""The head of a network: from the last block's feature maps to one probability a class."""

import keras

from kerasweep.config.model import ModelConf
from kerasweep.model.parts import Parts


def head_layers(model: ModelConf, parts: Parts, num_classes: int) -> list[keras.Layer]:
    """Flatten or global average pooling, dense layers with dropout, then `output`: softmax.

    The output is float32 whatever the precision policy: a float16 softmax rounds small
    probabilities to 0, and their loss to infinity.
    """
    layers: list[keras.Layer] = [_flattening(model.head)]
    first = len(model.filters) * model.convs_per_block
    for index, units in enumerate(model.dense_units):
        name = f"dense{index + 1}"
        layers.append(
            keras.layers.Dense(
                units,
                activation=model.activation,
                name=name,
                **parts.kernel("dense", first + index, name),
            )
        )
        position = len(model.filters) + index
        layers += parts.dropout("dense_dropout", model.dense_dropout, position, f"{name}_dropout")
    output = keras.layers.Dense(
        num_classes,
        activation="softmax",
        dtype="float32",
        name="output",
        **parts.kernel("dense", first + len(model.dense_units), "output"),
    )
    return [*layers, output]


def _flattening(head: str) -> keras.Layer:
    if head == "flatten":
        return keras.layers.Flatten(name="flatten")
    return keras.layers.GlobalAveragePooling2D(name="global_average")
