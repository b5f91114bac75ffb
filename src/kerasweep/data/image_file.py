"""Opens image files."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from PIL import Image

from kerasweep.errors import DataError
from kerasweep.serving.pixels import DAMAGE

GRAYSCALE_MODES = {"1", "L", "LA", "I", "I;16"}

Read = TypeVar("Read")


def open_image(path: Path) -> Image.Image:
    """Decodes an image file. Raises DataError if it is missing or is no image."""
    return _read(path, lambda image: image.copy())


def is_grayscale(path: Path) -> bool:
    """Returns whether a file's header says grayscale. Raises DataError as open_image does."""
    return _read(path, lambda image: image.mode in GRAYSCALE_MODES)


def _read(path: Path, take: Callable[[Image.Image], Read]) -> Read:
    try:
        with Image.open(path) as image:
            return take(image)
    except FileNotFoundError as error:
        raise DataError(f"The image {path} does not exist. Check the path.") from error
    except DAMAGE as error:
        raise DataError(
            f"{path} cannot be read as an image. Save it again as PNG, JPEG, BMP or GIF, or leave it out."
        ) from error
