"""Builds a network from the groups `model`, `initializer` and `regularizer`."""

import keras

from src.config.model import InitializerConf, ModelConf, RegularizerConf
from src.errors import ConfigError
from src.model.blocks import block_layers
from src.model.check import check_shape
from src.model.custom import build_custom
from src.model.head import head_layers
from src.model.parts import Kernels


def build_model(
    model: ModelConf,
    initializer: InitializerConf,
    regularizer: RegularizerConf,
    input_shape: tuple[int, int, int],
    num_classes: int,
    seed: int,
    plain: bool = False,
) -> keras.Model:
    """An uncompiled network: scaled images (n, height, width, channels) to probabilities (n, num_classes).

    input_shape: one image, (height, width, channels). seed: fixes the weights and the dropout of
    each layer, see `parts.layer_seed`; a custom network draws its own as it likes, and takes
    neither initializer nor regularizer. plain: Keras's own batch normalization, as saved models
    hold it. Raises ConfigError where the image is too small, and for fewer than two classes.
    """
    check_shape(model, input_shape)
    if num_classes < 2:
        raise ConfigError(
            f"A classifier needs at least two classes, but got {num_classes}. Add images of another."
        )
    if model.architecture == "custom":
        return build_custom(model, input_shape, num_classes)
    kernels = Kernels(initializer, regularizer, seed)
    layers = [keras.Input(tuple(input_shape), name="images")]
    for block in range(len(model.filters)):
        layers += block_layers(model, kernels, block, plain)
    return keras.Sequential(layers + head_layers(model, kernels, num_classes), name=model.architecture)
