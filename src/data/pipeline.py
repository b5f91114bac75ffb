"""Feeds images to Keras: gathered by index from memory, augmented and scaled inside the graph."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from src.config.data import AugmentConf
from src.data.prepare import Part
from src.data.scaling import Scaling


def training_batches(
    part: Part,
    scaling: Scaling,
    augment: AugmentConf,
    batch_size: int,
    shuffle: bool,
    seed: int,
    num_classes: int,
    labels: str,
    epochs: range,
) -> Any:
    """A tf.data.Dataset of (images float32 (b, h, w, c), labels), one epoch after the other.

    epochs: their numbers, from 1. Epoch e's order is the stable argsort of n draws of
    tf.random.stateless_uniform, float64 in [0, 1), with the seeds (seed, e), whatever came before it;
    without shuffle it is that of the part. augment: flips and crops depend on seed, epoch and
    batch alone, likewise. labels: `sparse` int64 (b,) or `one_hot` float32 (b, classes). The last
    batch of an epoch may be smaller.
    """
    count, steps = len(part.labels), steps_per_epoch(part, batch_size)

    def epoch_batches(epoch: Any) -> Any:
        order = _order(count, seed, epoch) if shuffle else tf.range(count, dtype=tf.int64)

        def batch(step: Any) -> tuple[Any, Any]:
            index = order[step * batch_size : (step + 1) * batch_size]
            return index, tf.random.fold_in(tf.random.fold_in([seed, 1], epoch), step)

        return tf.data.Dataset.range(steps).map(batch)

    batches = tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(epoch_batches)
    finish = _finisher(part, scaling, num_classes, labels)
    is_plain = not (augment.horizontal_flip or augment.crop_padding)
    return _mapped(batches, _whole_images(part) if is_plain else _augmented_images(part, augment), finish)


def steps_per_epoch(part: Part, batch_size: int) -> int:
    """How many batches an epoch has, the smaller last one among them."""
    return -(-len(part.labels) // batch_size)


def _order(count: int, seed: int, epoch: Any) -> Any:
    draws = tf.random.stateless_uniform(
        [count], tf.stack([tf.constant(seed, tf.int64), epoch]), dtype=tf.float64
    )
    return tf.cast(tf.argsort(draws, stable=True), tf.int64)


def evaluation_batches(part: Part, scaling: Scaling, batch_size: int, num_classes: int, labels: str) -> Any:
    """As training_batches, in the order of the part and without augmentation."""
    batches = tf.data.Dataset.range(len(part.labels)).batch(batch_size)
    return _mapped(batches, _whole_images(part), _finisher(part, scaling, num_classes, labels))


def _mapped(batches: Any, gather: Callable[..., Any], finish: Callable[..., Any]) -> Any:
    def load(index: Any, *seeds: Any) -> tuple[Any, Any]:
        return finish(gather(index, *seeds), index)

    return batches.map(load, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def _finisher(part: Part, scaling: Scaling, num_classes: int, labels: str) -> Callable[..., Any]:
    numbers = tf.constant(part.labels)
    scale, offset = np.array(scaling.scale, np.float32), np.array(scaling.offset, np.float32)

    def finish(images: Any, index: Any) -> tuple[Any, Any]:
        target = tf.gather(numbers, index)
        scaled = tf.cast(images, tf.float32) * scale + offset
        return scaled, tf.one_hot(target, num_classes) if labels == "one_hot" else target

    return finish


def _whole_images(part: Part) -> Callable[..., Any]:
    images = tf.constant(part.images)

    def gather(index: Any, *seeds: Any) -> Any:
        return tf.gather(images, index)

    return gather


def _augmented_images(part: Part, augment: AugmentConf) -> Callable[..., Any]:
    """Flip and shift by choosing which pixel comes where, so that each is copied once.

    A shift is a crop of the image padded by reflection on each side. The two int64 seeds of a
    batch fix what happens to each of its images.
    """
    count, height, width, channels = part.images.shape
    pixels = tf.reshape(tf.constant(part.images), [count * height * width, channels])

    def gather(index: Any, seeds: Any) -> Any:
        pair = tf.cast(seeds % (2**31 - 1), tf.int32)
        rows, columns = _shifted_axes(tf.shape(index)[0], height, width, augment.crop_padding, pair)
        if augment.horizontal_flip:
            is_flipped = tf.random.stateless_uniform([tf.shape(index)[0], 1], pair) < 0.5
            columns = tf.where(is_flipped, width - 1 - columns, columns)
        first = index[:, tf.newaxis, tf.newaxis] * (height * width)
        return tf.gather(pixels, first + rows[:, :, tf.newaxis] * width + columns[:, tf.newaxis, :])

    return gather


def _shifted_axes(count: Any, height: int, width: int, padding: int, pair: Any) -> tuple[Any, Any]:
    """Which row and which column of each image comes where: int64 (count, height), (count, width)."""
    shifts = tf.random.stateless_uniform([count, 2], pair + 1, -padding, padding + 1, dtype=tf.int64)
    rows = shifts[:, 0:1] + tf.range(height, dtype=tf.int64)
    columns = shifts[:, 1:2] + tf.range(width, dtype=tf.int64)
    return _reflected(rows, height), _reflected(columns, width)


def _reflected(position: Any, size: int) -> Any:
    """Positions outside 0..size-1, mirrored at the first and the last without repeating them."""
    return (size - 1) - tf.abs((size - 1) - tf.abs(position))
