"""Classifies images with a recorded model: python -m src.predict run_id=ID images=[a.png,b.png]"""

import atexit
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
import numpy as np
from omegaconf import DictConfig, ListConfig

from kerasweep.commands.answer import give
from kerasweep.commands.command_line import (
    check_overrides,
    model_arguments,
    read_model_name,
    run_command,
)
from kerasweep.config import register
from kerasweep.config.composition import compose_once
from kerasweep.config.folders import config_folder
from kerasweep.data.image_file import open_image
from kerasweep.errors import ConfigError, TrackingError
from kerasweep.fast_start import skip_last_collection
from kerasweep.handover.recorded_model import RecordedModel, check_outputs, read_model
from kerasweep.serving.pixels import to_pixels
from kerasweep.terminal import as_started, say
from kerasweep.workers.signals import release_interrupts

IMAGE_CHANNELS = (1, 3)

register()


@dataclass(frozen=True)
class ClassifiedImage:
    """The prediction for one image file."""

    path: str
    class_name: str  # the likeliest
    probabilities: Mapping[str, float]  # of all classes
    conversions: tuple[str, ...]  # how the image was changed to fit the network


@dataclass(frozen=True)
class Predictions:
    """The predictions of a recorded model."""

    model: str  # "run ID", or an address in the registry
    run_id: str  # of the model
    images: tuple[ClassifiedImage, ...]


def predict(cfg: DictConfig) -> None:
    """Prints the class of each image, and the probabilities of the likeliest classes.

    Raises:
        ConfigError: Images or a run id are missing.
        DataError: An image cannot be read.
        TrackingError: The run does not exist, or has no model.
    """
    name = read_model_name(cfg)
    _check(cfg)
    paths = _paths(cfg.images)
    images = [open_image(path) for path in paths]
    recorded = read_model(cfg.tracking, name)
    model, class_names = recorded.model, recorded.class_names
    height, width, channels = _input_shape(model, recorded)
    check_outputs(recorded)
    converted = [to_pixels(image, channels, (height, width)) for image in images]
    batch = np.stack([pixels for pixels, _ in converted])
    probabilities = np.asarray(model.predict(batch, verbose=0))
    classified = []
    for path, (_, changes), row in zip(paths, converted, probabilities, strict=True):
        best = np.argsort(-row, kind="stable")[: cfg.top]
        likeliest = ", ".join(f"{class_names[i]} {row[i]:.1%}" for i in best)
        say(f"{path}: {class_names[best[0]]}  ({likeliest})")
        if changes:
            say(f"  converted: {', '.join(changes)}")
        by_class = dict(zip(class_names, map(float, row), strict=True))
        classified.append(ClassifiedImage(str(path), class_names[best[0]], by_class, tuple(changes)))
    give(Predictions(recorded.name, recorded.run.run_id, tuple(classified)))


def _check(cfg: DictConfig) -> None:
    if not cfg.images:
        raise ConfigError("images needs one file or more, as in images=[digit.png].")
    if cfg.top < 1:
        raise ConfigError(f"top must be at least 1, but got {cfg.top}. It is how many classes are shown.")


def _paths(images: Any) -> list[Path]:
    """Returns the paths of a list, or a single path as a list."""
    paths = images if isinstance(images, ListConfig) else [images]
    return [Path(str(path)).expanduser() for path in paths]


def _input_shape(model: Any, recorded: RecordedModel) -> tuple[int, int, int]:
    """Returns height, width and channels of the images that a model takes.

    Raises:
        TrackingError: Image files cannot be converted to this shape.
    """
    shape = tuple(model.input_shape[1:])
    if len(shape) != 3 or None in shape or shape[2] not in IMAGE_CHANNELS:
        raise TrackingError(
            f"src.predict makes grayscale or RGB images of one size, but the model of {recorded.name} takes "
            f"{shape}. Call it from Python: mlflow.keras.load_model('runs:/{recorded.run.run_id}/model')."
        )
    return shape


@hydra.main(config_path=config_folder("conf"), config_name="predict", version_base="1.3")
def _predict(cfg: DictConfig) -> None:
    release_interrupts()
    run_command(lambda: predict(cfg))


def run() -> None:
    """Runs the command."""
    atexit.register(skip_last_collection)
    sys.argv[1:] = model_arguments(sys.argv[1:])
    check_overrides(sys.argv[1:], "predict")
    compose_once(as_started)
    _predict()
