"""Pixel scaling whose statistics come from the training part alone."""

from dataclasses import dataclass

import numpy as np

_CHUNK = 1024


@dataclass(frozen=True)
class Scaling:
    """scaled = pixel · scale + offset; one number each, or one a channel."""

    scale: tuple[float, ...]
    offset: tuple[float, ...]

    def apply(self, images: np.ndarray) -> np.ndarray:
        """Scaled float32 images of the same shape."""
        scale, offset = np.array(self.scale, np.float32), np.array(self.offset, np.float32)
        return images.astype(np.float32) * scale + offset


def fit_scaling(kind: str, images: np.ndarray) -> Scaling:
    """The scaling of a kind for these training images uint8 (n, height, width, channels).

    none: pixels as they are. min_max: the smallest pixel to 0, the largest to 1. z_score: each
    channel to mean 0 and standard deviation 1. A constant image is only shifted.
    """
    if kind == "none":
        return Scaling((1.0,), (0.0,))
    counts = _histograms(images)
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
    channels = images.shape[-1]
    counts = np.zeros((channels, 256), dtype=np.int64)
    for start in range(0, len(images), _CHUNK):
        chunk = np.asarray(images[start : start + _CHUNK])
        for channel in range(channels):
            counts[channel] += np.bincount(chunk[..., channel].reshape(-1), minlength=256)
    return counts
