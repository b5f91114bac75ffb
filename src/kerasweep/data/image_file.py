"""Opens image files."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from kerasweep.errors import DataError
from kerasweep.serving.pixels import DAMAGE, UnsupportedDepthError, decode, is_deep

SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff")
GRAYSCALE_MODES = {"1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N"}

Read = TypeVar("Read")


@contextmanager
def silent_pillow() -> Iterator[None]:
    """Ignores Pillow's warnings about large images and odd EXIF data.

    Threads that read images share one: to enter it changes the filters of the whole process.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def open_image(path: Path) -> Image.Image:
    """Decodes an image file, upright. Raises DataError if it is missing or is no image."""
    with silent_pillow():
        return decode_file(path)


def decode_file(path: Path, content: Callable[[Path], Any] | None = None) -> Image.Image:
    """Does the same as open_image, in a thread: the caller has entered `silent_pillow`.

    Args:
        path: The file.
        content: Opens an image that is no file, but has the name of the path.
    """
    return _read(path, decode, content)


def read_depth(path: Path, content: Callable[[Path], Any] | None = None) -> tuple[bool, int]:
    """Returns whether a file is grayscale, and its largest value if it has more than 8 bits a pixel, else 0.

    Only such a file is decoded. Arguments and errors are those of decode_file.
    """
    return _read(path, _depth, content)


def _depth(image: Image.Image) -> tuple[bool, int]:
    largest = int(decode(image).getextrema()[1]) if is_deep(image) else 0  # type: ignore[arg-type]
    return image.mode in GRAYSCALE_MODES, largest


def _read(
    path: Path, take: Callable[[Image.Image], Read], content: Callable[[Path], Any] | None = None
) -> Read:
    if path.is_dir():
        raise DataError(f"{path} is a folder, but needs to be an image file. Name a file in it.")
    try:
        with Image.open(path if content is None else content(path)) as image:
            return take(image)
    except FileNotFoundError as error:
        raise DataError(f"The image {path} does not exist. Check the path.") from error
    except PermissionError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}). Check its permissions.") from error
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{path} has more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels. Save it smaller."
        ) from error
    except UnsupportedDepthError as error:
        raise DataError(
            f"{path} has {error}, but an image needs whole numbers from 0 to 65535. "
            "Save it with 8 or 16 bits a pixel."
        ) from error
    except DAMAGE as error:
        raise DataError(
            f"{path} cannot be read as an image. "
            "Save it again as PNG, JPEG, WEBP, TIFF, BMP or GIF, or leave it out."
        ) from error
