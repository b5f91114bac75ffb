"""Finds image files, classifies them in batches, and writes a table of the classes."""

import csv
import glob
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import ListConfig

from kerasweep.data.folder_layout import image_files
from kerasweep.data.image_file import SUFFIXES, open_image
from kerasweep.errors import DataError, readable
from kerasweep.handover.recorded_model import RecordedModel
from kerasweep.serving.pixels import to_pixels

BATCH = 256  # images in memory


@dataclass
class Files:
    """The image files to classify."""

    paths: list[Path]
    unreadable: list[Path] = field(default_factory=list)  # of folders and patterns, filled by `classify`


@dataclass(frozen=True)
class Prediction:
    """One image's class."""

    path: Path
    changes: list[str]  # see to_pixels
    probabilities: np.ndarray  # float32 (classes,)


def find_files(images: Any) -> Files:
    """Returns the files of one or more names of files, folders or patterns.

    Raises:
        DataError: A named file is missing or is no image, or a folder or pattern has no images.
    """
    files = Files([])
    for name in images if isinstance(images, ListConfig) else [images]:
        path = Path(str(name)).expanduser()
        if path.is_dir():
            found = image_files(path)
        elif not path.exists() and glob.has_magic(str(name)):
            matches = map(Path, glob.iglob(str(path), recursive=True))
            found = sorted(match for match in matches if match.suffix.lower() in SUFFIXES and match.is_file())
        else:
            open_image(path)  # an error ends the command before the model is loaded
            files.paths.append(path)
            continue
        if not found:
            raise DataError(
                f"images={name} has no image files ({', '.join(sorted(SUFFIXES))}). Check the path."
            )
        files.paths += found
    return files


def classify(recorded: RecordedModel, shape: tuple[int, int, int], files: Files) -> Iterator[Prediction]:
    """Yields each image's prediction, and notes files that cannot be read; few images are in memory.

    Args:
        recorded: The model.
        shape: Height, width and channels of its images.
        files: The files.

    Raises:
        DataError: No file can be read.
    """
    for start in range(0, len(files.paths), BATCH):
        paths = files.paths[start : start + BATCH]
        converted = [image for path in paths if (image := _read(recorded, shape, path, files)) is not None]
        if not converted:
            continue
        batch = np.stack([pixels for _, pixels, _ in converted])
        probabilities = np.asarray(recorded.model.predict(batch, verbose=0))
        for (path, _, changes), row in zip(converted, probabilities, strict=True):
            yield Prediction(path, changes, row)
    if len(files.unreadable) == len(files.paths):
        raise DataError(
            f"None of the {len(files.paths)} files can be read as an image. The first: {files.paths[0]}"
        )


def _read(
    recorded: RecordedModel, shape: tuple[int, int, int], path: Path, files: Files
) -> tuple[Path, np.ndarray, list[str]] | None:
    try:
        image = open_image(path)
    except DataError:
        files.unreadable.append(path)
        return None
    return path, *to_pixels(image, shape[2], shape[:2], recorded.conversion)


def write_csv(path: Path, predictions: Iterable[Prediction], class_names: Sequence[str]) -> str:
    """Writes one row per image as it is classified: its class, and each class's probability.

    The file gets its name at the end, so that it is never half a table.

    Returns:
        The number of images, and of each class.
    """
    counts: Counter[str] = Counter()
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["image", "class", "probability", *(f"p_{name}" for name in class_names)])
            for prediction in predictions:
                shares, best = prediction.probabilities, int(prediction.probabilities.argmax())
                texts = [f"{share:.6g}" for share in (shares[best], *shares)]
                writer.writerow([readable(str(prediction.path)), class_names[best], *texts])
                counts[class_names[best]] += 1
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    images = "1 image" if counts.total() == 1 else f"{counts.total():,} images"
    return f"{images}: {', '.join(f'{name} {count:,}' for name, count in counts.most_common())}"
