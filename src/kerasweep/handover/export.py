"""Exports a recorded model to other formats, and checks each on the test images."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from kerasweep.config.search import TrackingConf
from kerasweep.data.prepare import Part, Prepared
from kerasweep.data.split import stratified_subset
from kerasweep.handover.card import make_card
from kerasweep.handover.convert import convert, with_names
from kerasweep.handover.export_check import (
    Figures,
    check_equal,
    compare,
    milliseconds_an_image,
    probabilities_by,
)
from kerasweep.handover.export_files import write_files
from kerasweep.handover.export_folder import check_free, disk_errors_of_tensorflow, staged
from kerasweep.handover.export_formats import Format
from kerasweep.handover.origin import read_origin
from kerasweep.handover.recorded_model import RecordedModel
from kerasweep.handover.runtimes import load_exported
from kerasweep.handover.scores import checked_probabilities, score
from kerasweep.training.runtime import banners_hidden

CALIBRATION_IMAGES = 300
PACKAGES = ("kerasweep", "keras", "tensorflow")


def export_model(
    cfg: TrackingConf,
    recorded: RecordedModel,
    data: Prepared,
    formats: Sequence[Format],
    quantize: str | None,
    folder: Path,
) -> list[Figures]:
    """Writes each format into a subfolder, with a card of the exported model, all of them or none.

    Args:
        cfg: Where the model's run is recorded.
        recorded: The model.
        data: The images of its run: int8 is fitted to training images, and each export is checked on all test
            images.
        formats: See `chosen_formats`.
        quantize: INT8, or None for the numbers of the Keras model.
        folder: Gets a subfolder for each format.

    Returns:
        A row for the Keras model, and one for each format.

    Raises:
        ConfigError: A subfolder is taken, or a format lacks an operation of the model.
        TrackingError: The model does not predict numbers.
        StorageError: The disk is full, for example.
    """
    abouts = {subfolder(format, quantize): _about(recorded, data, format, quantize) for format in formats}
    check_free(folder, abouts)
    with staged(folder) as stage, banners_hidden(), disk_errors_of_tensorflow():
        probabilities = checked_probabilities(recorded, data)
        calibration = _calibration(data) if quantize else None
        origin = read_origin(cfg, recorded.run)
        named = with_names(recorded.model, data.test.image_shape)
        rows = [_keras_row(recorded, named, probabilities, data.test, stage)]
        for format, (name, about) in zip(formats, abouts.items(), strict=True):
            (stage / name).mkdir()
            convert(named, format, stage / name, calibration)
            loaded = load_exported(format, stage / name)
            exported = probabilities_by(loaded.predict, data.test)
            comparison = compare(exported, probabilities, data.test.labels)
            if quantize is None:
                check_equal(comparison, format.name)
            size = _bytes(stage / name / format.file)
            milliseconds = milliseconds_an_image(loaded.predict, _first(data.test))
            figures = Figures(name, score(exported, data.test.labels), size, milliseconds, comparison)
            write_files(stage / name, format, loaded, figures, about)
            title = f"{recorded.name}, exported as {name}"
            remark = _remark(figures, quantize, 0 if calibration is None else len(calibration))
            make_card(origin, recorded, data, exported, title, remark).write(stage / name)
            rows.append(figures)
    return rows


def subfolder(format: Format, quantize: str | None) -> str:
    """Returns the name of an export's folder, such as litert-int8."""
    return f"{format.name}-{quantize}" if quantize else format.name


def table_of(rows: Sequence[Figures]) -> Table:
    """Renders the figures of an export."""
    table = Table()
    table.add_column("format", no_wrap=True)
    for column in ("same class", "largest difference", "accuracy", "bytes", "ms an image"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        compared = row.comparison
        table.add_row(
            row.name,
            f"{compared.agreeing:,} of {row.score.images:,}" if compared else "",
            f"{compared.largest_difference:.2g}" if compared else "",
            str(row.score),
            f"{row.bytes:,}",
            f"{row.milliseconds:.3g}",
        )
    return table


def _about(recorded: RecordedModel, data: Prepared, format: Format, quantize: str | None) -> dict[str, Any]:
    return {
        "format": format.name,
        "quantize": quantize,
        "run_id": recorded.run.run_id,
        "data_digest": data.digest,
        "class_names": recorded.class_names,
        "versions": {package: version(package) for package in (*PACKAGES, *format.packages)},
    }


def _remark(figures: Figures, quantize: str | None, calibrated: int) -> str:
    """Says on a card how the export compares with the Keras model."""
    compared, images = figures.comparison, figures.score.images
    assert compared is not None
    start = f"Its numbers are {quantize}, fitted to {calibrated} training images: it " if quantize else "It "
    same = f"gives {compared.agreeing:,} of {images:,} test images the class that the Keras model gives"
    return f"{start}{same}, and {compared}."


def _keras_row(
    recorded: RecordedModel, named: Any, probabilities: np.ndarray, test: Part, stage: Path
) -> Figures:
    """Returns the row of the Keras model, whose time is that of Keras's own function for one batch."""
    file = stage / "model.keras"
    recorded.model.save(file)
    milliseconds = milliseconds_an_image(named.predict_on_batch, _first(test))
    return Figures("keras", score(probabilities, test.labels), file.stat().st_size, milliseconds)


def _calibration(data: Prepared) -> np.ndarray:
    """Returns training images of all classes, the same for the same data: uint8 (n, ...)."""
    size = max(CALIBRATION_IMAGES, data.num_classes)
    return data.train.take(stratified_subset(data.train.labels, size, seed=0))


def _first(part: Part) -> np.ndarray:
    return part.take(np.arange(1))[0]


def _bytes(path: Path) -> int:
    """Returns the size of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
