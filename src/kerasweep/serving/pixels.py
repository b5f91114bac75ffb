"""Converts decoded images to the pixels that a network reads."""

import json
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

# Pillow raises these for damage, even SyntaxError, and for a header that claims billions of pixels.
DAMAGE = (
    *(UnidentifiedImageError, OSError, SyntaxError, ValueError, MemoryError, struct.error),
    Image.DecompressionBombError,
)
CONVERSION_FILE = "conversion.json"  # beside a model's `.keras` file
_NAMES = {"L": "grayscale", "RGB": "RGB", "1": "black and white", "P": "palette"}
_MAX_DEEP = 65535
# By EXIF's orientation, as in Pillow's ImageOps.exif_transpose.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Conversion:
    """How a model's training converted image files; its predictions do the same."""

    resize: str = "stretch"  # stretch, pad or crop an image of another aspect ratio
    divisor: int = 256  # turns the values of a file with more than 8 bits a pixel into 0..255

    def save(self, folder: Path) -> None:
        """Writes the conversion into a model's data folder."""
        (folder / CONVERSION_FILE).write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, folder: Path) -> "Conversion":
        """Reads the conversion of a model; the models of older versions have the defaults."""
        file = folder / CONVERSION_FILE
        return cls(**json.loads(file.read_text())) if file.is_file() else cls()


class UnsupportedDepthError(ValueError):
    """An image has values that do not fit into 16 bits; the text says which."""


def find_divisor(largest: int) -> int:
    """Returns the power of two that brings values of up to 16 bits to 0..255.

    Args:
        largest: The largest value of a data set, so 12 bits in files of 16 bits a pixel give 16.

    Example:
        >>> [find_divisor(largest) for largest in (255, 4095, 65535)]
        [1, 16, 256]
    """
    return 1 << max(int(largest).bit_length() - 8, 0)


def is_deep(image: Image.Image) -> bool:
    """Whether an image has more than 8 bits a pixel."""
    return image.mode.startswith(("I", "F"))


def decode(image: Image.Image) -> Image.Image:
    """Decodes an opened image, turned upright as its EXIF orientation says.

    Raises:
        UnsupportedDepthError: Its values are fractions, negative, or above 65535.
    """
    image.load()  # which turns a TIFF, and deletes its orientation
    turn = _TURNS.get(_orientation(image))
    if is_deep(image):
        if image.mode == "F":
            raise UnsupportedDepthError("fractions as pixels")
        image = image.convert("I")  # Pillow cannot turn the other orders of bytes
        low, high = image.getextrema()
        if low < 0 or high > _MAX_DEEP:  # type: ignore[operator]
            raise UnsupportedDepthError(f"pixels from {low} to {high}")
    return image.copy() if turn is None else image.transpose(turn)


def _orientation(image: Image.Image) -> Any:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except DAMAGE:  # of the EXIF data alone: the image is upright, as far as anyone knows
        return None


def to_pixels(
    image: Image.Image, channels: int, size: tuple[int, int] | None, conversion: Conversion | None = None
) -> tuple[np.ndarray, list[str]]:
    """Converts an image to pixels.

    Transparency becomes white; resizing is bilinear.

    Args:
        image: The image, as `decode` returns it.
        channels: 1 or 3.
        size: Height and width; None to keep the image's own.
        conversion: How to resize and to divide; None for the defaults.

    Returns:
        uint8 (height, width, channels), and a phrase for each change that was necessary.
    """
    conversion = conversion or Conversion()
    mode, changes = "L" if channels == 1 else "RGB", []
    if is_deep(image):  # Pillow's conversion would clip at 255
        divided = np.asarray(image) // conversion.divisor
        clipped = " (too bright ones to 255)" if divided.max(initial=0) > 255 else ""
        image = Image.fromarray(np.minimum(divided, 255).astype(np.uint8))
        changes.append(f"16 bits a pixel to 8{clipped}")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
        changes.append("transparency to white")
    if image.mode != mode:
        changes.append(f"{_NAMES.get(image.mode, image.mode)} to {_NAMES[mode]}")
        image = image.convert("RGB") if image.mode == "LAB" else image  # Pillow has no way from LAB to L
        image = image.convert(mode)
    if size is not None and image.size != (size[1], size[0]):
        changes.append(f"{image.size[1]}x{image.size[0]} to {size[0]}x{size[1]} pixels")
        image = _resized(image, (size[1], size[0]), conversion.resize)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels.reshape(*pixels.shape[:2], channels), changes


def _resized(image: Image.Image, size: tuple[int, int], resize: str) -> Image.Image:
    """Returns an image of this width and height; pad adds black borders, crop cuts the longer side."""
    bilinear = Image.Resampling.BILINEAR
    if resize == "crop":
        return ImageOps.fit(image, size, bilinear)
    if resize == "stretch":
        return image.resize(size, bilinear)
    scale = min(size[0] / image.width, size[1] / image.height)
    width, height = (max(round(side * scale), 1) for side in image.size)
    padded = Image.new(image.mode, size)
    padded.paste(image.resize((width, height), bilinear), ((size[0] - width) // 2, (size[1] - height) // 2))
    return padded
