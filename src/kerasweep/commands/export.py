"""Exports a recorded model to other formats: python -m src.export run_id=ID format=[onnx,litert]"""

import atexit
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig, ListConfig, OmegaConf

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
from kerasweep.fast_start import skip_last_collection
from kerasweep.terminal import as_started, say, show
from kerasweep.tracking.tags import EXPORT
from kerasweep.workers.signals import interrupted_by_signals, release_interrupts

if TYPE_CHECKING:
    from kerasweep.handover.export_check import Figures

EXPORTS = "exports"
RUN_DIGITS, MAX_FOLDER_LETTERS = 8, 60
UNSAFE = r"[^\w.-]"  # in the name of a folder
register()


@dataclass(frozen=True)
class ExportedFormat:
    """A model in one format, on the test images."""

    format: str  # such as onnx or litert-int8
    folder: str
    test_accuracy: float
    test_interval: tuple[float, float]  # Wilson's 95 % interval, for other images of the same kind
    same_class: int  # the number of test images that get the class of the Keras model
    largest_difference: float  # of a probability from the Keras model's
    bytes: int
    milliseconds: float  # an image, on this processor


@dataclass(frozen=True)
class Export:
    """The exports of a model."""

    model: str  # "run ID", or an address in the registry
    run_id: str  # of the model
    test_images: int
    keras_test_accuracy: float  # of the model itself
    formats: tuple[ExportedFormat, ...]


def export(cfg: DictConfig) -> None:
    """Exports a model, and prints how each export does on the test images. Tags the run with their folders.

    Raises:
        ConfigError: No or an unknown format, packages are missing, or the network does not fit the format.
        TrackingError: The run does not exist, is not complete, or has no model.
        DataError: The images of the run are gone, or changed.
    """
    from kerasweep.handover.export_formats import chosen_formats

    name = read_model_name(cfg)
    formats = chosen_formats(_texts(cfg, "format"), cfg.quantize)
    # All formats run on the processor, where GPUs would round in another way.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    from kerasweep.handover.custom_objects import custom_objects
    from kerasweep.handover.recorded_data import read_recorded_data
    from kerasweep.handover.recorded_model import read_model
    from kerasweep.tracking.writer import tag_run

    with custom_objects(_texts(cfg, "custom_objects")):
        recorded = read_model(cfg.tracking, name)
    from kerasweep.handover.export import export_model, table_of  # TensorFlow has started

    data = read_recorded_data(cfg.tracking, recorded.run, cfg.data.path)
    folder = Path(EXPORTS, _folder_name(recorded.name, recorded.run.run_id))
    if cfg.folder is not None:
        folder = Path(cfg.folder).expanduser()
    rows = export_model(cfg.tracking, recorded, data, formats, cfg.quantize, folder)
    say(f"{recorded.name} on its {len(data.test):,} test images:")
    show(table_of(rows))
    exports = rows[1:]  # the first row is the Keras model
    for row in exports if cfg.quantize else []:
        say(f"{row.name} {row.comparison}")
    for row in exports:
        say(f"exported: {folder / row.name}")
    places = {f"{EXPORT}{row.name}": f"{folder.absolute() / row.name}: {row.score}" for row in exports}
    tag_run(cfg.tracking, recorded.run.run_id, places)
    keras, exported = rows[0].score, tuple(_exported(row, folder) for row in exports)
    give(Export(recorded.name, recorded.run.run_id, keras.images, keras.accuracy, exported))


def _exported(row: "Figures", folder: Path) -> ExportedFormat:
    compared = row.comparison
    assert compared is not None  # only the Keras model has none
    return ExportedFormat(
        format=row.name,
        folder=str(folder.absolute() / row.name),
        test_accuracy=row.score.accuracy,
        test_interval=row.score.interval,
        same_class=compared.agreeing,
        largest_difference=compared.largest_difference,
        bytes=row.bytes,
        milliseconds=row.milliseconds,
    )


def _texts(cfg: DictConfig, key: str) -> list[str]:
    """Returns the texts of a list, or a single text as a list; empty if the key has no value."""
    value: Any = None if OmegaConf.is_missing(cfg, key) else cfg[key]
    if isinstance(value, ListConfig):
        return [str(text) for text in value]
    return [] if value is None else [str(value)]


def _folder_name(name: str, run_id: str) -> str:
    """Returns the name and version of a registered model, or the first digits of the run's id."""
    from kerasweep.tracking.registry import MODEL_URI

    parts = MODEL_URI.fullmatch(name)
    if parts is None:
        return run_id[:RUN_DIGITS]
    return f"{re.sub(UNSAFE, '_', parts['name'])[:MAX_FOLDER_LETTERS]}-{parts['version']}"


@hydra.main(config_path=config_folder("conf"), config_name="export", version_base="1.3")
def _export(cfg: DictConfig) -> None:
    release_interrupts()
    with interrupted_by_signals():
        run_command(lambda: export(cfg))


def run() -> None:
    """Runs the command."""
    atexit.register(skip_last_collection)
    sys.argv[1:] = model_arguments(sys.argv[1:])
    check_overrides(sys.argv[1:], "export")
    compose_once(as_started)
    _export()
