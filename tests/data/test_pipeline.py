"""Batches: their order and values; augmentation repeats from run to run, not from epoch to epoch."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from src.config.data import AugmentConf
from src.data.pipeline import evaluation_batches, steps_per_epoch, training_batches
from src.data.prepare import Part
from src.data.scaling import Scaling

PLAIN = Scaling((1.0,), (0.0,))
RAMP = Part(
    np.arange(10 * 6 * 7 * 2).reshape(10, 6, 7, 2).astype(np.uint8), np.arange(10, dtype=np.int64) % 3
)
BOTH = AugmentConf(horizontal_flip=True, crop_padding=2)


def batches(
    augment: AugmentConf | None = None,
    shuffle: bool = True,
    seed: int = 1,
    part: Part = RAMP,
    epochs: range = range(1, 2),
) -> Any:
    return training_batches(part, PLAIN, augment or AugmentConf(), 4, shuffle, seed, 3, "sparse", epochs)


def epochs_of(dataset: Any, count: int) -> list[np.ndarray]:
    """The images of each epoch. count: how many of them in one."""
    images, _ = epoch(dataset)
    return [images[start : start + count] for start in range(0, len(images), count)]


def epoch(dataset: Any) -> tuple[np.ndarray, np.ndarray]:
    images, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def test_keeps_order_and_scales_per_channel() -> None:
    scaling = Scaling((0.5, 2.0), (-1.0, 1.0))
    dataset = training_batches(RAMP, scaling, AugmentConf(), 4, False, 0, 3, "sparse", range(1, 2))
    assert steps_per_epoch(RAMP, 4) == 3
    assert [len(labels) for _, labels in dataset.as_numpy_iterator()] == [4, 4, 2]
    images, labels = epoch(dataset)
    assert (images.dtype, labels.dtype) == (np.float32, np.int64)
    assert np.array_equal(images, scaling.apply(RAMP.images))
    assert np.array_equal(labels, RAMP.labels)


def test_evaluation_gives_one_hot_rows_in_order() -> None:
    images, labels = epoch(evaluation_batches(RAMP, PLAIN, 4, 3, "one_hot"))
    assert np.array_equal(images, RAMP.images)
    assert np.array_equal(labels, np.eye(3, dtype=np.float32)[RAMP.labels])


def test_each_epoch_has_its_own_order_and_each_run_the_same() -> None:
    def orders_of(epochs: range) -> list[list[float]]:
        return [images[:, 0, 0, 0].tolist() for images in epochs_of(batches(epochs=epochs), 10)]

    orders = orders_of(range(1, 4))
    assert orders_of(range(1, 4)) == orders
    assert orders_of(range(2, 4)) == orders[1:]
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == sorted(RAMP.images[:, 0, 0, 0].tolist()) for order in orders)
    assert epoch(batches(seed=2))[0][:, 0, 0, 0].tolist() != orders[0]


def test_labels_stay_with_their_images() -> None:
    images, labels = epoch(batches())
    label_of = dict(zip(RAMP.images[:, 0, 0, 0].tolist(), RAMP.labels.tolist(), strict=True))
    assert [label_of[int(value)] for value in images[:, 0, 0, 0]] == labels.tolist()


@pytest.mark.parametrize("shuffle", [True, False])
def test_augmentation_repeats_from_run_to_run_but_not_from_epoch_to_epoch(shuffle: bool) -> None:
    epochs = epochs_of(batches(BOTH, shuffle, epochs=range(1, 4)), 10)
    again = epochs_of(batches(BOTH, shuffle, epochs=range(2, 4)), 10)
    assert all(np.array_equal(*pair) for pair in zip(epochs[1:], again, strict=True))
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[1], epochs[2])
    assert not np.array_equal(epoch(batches(BOTH, shuffle, seed=2))[0], epochs[0])


def test_flips_about_half_of_the_images() -> None:
    part = Part(np.repeat(RAMP.images[:1], 200, axis=0), np.zeros(200, dtype=np.int64))
    images, _ = epoch(batches(AugmentConf(horizontal_flip=True), part=part))
    kept = (images == part.images).all(axis=(1, 2, 3))
    flipped = (images == part.images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (kept ^ flipped).all()
    assert 60 < kept.sum() < 140


def test_crops_are_windows_of_the_reflected_image() -> None:
    part = Part(np.repeat(RAMP.images[:1], 200, axis=0), np.zeros(200, dtype=np.int64))
    images, _ = epoch(batches(AugmentConf(crop_padding=1), part=part))
    padded = np.pad(RAMP.images[0], [(1, 1), (1, 1), (0, 0)], mode="reflect")
    windows = [padded[row : row + 6, column : column + 7] for row in range(3) for column in range(3)]
    seen = [next(i for i, window in enumerate(windows) if np.array_equal(window, image)) for image in images]
    assert set(seen) == set(range(9))


def test_order_is_the_argsort_of_documented_draws() -> None:
    images, _ = epoch(batches(seed=7, epochs=range(3, 4)))
    draws = tf.random.stateless_uniform([10], [7, 3], dtype=tf.float64).numpy()
    assert np.array_equal(images, RAMP.images[np.argsort(draws, kind="stable")])
