"""Classifies images with a recorded model: python -m src.predict run_id=ID images=[a.png,b.png]

python -m src.predict run_id=ID images=photos csv=out.csv     a folder, one row per image
python -m src.predict sweep=NAME images=photos                with the winner's model
"""

import atexit
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
import numpy as np
from omegaconf import DictConfig, OmegaConf

from kerasweep.commands.answer import give
from kerasweep.commands.command_line import (
    check_overrides,
    model_arguments,
    read_model_name,
    run_command,
)
from kerasweep.commands.predict_files import Prediction, classify, find_files, write_csv
from kerasweep.config import register
from kerasweep.config.composition import compose_once
from kerasweep.config.folders import config_folder
from kerasweep.errors import ConfigError, TrackingError, first_names
from kerasweep.fast_start import skip_last_collection
from kerasweep.handover.recorded_model import RecordedModel, check_outputs, read_model
from kerasweep.terminal import as_started, say
from kerasweep.workers.signals import release_interrupts

IMAGE_CHANNELS = (1, 3)
MAX_LISTED = 10

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
    images: tuple[ClassifiedImage, ...]  # none if they are in a CSV
    csv: str | None = None  # the file, as it was named
    unreadable: tuple[str, ...] = ()  # the image files of a folder or pattern that cannot be read


def predict(cfg: DictConfig) -> None:
    """Prints the class of each image and the probabilities of the likeliest classes, or writes them to a CSV.

    Raises:
        ConfigError: Images or a run id are missing, or the CSV has no place.
        DataError: A named image cannot be read, or a folder or a pattern has none.
        TrackingError: The run does not exist, or has no model; or the sweep has no single winner.
    """
    _check(cfg)
    name = _winner(cfg) if cfg.sweep is not None else read_model_name(cfg)
    files = find_files(cfg.images)
    recorded = read_model(cfg.tracking, name, imports_target=True)
    shape = _input_shape(recorded.model, recorded)
    check_outputs(recorded)
    predictions = classify(recorded, shape, files)
    classified = []
    if cfg.csv is None:
        for prediction in predictions:
            _show(prediction, recorded.class_names, cfg.top)
            classified.append(_classified(prediction, recorded.class_names))
    else:
        path = Path(str(cfg.csv)).expanduser()
        say(f"csv: {path}, {write_csv(path, predictions, recorded.class_names)}")
    if files.unreadable:
        left_out = first_names([str(file) for file in files.unreadable], MAX_LISTED)
        count = len(files.unreadable)
        number = "1 file cannot be read and is" if count == 1 else f"{count} files cannot be read and are"
        say(f"note: {number} left out: {left_out}")
    csv = None if cfg.csv is None else str(cfg.csv)
    unreadable = tuple(map(str, files.unreadable))
    give(Predictions(recorded.name, recorded.run.run_id, tuple(classified), csv, unreadable))


def _winner(cfg: DictConfig) -> str:
    """Returns the id of the run with the model of a sweep's winner."""
    from kerasweep.handover.winner import find_winner

    others = {
        "run_id": None if OmegaConf.is_missing(cfg, "run_id") else cfg.run_id,
        "model": cfg.registered_model,
    }
    for key, value in others.items():
        if value is not None:
            raise ConfigError(
                f"Give one of sweep, run_id and model, but got sweep={cfg.sweep} {key}={value}."
            )
    return find_winner(cfg.tracking, cfg.sweep).run.run_id


def _classified(prediction: Prediction, class_names: Sequence[str]) -> ClassifiedImage:
    probabilities = dict(zip(class_names, map(float, prediction.probabilities), strict=True))
    best = class_names[int(prediction.probabilities.argmax())]
    return ClassifiedImage(str(prediction.path), best, probabilities, tuple(prediction.changes))


def _show(prediction: Prediction, class_names: Sequence[str], top: int) -> None:
    best = np.argsort(-prediction.probabilities, kind="stable")[:top]
    likeliest = ", ".join(f"{class_names[i]} {prediction.probabilities[i]:.1%}" for i in best)
    say(f"{prediction.path}: {class_names[best[0]]}  ({likeliest})")
    if prediction.changes:
        say(f"  converted: {', '.join(prediction.changes)}")


def _check(cfg: DictConfig) -> None:
    if not cfg.images:
        raise ConfigError("images needs one file or more, as in images=[digit.png].")
    if cfg.top < 1:
        raise ConfigError(f"top must be at least 1, but got {cfg.top}. It is how many classes are shown.")
    if cfg.csv is not None:
        path = Path(str(cfg.csv)).expanduser()
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            raise ConfigError(
                f"csv needs a file in a folder that can be written, but got {path}. "
                "Write it as in csv=out.csv."
            )


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
