"""Feeds images to a program: shuffled by seed, gathered from memory or streamed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import psutil
import tensorflow as tf

from kerasweep.data.prepare import Part

MAX_SHARE_OF_MEMORY = 1 / 8
STREAMED_BYTES, STREAMED_AHEAD = 16 * 2**20, 2
SECONDS_PER_CALL = 0.5


@dataclass(frozen=True)
class Piece:
    """The input of one graph call."""

    images: Any  # uint8 (n, height, width, channels), or features float32 (n, d)
    labels: Any  # int64 (n,)
    order: np.ndarray  # int64 (m,), indices into the images


class Pace:
    """Chooses the steps of a graph call so that it lasts about SECONDS_PER_CALL.

    A call may have eight times the steps of the one before: the first is traced, so its time says little.
    """

    def __init__(self) -> None:
        self._steps = 1

    def steps(self) -> int:
        """Returns the number of steps for the next call."""
        return self._steps

    def update(self, steps: int, seconds: float) -> None:
        """Learns from the last call."""
        self._steps = max(1, min(8 * steps, int(SECONDS_PER_CALL * steps / max(seconds, 1e-6))))


class Feed(Protocol):
    """Gives the images of a part, piece by piece."""

    def __len__(self) -> int: ...

    def pieces(self, order: np.ndarray, batch_size: int, steps: Callable[[], int]) -> Iterator[Piece]:
        """Yields whole batches in that order; the last batch may be smaller.

        Args:
            order: int64 (n,), indices into the part.
            batch_size: Images per batch.
            steps: Returns the number of batches for the next piece; called before each.
        """
        ...


def epoch_order(count: int, seed: int, epoch: int, shuffle: bool) -> np.ndarray:
    """Returns the order of the images in an epoch, int64 (count,).

    Args:
        count: The number of images.
        seed: Seeds the order, whatever was drawn before.
        epoch: Counted from 1.
        shuffle: True for the stable argsort of `count` draws of tf.random.stateless_uniform, float64 in
            [0, 1), with the seeds (seed, epoch); False for 0, 1, 2, ... .
    """
    if not shuffle:
        return np.arange(count, dtype=np.int64)
    with tf.device("CPU:0"):
        draws = tf.random.stateless_uniform([count], [seed, epoch], dtype=tf.float64)
    return np.argsort(draws.numpy(), kind="stable")


class InMemory:
    """Keeps a part's images in TensorFlow's memory, on the GPU if there is one."""

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
    """Leaves a part's images in their file and reads STREAMED_AHEAD pieces of STREAMED_BYTES ahead."""

    def __init__(self, part: Part) -> None:
        self.part = part

    def __len__(self) -> int:
        return len(self.part)

    def pieces(self, order: np.ndarray, batch_size: int, steps: Callable[[], int]) -> Iterator[Piece]:
        """Ignores `steps`: a piece is as large as the part that is read ahead."""
        part, shape = self.part, self.part.image_shape
        item_bytes = int(np.prod(shape)) * part.source.itemsize
        size = max(1, STREAMED_BYTES // (batch_size * item_bytes)) * batch_size

        def read(start: Any) -> tuple[np.ndarray, np.ndarray]:
            taken = order[start : start + size]
            return part.take(taken), part.labels[taken]

        def load(start: Any) -> tuple[Any, Any]:
            images, labels = tf.numpy_function(read, [start], [part.source.dtype, tf.int64])
            return tf.ensure_shape(images, [None, *shape]), tf.ensure_shape(labels, [None])

        for images, labels in tf.data.Dataset.range(0, len(order), size).map(load).prefetch(STREAMED_AHEAD):
            yield Piece(images, labels, np.arange(len(labels), dtype=np.int64))


_feeds: WeakKeyDictionary[Part, Feed] = WeakKeyDictionary()


def feed_of(part: Part) -> Feed:
    """Returns the feed of a part, made once: streamed if the images would fill 1/8 of the free memory."""
    if part not in _feeds:
        limit = psutil.virtual_memory().available * MAX_SHARE_OF_MEMORY
        _feeds[part] = InMemory(part) if part.nbytes <= limit else Streamed(part)
    return _feeds[part]
