"""Classifies images with a recorded model: python -m src.predict run_id=ID images=[a.png,b.png]"""

import atexit
import math
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import hydra
import numpy as np
from omegaconf import DictConfig, ListConfig

from kerasweep.commands.command_line import check_overrides, read_run_id, run_command
from kerasweep.config import register
from kerasweep.config.composition import compose_once
from kerasweep.config.folders import config_folder
from kerasweep.data.image_file import open_image, to_pixels
from kerasweep.errors import ConfigError, TrackingError
from kerasweep.fast_start import skip_last_collection
from kerasweep.results import sign_of
from kerasweep.terminal import say
from kerasweep.tracking.tags import read_objectives
from kerasweep.training.runtime import start_tensorflow
from kerasweep.workers.signals import release_interrupts

if TYPE_CHECKING:
    from kerasweep.tracking.run_record import RunRecord

IMAGE_CHANNELS = (1, 3)

register()


def predict(cfg: DictConfig) -> None:
    """Prints the class of each image, and the probabilities of the likeliest classes.

    Raises:
        ConfigError: Images or a run id are missing.
        DataError: An image cannot be read.
        TrackingError: The run does not exist, or has no model.
    """
    _check(cfg)
    paths = _paths(cfg.images)
    images = [open_image(path) for path in paths]
    model, class_names = _load(cfg)
    height, width, channels = _input_shape(model, cfg.run_id)
    converted = [to_pixels(image, channels, (height, width)) for image in images]
    batch = np.stack([pixels for pixels, _ in converted])
    probabilities = np.asarray(model.predict(batch, verbose=0))
    for path, (_, changes), row in zip(paths, converted, probabilities, strict=True):
        best = np.argsort(-row, kind="stable")[: cfg.top]
        likeliest = ", ".join(f"{class_names[i]} {row[i]:.1%}" for i in best)
        say(f"{path}: {class_names[best[0]]}  ({likeliest})")
        if changes:
            say(f"  converted: {', '.join(changes)}")


def _check(cfg: DictConfig) -> None:
    read_run_id(cfg)
    if not cfg.images:
        raise ConfigError("images needs one file or more, as in images=[digit.png].")
    if cfg.top < 1:
        raise ConfigError(f"top must be at least 1, but got {cfg.top}. It is how many classes are shown.")


def _paths(images: Any) -> list[Path]:
    """Returns the paths of a list, or a single path as a list."""
    paths = images if isinstance(images, ListConfig) else [images]
    return [Path(str(path)).expanduser() for path in paths]


def _input_shape(model: Any, run_id: str) -> tuple[int, int, int]:
    """Returns height, width and channels of the images that a model takes.

    Raises:
        TrackingError: Image files cannot be converted to this shape.
    """
    shape = tuple(model.input_shape[1:])
    if len(shape) != 3 or None in shape or shape[2] not in IMAGE_CHANNELS:
        raise TrackingError(
            f"src.predict makes grayscale or RGB images of one size, but the model of run {run_id} takes "
            f"{shape}. Call it from Python: mlflow.keras.load_model('runs:/{run_id}/model')."
        )
    return shape


def _load(cfg: DictConfig) -> tuple[Any, list[str]]:
    """Returns the run's model, which takes raw pixels 0..255, and the names of its classes."""
    from kerasweep.tracking.keras_model import download_model, has_model
    from kerasweep.tracking.reader import get_run

    run = get_run(cfg.tracking, cfg.run_id)
    if not has_model(cfg.tracking, run.run_id):
        raise TrackingError(_no_model(cfg, run))
    with TemporaryDirectory() as folder:
        path, names = download_model(cfg.tracking, run.run_id, Path(folder))
        return _read_model(path, run.run_id), names


def _read_model(path: Path, run_id: str) -> Any:
    start_tensorflow()
    import keras

    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise TrackingError(
            f"The model of run {run_id} cannot be loaded: {reason} A network with custom layers "
            "needs them registered with keras.saving.register_keras_serializable, and imported."
        ) from error


def _no_model(cfg: DictConfig, run: "RunRecord") -> str:
    from kerasweep.tracking.keras_model import has_model
    from kerasweep.tracking.reader import find_runs

    text = (
        f"The run {run.run_id} has no model: a sweep saves the model of its best trial, "
        "and with tracking.models=all that of every trial."
    )
    sweep = run.tags.get("sweep")
    siblings = find_runs(cfg.tracking, {"sweep": sweep}) if sweep else []
    for sibling in sorted(siblings, key=_best_first):
        if has_model(cfg.tracking, sibling.run_id):
            return f"{text} The run {sibling.run_id} of the same sweep has one."
    return text


def _best_first(run: "RunRecord") -> float:
    _, direction = read_objectives(run.tags.get("objective", ""))[0]
    value = run.metrics.get("objective", math.nan)
    return math.inf if math.isnan(value) else -sign_of(direction) * value


@hydra.main(config_path=config_folder("conf"), config_name="predict", version_base="1.3")
def _predict(cfg: DictConfig) -> None:
    release_interrupts()
    run_command(lambda: predict(cfg))


def run() -> None:
    """Runs the command."""
    atexit.register(skip_last_collection)
    # Quotes keep Hydra from reading an id such as 12e456 as infinity.
    sys.argv[1:] = [re.sub(r"^run_id=(\w+)$", r"run_id='\1'", argument) for argument in sys.argv[1:]]
    check_overrides(sys.argv[1:], "predict")
    compose_once()
    _predict()
