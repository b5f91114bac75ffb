"""A user's own network, made by the function that `model.target` names."""

import keras
from omegaconf import DictConfig, OmegaConf

from src.config.model import ModelConf
from src.config.target import import_target
from src.errors import ConfigError


def build_custom(model: ModelConf, input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Call model.target with (input_shape, num_classes, **model.kwargs).

    Raises ConfigError where it returns anything but a keras.Model that takes such images and
    gives one probability a class. What the function itself raises comes through.
    """
    kwargs = model.kwargs
    if isinstance(kwargs, DictConfig):
        kwargs = OmegaConf.to_container(kwargs, resolve=True)
    network = import_target(str(model.target))(input_shape, num_classes, **kwargs)
    if not isinstance(network, keras.Model):
        raise ConfigError(
            f"model.target={model.target} must return a keras.Model, but it returned {type(network).__name__}."
        )
    if tuple(network.input_shape) != (None, *input_shape):
        raise ConfigError(
            f"model.target={model.target} takes {network.input_shape}, but the images are {(None, *input_shape)}. "
            "Build its Input from the input_shape it is called with."
        )
    if tuple(network.output_shape) != (None, num_classes):
        raise ConfigError(
            f"model.target={model.target} gives {network.output_shape}, but there are {num_classes} classes. "
            "End it with Dense(num_classes, activation='softmax')."
        )
    return network
