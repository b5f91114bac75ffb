"""Classifies images with a recorded model: python -m src.predict run_id=ID images=[a.png,b.png]"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import hydra
import numpy as np
from omegaconf import DictConfig

from src.command_line import check_overrides, run_command
from src.config import register
from src.errors import ConfigError, DataError, TrackingError
from src.training.start import start_tensorflow

register()


def predict(cfg: DictConfig) -> None:
    """Print the class and the likeliest classes' probabilities of each image.

    Raises ConfigError without images, DataError for one that cannot be read, TrackingError for
    a run that does not exist or keeps no model.
    """
    if not cfg.images:
        raise ConfigError("images needs one file or more, as in images=[digit.png].")
    paths = [Path(str(path)).expanduser() for path in cfg.images]
    images = [_open(path) for path in paths]
    model, class_names = _load(cfg)
    shape = tuple(int(side) for side in model.input_shape[1:])
    converted = [_fit_to(image, shape) for image in images]
    batch = np.stack([array for array, _ in converted])
    probabilities = np.asarray(model.predict(batch, verbose=0))
    for path, (_, note), row in zip(paths, converted, probabilities, strict=True):
        best = np.argsort(-row, kind="stable")[: cfg.top]
        others = ", ".join(f"{class_names[i]} {row[i]:.1%}" for i in best)
        print(f"{path}: {class_names[best[0]]}  ({others})")
        if note:
            print(f"  {note}")


def _load(cfg: DictConfig) -> tuple[Any, list[str]]:
    """The run's model, which takes raw pixels 0..255, and the names of its classes."""
    from src.tracking.query import download, get_run, list_artifacts

    run = get_run(cfg.tracking, cfg.run_id)
    if "model/model.keras" not in list_artifacts(cfg.tracking, run.run_id, "model"):
        raise TrackingError(_no_model(cfg, run.run_id, run.tags.get("sweep")))
    with tempfile.TemporaryDirectory() as folder:
        path = download(cfg.tracking, run.run_id, "model/model.keras", Path(folder))
        names = json.loads(download(cfg.tracking, run.run_id, "model/classes.json", Path(folder)).read_text())
        start_tensorflow()
        import keras

        return keras.models.load_model(path, compile=False, safe_mode=True), names


def _no_model(cfg: DictConfig, run_id: str, sweep: str | None) -> str:
    from src.tracking.query import find_runs, list_artifacts

    text = f"The run {run_id} keeps no model: in a sweep only those that were the best so far do."
    siblings = find_runs(cfg.tracking, {"sweep": sweep, "kind": "trial"}) if sweep else []
    for run in siblings:
        if list_artifacts(cfg.tracking, run.run_id, "model"):
            return f"{text} The run {run.run_id} of the same sweep has one."
    return text


def _open(path: Path) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            image.load()
            return image.copy()
    except FileNotFoundError as error:
        raise DataError(f"images names {path}, which does not exist.") from error
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as an image. Give a PNG, JPEG, BMP or GIF file.") from error


def _fit_to(image: Any, shape: tuple[int, ...]) -> tuple[np.ndarray, str]:
    """The pixels uint8 (height, width, channels) that the model takes, and what was converted."""
    from PIL import Image

    height, width, channels = shape
    mode, notes = "L" if channels == 1 else "RGB", []
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
        notes.append("transparency to white")
    if image.mode != mode:
        notes.append(f"{image.mode} to {mode}")
        image = image.convert(mode)
    if image.size != (width, height):
        notes.append(f"{image.size[1]}x{image.size[0]} to {height}x{width} pixels")
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.uint8).reshape(height, width, channels)
    return pixels, f"converted: {', '.join(notes)}" if notes else ""


@hydra.main(config_path="pkg://conf", config_name="predict", version_base="1.3")
def _predict(cfg: DictConfig) -> None:
    run_command(lambda: predict(cfg))


def main() -> None:
    check_overrides(sys.argv[1:])
    _predict()


if __name__ == "__main__":
    main()
