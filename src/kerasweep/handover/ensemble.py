"""Averages the probabilities of several models in one Keras model."""

from collections.abc import Sequence
from typing import Any

import keras


def average(members: Sequence[keras.Model]) -> keras.Model:
    """Returns a model that gives the mean of the members' probabilities.

    It is made of Keras's layers and needs only Keras to be loaded. Averaged probabilities of independently
    trained networks: Hansen and Salamon (1990), Neural network ensembles,
    https://doi.org/10.1109/34.58871

    Args:
        members: Two models or more, from the same pixels to the same classes.
    """
    pixels = keras.Input(members[0].input_shape[1:], name="pixels")
    named = [_renamed(member, f"seed_{number}") for number, member in enumerate(members)]
    mean = keras.layers.Average(name="mean")([member(pixels) for member in named])
    return keras.Model(pixels, mean, name="ensemble")


def _renamed(model: Any, name: str) -> Any:
    """Returns a copy of a model with another name, since names in a model are unique."""
    copy = type(model).from_config({**model.get_config(), "name": name})
    copy.set_weights(model.get_weights())
    return copy
