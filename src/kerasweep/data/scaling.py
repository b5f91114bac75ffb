"""Pixel scaling whose statistics come from the training part alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np


@dataclass(frozen=True)
class Scaling:
    """scaled = pixel · scale + offset; one number each, or one a channel."""

    scale: tuple[float, ...]
    offset: tuple[float, ...]

    def apply(self, images: np.ndarray) -> np.ndarray:
        """Scaled float32 images of the same shape."""
        scale, offset = np.array(self.scale, np.float32), np.array(self.offset, np.float32)
        return images.astype(np.float32) * scale + offset


def fit_scaling(kind: str, pieces: Iterable[np.ndarray]) -> Scaling:
    """The scaling of a kind for the training images, which come in pieces uint8 (n, height, width, channels).

    none: pixels as they are. min_max: the smallest pixel to 0, the largest to 1. z_score: each
    channel to mean 0 and standard deviation 1. A constant image is only shifted.
    """
    if kind == "none":
        return Scaling((1.0,), (0.0,))
    counts = reduce(np.add, map(_histograms, pieces))
    if kind == "min_max":
        present = np.flatnonzero(counts.sum(axis=0))
        low, high = float(present[0]), float(present[-1])
        scale = 1.0 / (high - low) if high > low else 1.0
        return Scaling((scale,), (-low * scale,))
    pixels = np.arange(256.0)
    weights = counts / counts.sum(axis=1, keepdims=True)
    mean = weights @ pixels
    deviation = np.sqrt(np.maximum((weights * (pixels - mean[:, None]) ** 2).sum(axis=1), 0.0))
    deviation[deviation == 0] = 1.0
    return Scaling(tuple(map(float, 1.0 / deviation)), tuple(map(float, -mean / deviation)))


def _histograms(images: np.ndarray) -> np.ndarray:
    """How often each value occurs in each channel, (channels, 256): exact, without a float copy."""
    channels = range(images.shape[-1])
    return np.stack([np.bincount(images[..., channel].reshape(-1), minlength=256) for channel in channels])
