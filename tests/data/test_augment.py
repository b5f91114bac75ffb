"""Augmentation repeats between runs, not between epochs, and draws within its limits."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from kerasweep.config.data import AugmentConf
from kerasweep.data.augment import Augmentation

IMAGES = np.arange(10 * 6 * 7 * 2).reshape(10, 6, 7, 2).astype(np.uint8)
LABELS = np.arange(10, dtype=np.int64) % 3
GREY = np.full((400, 6, 8, 1), 100, np.uint8)
ALL = AugmentConf(
    **{"horizontal_flip": True, "crop_padding": 2, "rotation": 0.1, "zoom": 0.2, "brightness": 0.3},
    **{"contrast": 0.4, "cutout": 0.5, "mixup": 0.6},
)


def batch(
    images: np.ndarray, augment: AugmentConf, seed: int = 1, epoch: int = 1, step: int = 0
) -> tuple[Any, Any]:
    numbers = (tf.constant(number, tf.int64) for number in (seed, epoch, step))
    labels = np.resize(LABELS, len(images))
    changed, mixed = Augmentation(augment, 3)(tf.constant(images), tf.constant(labels), *numbers)
    return changed.numpy(), mixed.numpy()


def changed(images: np.ndarray, augment: AugmentConf, **numbers: int) -> Any:
    return batch(images, augment, **numbers)[0]


@pytest.mark.parametrize("augment", [AugmentConf(horizontal_flip=True, crop_padding=2), ALL])
def test_augmentation_is_fixed_by_seed_epoch_and_batch(augment: AugmentConf) -> None:
    first = changed(IMAGES, augment)
    assert first.dtype == np.uint8
    assert np.array_equal(changed(IMAGES, augment), first)
    for other in ({"seed": 2}, {"epoch": 2}, {"step": 1}):
        assert not np.array_equal(changed(IMAGES, augment, **other), first), other
    assert np.array_equal(changed(IMAGES, AugmentConf()), IMAGES)


def test_flips_about_half_of_the_images() -> None:
    many = np.repeat(IMAGES[:1], 200, axis=0)
    images = changed(many, AugmentConf(horizontal_flip=True))
    kept = (images == many).all(axis=(1, 2, 3))
    flipped = (images == many[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (kept ^ flipped).all()
    assert 60 < kept.sum() < 140


def test_crops_are_windows_of_the_reflected_image() -> None:
    images = changed(np.repeat(IMAGES[:1], 200, axis=0), AugmentConf(crop_padding=1))
    padded = np.pad(IMAGES[0], [(1, 1), (1, 1), (0, 0)], mode="reflect")
    windows = [padded[row : row + 6, column : column + 7] for row in range(3) for column in range(3)]
    seen = [next(i for i, window in enumerate(windows) if np.array_equal(window, image)) for image in images]
    assert set(seen) == set(range(9))


def test_each_transform_changes_images_and_keeps_labels_except_mixup() -> None:
    for name in ("rotation", "zoom", "brightness", "contrast", "cutout", "mixup"):
        images, labels = batch(IMAGES, AugmentConf(**{name: 0.4}))
        assert images.dtype == np.uint8 and not np.array_equal(images, IMAGES), name
        assert labels.dtype == (np.float32 if name == "mixup" else np.int64), name
        if name != "mixup":
            assert np.array_equal(labels, LABELS), name


def test_brightness_is_uniform_within_its_limits() -> None:
    values = changed(GREY, AugmentConf(brightness=0.2))[:, 0, 0, 0]
    assert (values.min(), values.max()) == (pytest.approx(49, abs=3), pytest.approx(151, abs=3))
    assert abs(values.mean() - 100) < 5


def test_contrast_is_uniform_within_its_limits() -> None:
    images = GREY.copy()
    images[:, ::2] = 200
    spans = np.ptp(changed(images, AugmentConf(contrast=0.5)).astype(int), axis=(1, 2, 3))
    assert (spans.min(), spans.max()) == (pytest.approx(50, abs=2), pytest.approx(150, abs=2))


def test_cutout_erases_a_rectangle_around_any_point() -> None:
    images = GREY.copy()
    images[:, 0, 0] = 255  # the mean is no pixel's value
    mean = round(images[0].mean())
    is_erased = changed(images, AugmentConf(cutout=0.5))[..., 0] == mean
    sizes = is_erased.sum(axis=(1, 2))
    assert sizes.max() == 3 * 4 and 1 <= sizes.min() < 12  # less at a border
    for rows, columns in ((one.any(axis=1), one.any(axis=0)) for one in is_erased):
        assert rows.sum() * columns.sum() in sizes and np.diff(np.flatnonzero(rows)).tolist() in (
            [1] * 2,
            [1],
            [],
        )
    assert is_erased.any(axis=0).all()


@pytest.mark.parametrize(("alpha", "variance"), [(0.2, 0.25 / 1.4), (1.0, 1 / 12), (50.0, 0.25 / 101)])
def test_mixup_mixes_labels_by_a_beta_distribution(alpha: float, variance: float) -> None:
    labels = batch(np.repeat(IMAGES, 60, axis=0), AugmentConf(mixup=alpha))[1]
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)
    shares = labels[np.arange(600), np.resize(LABELS, 600)]
    own = shares[(labels > 0).sum(axis=1) == 2]  # the partner has another class
    assert own.mean() == pytest.approx(0.5, abs=0.06)
    assert own.var() == pytest.approx(variance, rel=0.2)


def test_a_tiny_mixup_gives_no_nan() -> None:
    images, labels = batch(GREY, AugmentConf(mixup=1e-6))
    assert np.isfinite(labels).all() and (images == 100).all()


def test_mixup_mixes_images_as_labels() -> None:
    """Images of the value 100 × class: the mixed value says the mixed label."""
    images = np.broadcast_to(100 * LABELS[:, None, None, None], (10, 6, 7, 2)).astype(np.uint8)
    mixed, labels = batch(images, AugmentConf(mixup=1.0))
    np.testing.assert_allclose(mixed[:, 0, 0, 0], labels @ [0, 100, 200], atol=0.51)


def test_other_limits_change_a_built_augmentation() -> None:
    built = Augmentation(AugmentConf(brightness=0.1, crop_padding=1), 3)
    other = AugmentConf(brightness=0.3, crop_padding=2)
    built.set(other)
    numbers = [tf.constant(number, tf.int64) for number in (1, 1, 0)]
    found, _ = built(tf.constant(IMAGES), tf.constant(LABELS), *numbers)
    assert np.array_equal(found, changed(IMAGES, other))
