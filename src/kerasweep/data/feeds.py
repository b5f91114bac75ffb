"""Feeds images to a program: a documented order, gathered from memory or streamed, augmented in the graph."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import psutil
import tensorflow as tf

from kerasweep.config.data import AugmentConf
from kerasweep.data.prepare import Part

MAX_SHARE_OF_MEMORY = 1 / 8
STREAMED_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Piece:
    """What a graph call reads: images uint8 (n, h, w, c) and labels int64 (n,), in the order int64 (m,)."""

    images: Any
    labels: Any
    order: np.ndarray


class Feed(Protocol):
    """Gives the images of a part, piece by piece."""

    def __len__(self) -> int: ...

    def pieces(self, order: np.ndarray, batch_size: int, steps: Callable[[], int]) -> Iterator[Piece]:
        """Whole batches in that order, except that the last batch may be smaller.

        steps: how many batches the next piece should have, asked before each.
        """
        ...


def epoch_order(count: int, seed: int, epoch: int, shuffle: bool) -> np.ndarray:
    """Which image comes when in an epoch, counted from 1: int64 (count,).

    Shuffled, it is the stable argsort of `count` draws of tf.random.stateless_uniform, float64 in
    [0, 1), with the seeds (seed, epoch), whatever came before it; else that of the part.
    """
    if not shuffle:
        return np.arange(count, dtype=np.int64)
    with tf.device("CPU:0"):
        draws = tf.random.stateless_uniform([count], [seed, epoch], dtype=tf.float64)
    return np.argsort(draws.numpy(), kind="stable")


class InMemory:
    """A part whose images TensorFlow holds, on the GPU where there is one."""

    def __init__(self, part: Part) -> None:
        self.images = tf.constant(part.images)
        self.labels = tf.constant(part.labels)

    def __len__(self) -> int:
        return int(self.labels.shape[0])

    def pieces(self, order: np.ndarray, batch_size: int, steps: Callable[[], int]) -> Iterator[Piece]:
        start = 0
        while start < len(order):
            end = start + steps() * batch_size
            yield Piece(self.images, self.labels, order[start:end])
            start = end


class Streamed:
    """A part whose images stay in their file and are read ahead, STREAMED_BYTES at a time."""

    def __init__(self, part: Part) -> None:
        self.part = part

    def __len__(self) -> int:
        return len(self.part)

    def pieces(self, order: np.ndarray, batch_size: int, steps: Callable[[], int]) -> Iterator[Piece]:
        """`steps` is not asked: what is read ahead has a size of its own."""
        part, shape = self.part, self.part.image_shape
        size = max(1, STREAMED_BYTES // (batch_size * int(np.prod(shape)))) * batch_size

        def read(start: Any) -> tuple[np.ndarray, np.ndarray]:
            taken = order[start : start + size]
            return part.take(taken), part.labels[taken]

        def load(start: Any) -> tuple[Any, Any]:
            images, labels = tf.numpy_function(read, [start], [tf.uint8, tf.int64])
            return tf.ensure_shape(images, [None, *shape]), tf.ensure_shape(labels, [None])

        for images, labels in tf.data.Dataset.range(0, len(order), size).map(load).prefetch(1):
            yield Piece(images, labels, np.arange(len(labels), dtype=np.int64))


_feeds: WeakKeyDictionary[Part, Feed] = WeakKeyDictionary()


def feed_of(part: Part) -> Feed:
    """The feed of a part, made once: streamed where the images would fill much of the free memory."""
    if part not in _feeds:
        most = psutil.virtual_memory().available * MAX_SHARE_OF_MEMORY
        _feeds[part] = InMemory(part) if part.nbytes <= most else Streamed(part)
    return _feeds[part]


def augmented(images: Any, augment: AugmentConf, seed: Any, epoch: Any, step: Any) -> Any:
    """Flip and shift a batch, as seed, epoch and the batch's number (from 0) alone decide; in a graph.

    A shift is a crop of the image padded by reflection on each side. Images uint8
    (b, height, width, channels) come in and go out.
    """
    if not (augment.horizontal_flip or augment.crop_padding):
        return images
    pair = tf.random.fold_in(tf.random.fold_in(tf.stack([seed, tf.ones_like(seed)]), epoch), step)
    pair = tf.cast(pair % (2**31 - 1), tf.int32)
    count, (height, width) = tf.shape(images)[0], images.shape[1:3]
    rows, columns = _shifted_axes(count, height, width, augment.crop_padding, pair)
    if augment.horizontal_flip:
        is_flipped = tf.random.stateless_uniform([count, 1], pair) < 0.5
        columns = tf.where(is_flipped, width - 1 - columns, columns)
    # Which pixel comes where, so that each is copied once.
    first = tf.range(tf.cast(count, tf.int64))[:, tf.newaxis, tf.newaxis] * (height * width)
    pixels = tf.reshape(images, [-1, images.shape[3]])
    return tf.gather(pixels, first + rows[:, :, tf.newaxis] * width + columns[:, tf.newaxis, :])


def _shifted_axes(count: Any, height: int, width: int, padding: int, pair: Any) -> tuple[Any, Any]:
    """Which row and which column of each image comes where: int64 (count, height), (count, width)."""
    shifts = tf.random.stateless_uniform([count, 2], pair + 1, -padding, padding + 1, dtype=tf.int64)
    rows = shifts[:, 0:1] + tf.range(height, dtype=tf.int64)
    columns = shifts[:, 1:2] + tf.range(width, dtype=tf.int64)
    return _reflected(rows, height), _reflected(columns, width)


def _reflected(position: Any, size: int) -> Any:
    """Positions outside 0..size-1, mirrored at the first and the last without repeating them."""
    return (size - 1) - tf.abs((size - 1) - tf.abs(position))
