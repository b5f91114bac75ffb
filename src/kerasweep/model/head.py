"""Builds the dense end of a network."""

from typing import Protocol

import keras

from kerasweep.model.parts import Parts


class HeadConf(Protocol):
    """The keys of the group `model` that a head reads."""

    activation: str
    dense_units: list[int]
    dense_dropout: float


def dense_layers(
    model: HeadConf, parts: Parts, num_classes: int, convolutions: int, dropouts: int
) -> list[keras.Layer]:
    """Returns dense layers with dropout, then `output`: softmax.

    The output is float32 under any precision policy: a float16 softmax rounds small probabilities to
    0, and their loss to infinity.

    Args:
        model: Units, activation and dropout.
        parts: Makes kernels' arguments and dropout.
        num_classes: The units of the output layer.
        convolutions: How many kernels the network has before its head.
        dropouts: The position of the first dropout, see `Parts.dropout`.
    """
    layers: list[keras.Layer] = []
    for index, units in enumerate(model.dense_units):
        name = f"dense{index + 1}"
        kernel = parts.kernel("dense", convolutions + index, name)
        layers.append(keras.layers.Dense(units, activation=model.activation, name=name, **kernel))
        layers += parts.dropout("dense_dropout", model.dense_dropout, dropouts + index, f"{name}_dropout")
    kernel = parts.kernel("dense", convolutions + len(model.dense_units), "output")
    layers.append(
        keras.layers.Dense(num_classes, activation="softmax", dtype="float32", name="output", **kernel)
    )
    return layers
