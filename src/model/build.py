"""Builds a network from the groups `model`, `initializer` and `regularizer`."""

import keras

from src.config.model import InitializerConf, ModelConf, RegularizerConf
from src.model.blocks import Stack
from src.model.check import check_shape
from src.model.custom import build_custom
from src.model.parts import layer_seeds


def build_model(
    model: ModelConf,
    initializer: InitializerConf,
    regularizer: RegularizerConf,
    input_shape: tuple[int, int, int],
    num_classes: int,
    seed: int,
    plain: bool = False,
) -> keras.Model:
    """An uncompiled network from scaled images (n, height, width, channels) to probabilities (n, classes).

    seed: fixes weights and dropout, layer by layer. plain: stock Keras layers only. The output
    is float32 under any precision policy. Raises ConfigError where the image is too small.
    """
    check_shape(model, input_shape)
    if model.architecture == "custom":
        return build_custom(model, input_shape, num_classes)
    inputs = keras.Input(input_shape, name="image")
    stack = Stack(inputs, model, initializer, regularizer, layer_seeds(seed), plain)
    for number, filters in enumerate(model.filters, start=1):
        stack.block(number, filters)
    if model.head == "flatten":
        stack.add(keras.layers.Flatten(name="flatten"))
    else:
        stack.add(keras.layers.GlobalAveragePooling2D(name="global_average"))
    for number, units in enumerate(model.dense_units, start=1):
        stack.dense(f"dense{number}", units, model.activation)
        stack.dropout(f"dense{number}_dropout", model.dense_dropout)
    stack.dense("probabilities", num_classes, "softmax")
    return keras.Model(inputs, stack.top, name=model.architecture)
