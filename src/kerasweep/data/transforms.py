"""Transforms batches of images by given numbers, in the graph; `data/augment.py` draws the numbers.

Images are uint8 (b, height, width, channels) before and after; results are rounded.
"""

from typing import Any

import numpy as np
import tensorflow as tf


def gather_pixels(images: Any, rows: Any, columns: Any) -> Any:
    """Copies each pixel from its source row and column.

    Args:
        images: uint8 (b, height, width, channels).
        rows: int64 (b, height, 1) or (b, height, width).
        columns: int64 (b, 1, width) or (b, height, width).
    """
    height, width, channels = images.shape[1:]
    first = tf.range(tf.shape(images, tf.int64)[0])[:, tf.newaxis, tf.newaxis] * (height * width)
    return tf.gather(tf.reshape(images, [-1, channels]), first + rows * width + columns)


def reflect(position: Any, size: int) -> Any:
    """Mirrors positions outside 0..size-1 at the first and the last, without repeating these."""
    period = max(1, 2 * (size - 1))
    position = tf.math.floormod(position, period)
    return tf.minimum(position, period - position) if size > 1 else position


def rotate_and_zoom(images: Any, turns: Any, zooms: Any) -> Any:
    """Rotates and zooms around the centre: bilinear, and mirrored at the border.

    Args:
        images: uint8 (b, height, width, channels).
        turns: float32 (b,), as shares of a full turn, counter-clockwise.
        zooms: float32 (b,), the side of the visible section as a share of the image's; above 1 zooms out.
    """
    height, width = images.shape[1:3]
    turns, zooms = turns[:, tf.newaxis, tf.newaxis], zooms[:, tf.newaxis, tf.newaxis]
    cosine, sine = zooms * tf.cos(turns * (2 * np.pi)), zooms * tf.sin(turns * (2 * np.pi))
    middle_row, middle_column = (height - 1) / 2, (width - 1) / 2
    rows = tf.range(height, dtype=tf.float32)[:, tf.newaxis] - middle_row
    columns = tf.range(width, dtype=tf.float32) - middle_column
    source_rows = sine * columns + cosine * rows + middle_row
    source_columns = cosine * columns - sine * rows + middle_column
    top, left = tf.floor(source_rows), tf.floor(source_columns)
    below, beside = (source_rows - top)[..., tf.newaxis], (source_columns - left)[..., tf.newaxis]
    first_row, first_column = tf.cast(top, tf.int64), tf.cast(left, tf.int64)
    upper, lower = reflect(first_row, height), reflect(first_row + 1, height)
    before, after = reflect(first_column, width), reflect(first_column + 1, width)

    def blend(rows: Any) -> Any:
        lefts, rights = (
            tf.cast(gather_pixels(images, rows, columns), tf.float32) for columns in (before, after)
        )
        return lefts + (rights - lefts) * beside

    uppers = blend(upper)
    return _to_pixels(uppers + (blend(lower) - uppers) * below)


def brighten(images: Any, shares: Any) -> Any:
    """Adds to each image a share of 255, float32 (b,), and clips."""
    return _to_pixels(tf.cast(images, tf.float32) + 255 * _for_pixels(shares))


def scale_contrast(images: Any, factors: Any) -> Any:
    """Multiplies each channel's distance from its mean in the image by a factor, float32 (b,), and clips."""
    values = tf.cast(images, tf.float32)
    means = tf.reduce_mean(values, axis=(1, 2), keepdims=True)
    return _to_pixels((values - means) * _for_pixels(factors) + means)


def erase(images: Any, centres: Any, share: Any) -> Any:
    """Gives a rectangle of each image the mean of the image in each channel.

    Args:
        images: uint8 (b, height, width, channels).
        centres: float32 (b, 2), row and column as shares of the height and the width: the rectangle may end
            outside the image.
        share: float32 scalar, the rectangle's sides as a share of the image's.
    """
    inside = []
    for side, size in enumerate(images.shape[1:3]):
        first = (centres[:, side : side + 1] - share / 2) * size
        position = tf.range(size, dtype=tf.float32)
        inside.append((position >= first) & (position < first + share * size))
    rows, columns = inside
    is_erased = rows[:, :, tf.newaxis, tf.newaxis] & columns[:, tf.newaxis, :, tf.newaxis]
    means = tf.reduce_mean(tf.cast(images, tf.float32), axis=(1, 2), keepdims=True)
    return tf.where(is_erased, _to_pixels(means), images)


def mix_images(images: Any, partners: Any, weights: Any) -> Any:
    """Mixes each image with another of the batch.

    Args:
        images: uint8 (b, height, width, channels).
        partners: Indices (b,) of the other images.
        weights: float32 (b,), the share of the image itself.
    """
    values = tf.cast(images, tf.float32)
    others = tf.gather(values, partners)
    return _to_pixels(others + (values - others) * _for_pixels(weights))


def mix_labels(targets: Any, partners: Any, weights: Any) -> Any:
    """Mixes one-hot labels float32 (b, classes) as `mix_images` mixes images."""
    others = tf.gather(targets, partners)
    return others + (targets - others) * weights[:, tf.newaxis]


def _for_pixels(numbers: Any) -> Any:
    return numbers[:, tf.newaxis, tf.newaxis, tf.newaxis]


def _to_pixels(values: Any) -> Any:
    return tf.cast(tf.round(tf.clip_by_value(values, 0.0, 255.0)), tf.uint8)
