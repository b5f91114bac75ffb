"""Converts decoded images to the pixels that a network reads."""

import numpy as np
from PIL import Image, UnidentifiedImageError

# Pillow raises these for damage, even SyntaxError, and for a header that claims billions of pixels.
DAMAGE = (
    *(UnidentifiedImageError, OSError, SyntaxError, ValueError, MemoryError),
    Image.DecompressionBombError,
)
_NAMES = {"L": "grayscale", "RGB": "RGB", "1": "black and white", "P": "palette"}


def to_pixels(
    image: Image.Image, channels: int, size: tuple[int, int] | None
) -> tuple[np.ndarray, list[str]]:
    """Converts an image to pixels.

    Transparency becomes white, 16 bits per pixel become the upper 8; resizing is bilinear.

    Args:
        image: The decoded image.
        channels: 1 or 3.
        size: Height and width; None to keep the image's own.

    Returns:
        uint8 (height, width, channels), and a phrase for each change that was necessary.
    """
    mode, changes = "L" if channels == 1 else "RGB", []
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
        changes.append("transparency to white")
    if image.mode.startswith("I"):  # 16 bits per pixel, which Pillow's conversion would clip at 255
        image = Image.fromarray((np.asarray(image) // 256).astype(np.uint8))
        changes.append("16 bits a pixel to 8")
    if image.mode != mode:
        changes.append(f"{_NAMES.get(image.mode, image.mode)} to {_NAMES[mode]}")
        image = image.convert(mode)
    if size is not None and image.size != (size[1], size[0]):
        changes.append(f"{image.size[1]}x{image.size[0]} to {size[0]}x{size[1]} pixels")
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels.reshape(*pixels.shape[:2], channels), changes
