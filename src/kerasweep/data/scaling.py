"""Scales pixels, with statistics of the training part only."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np


@dataclass(frozen=True)
class Scaling:
    """scaled = pixel · scale + offset, with one number each, or one per channel."""

    scale: tuple[float, ...]
    offset: tuple[float, ...]

    def apply(self, images: np.ndarray) -> np.ndarray:
        """Returns scaled float32 images of the same shape."""
        scale, offset = np.array(self.scale, np.float32), np.array(self.offset, np.float32)
        return images.astype(np.float32) * scale + offset


def fit_scaling(kind: str, pieces: Iterable[np.ndarray]) -> Scaling:
    """Fits a scaling to the training images.

    Args:
        kind: `none` keeps the pixels; `min_max` maps the smallest to 0 and the largest to 1; `z_score` gives
            each channel mean 0 and standard deviation 1. Constant pixels are only shifted.
        pieces: The images, uint8 (n, height, width, channels) each.
    """
    if kind == "none":
        return Scaling((1.0,), (0.0,))
    if kind == "min_max":
        low, high = _range(pieces)
        scale = 1.0 / (high - low) if high > low else 1.0
        return Scaling((scale,), (-low * scale,))
    counts = reduce(np.add, map(_histograms, pieces))
    pixels = np.arange(256.0)
    weights = counts / counts.sum(axis=1, keepdims=True)
    mean = weights @ pixels
    deviation = np.sqrt(np.maximum((weights * (pixels - mean[:, None]) ** 2).sum(axis=1), 0.0))
    deviation[deviation == 0] = 1.0
    return Scaling(tuple(map(float, 1.0 / deviation)), tuple(map(float, -mean / deviation)))


def _range(pieces: Iterable[np.ndarray]) -> tuple[float, float]:
    low, high = 255, 0
    for images in pieces:
        low, high = min(low, int(images.min())), max(high, int(images.max()))
        if (low, high) == (0, 255):  # as in the first photographs of most data sets
            break
    return float(low), float(high)


def _histograms(images: np.ndarray) -> np.ndarray:
    """Counts each value in each channel, int64 (channels, 256): exact, without a float copy."""
    channels = range(images.shape[-1])
    return np.stack([np.bincount(images[..., channel].reshape(-1), minlength=256) for channel in channels])
