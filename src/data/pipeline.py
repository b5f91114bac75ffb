"""Feeds images to Keras: gathered by index from memory, scaled and augmented inside the graph."""

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
) -> Any:
    """A tf.data.Dataset of one epoch of (images float32 (b, h, w, c), labels).

    shuffle: a new order each time it is iterated, the same sequence of orders for the same seed;
    without it the order of the part. labels: `sparse` int64 (b,) or `one_hot` float32 (b, classes).
    The last batch may be smaller.
    """
    count = len(part.labels)
    indices = tf.data.Dataset.range(count)
    if shuffle:
        indices = indices.shuffle(count, seed=seed, reshuffle_each_iteration=True)
    batches = indices.batch(batch_size)
    gather = _gatherer(part, scaling, num_classes, labels)
    if not (augment.horizontal_flip or augment.crop_padding):
        return batches.map(gather, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)
    seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2, drop_remainder=True)

    def load(index: Any, pair: Any) -> tuple[Any, Any]:
        images, target = gather(index)
        return _augmented(images, pair, augment), target

    zipped = tf.data.Dataset.zip(batches, seeds)
    return zipped.map(load, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def evaluation_batches(part: Part, scaling: Scaling, batch_size: int, num_classes: int, labels: str) -> Any:
    """As training_batches, in the order of the part and without augmentation."""
    batches = tf.data.Dataset.range(len(part.labels)).batch(batch_size)
    gather = _gatherer(part, scaling, num_classes, labels)
    return batches.map(gather, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def _gatherer(part: Part, scaling: Scaling, num_classes: int, labels: str) -> Any:
    images = tf.constant(part.images)
    numbers = tf.constant(part.labels)
    scale, offset = np.array(scaling.scale, np.float32), np.array(scaling.offset, np.float32)

    def gather(index: Any) -> tuple[Any, Any]:
        scaled = tf.cast(tf.gather(images, index), tf.float32) * scale + offset
        target = tf.gather(numbers, index)
        return scaled, tf.one_hot(target, num_classes) if labels == "one_hot" else target

    return gather


def _augmented(images: Any, seeds: Any, augment: AugmentConf) -> Any:
    """Random flips and crops of each image, fixed by two int64 seeds.

    Padding reflects the image's own pixels, which fit under any scaling.
    """
    pair = tf.cast(seeds % (2**31 - 1), tf.int32)
    if augment.horizontal_flip:
        flip = tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], pair) < 0.5
        images = tf.where(flip, tf.reverse(images, axis=[2]), images)
    if augment.crop_padding:
        images = _shifted(images, pair + 1, augment.crop_padding)
    return images


def _shifted(images: Any, pair: Any, padding: int) -> Any:
    """Crop each image of (b, h, w, c) at its own random place after padding by reflection."""
    shape = tf.shape(images)
    edges = [[0, 0], [padding, padding], [padding, padding], [0, 0]]
    padded = tf.pad(images, edges, mode="REFLECT")
    offsets = tf.random.stateless_uniform([shape[0], 2], pair, 0, 2 * padding + 1, dtype=tf.int32)
    rows = offsets[:, 0:1] + tf.range(shape[1])
    columns = offsets[:, 1:2] + tf.range(shape[2])
    by_rows = tf.gather(padded, rows, axis=1, batch_dims=1)
    cropped = tf.gather(by_rows, columns, axis=2, batch_dims=1)
    return tf.ensure_shape(cropped, images.shape)
