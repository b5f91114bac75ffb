"""The same numbers give the same images as in keras.layers and SciPy."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import map_coordinates

from kerasweep.data import transforms

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (6, 9, 12, 3), dtype=np.uint8)
NUMBERS = np.array([0.0, 0.05, -0.12, 0.25, -0.4, 0.3], np.float32)
HEIGHT, WIDTH = 9, 12


def near(found: Any, expected: Any) -> None:
    """Rounded pixels may differ by one from half a pixel's value."""
    found = np.asarray(found)
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found, np.asarray(expected), atol=0.51)


def mirrored(images: np.ndarray) -> np.ndarray:
    """Pads images so that Keras's border, which repeats the outermost pixel, is out of reach."""
    return np.pad(images, [(0, 0), (8, 8), (8, 8), (0, 0)], mode="reflect").astype(np.float32)


def middle(images: Any) -> Any:
    return np.asarray(images)[:, 8:-8, 8:-8]


def test_rotation_is_that_of_keras() -> None:
    padded = mirrored(IMAGES)
    layer = keras.layers.RandomRotation(0.5)
    zeros, ones = np.zeros(6, np.float32), np.ones(6, np.float32)
    matrix = layer._compute_affine_matrix(
        *(0.5, 0.5, 360 * NUMBERS, zeros, zeros, ones, zeros, zeros, padded.shape[1], padded.shape[2])
    )
    expected = layer.transform_images(padded, {"rotation_matrix": matrix})
    near(transforms.rotate_and_zoom(IMAGES, NUMBERS, ones), middle(expected))


def test_zoom_is_that_of_keras() -> None:
    padded, zooms = mirrored(IMAGES), 1 + NUMBERS
    layer = keras.layers.RandomZoom(0.5)
    factors = {"height_zoom": zooms[:, None], "width_zoom": zooms[:, None]}
    expected = layer.transform_images(padded, factors)
    near(transforms.rotate_and_zoom(IMAGES, np.zeros(6, np.float32), zooms), middle(expected))


@pytest.mark.parametrize("shape", [(9, 12), (1, 5), (2, 2), (30, 4)])
def test_rotation_and_zoom_together_are_those_of_scipy(shape: tuple[int, int]) -> None:
    images = RANDOM.integers(0, 256, (6, *shape, 1), dtype=np.uint8)
    zooms = np.linspace(0.3, 1.9, 6, dtype=np.float32)
    found = np.asarray(transforms.rotate_and_zoom(images, NUMBERS, zooms))
    centre = (np.array(shape) - 1)[:, None, None] / 2
    offsets = np.indices(shape) - centre
    for image, turn, zoom, ours in zip(images, NUMBERS, zooms, found, strict=True):
        angle = 2 * np.pi * float(turn)
        matrix = float(zoom) * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        source = np.tensordot(matrix, offsets, 1) + centre
        expected = map_coordinates(image[..., 0].astype(float), source, order=1, mode="mirror")
        np.testing.assert_allclose(ours[..., 0], expected, atol=0.52)


def test_full_size_without_a_turn_copies_images() -> None:
    np.testing.assert_array_equal(
        transforms.rotate_and_zoom(IMAGES, np.zeros(6, np.float32), np.ones(6, np.float32)), IMAGES
    )


def test_brightness_is_that_of_keras() -> None:
    layer = keras.layers.RandomBrightness(0.5)
    expected = layer.transform_images(
        IMAGES.astype(np.float32), {"rgb_delta": 255 * NUMBERS[:, None, None, None]}
    )
    near(transforms.brighten(IMAGES, NUMBERS), expected)


def test_contrast_is_that_of_keras() -> None:
    layer = keras.layers.RandomContrast(0.5)
    factors = (1 + 2 * NUMBERS)[:, None, None, None]
    expected = layer.transform_images(IMAGES.astype(np.float32), {"contrast_factor": factors})
    near(transforms.scale_contrast(IMAGES, 1 + 2 * NUMBERS), expected)


def test_cutout_is_an_erasing_of_keras() -> None:
    """A rectangle of half the sides, whose centres lie inside the image and at its border."""
    centres = np.array([[0.5, 0.5], [0.3, 0.4], [0, 0], [1, 1], [0.9, 0.1], [0.25, 0.75]], np.float32)
    sides = np.array([HEIGHT, WIDTH], np.float32)
    first, last = (centres - 0.25) * sides, (centres + 0.25) * sides
    layer = keras.layers.RandomErasing()
    corners = (first[:, 1], last[:, 1], first[:, 0], last[:, 0])
    expected = layer.transform_images(
        IMAGES,
        {
            "batch_masks": layer._generate_batch_mask(IMAGES.shape, corners),
            "apply_erasing": np.ones(6, bool),
            "fill_value": IMAGES.mean(axis=(1, 2), keepdims=True),
        },
    )
    near(transforms.erase(IMAGES, centres, tf.constant(0.5)), expected)


def test_mixup_is_that_of_keras() -> None:
    layer = keras.layers.MixUp()
    weights = np.abs(NUMBERS)
    partners = np.array([3, 1, 0, 5, 2, 4])
    numbers = {"mix_weight": weights, "permutation_order": partners}
    labels = np.eye(6, dtype=np.float32)
    near(
        transforms.mix_images(IMAGES, partners, weights),
        layer.transform_images(IMAGES.astype(np.float32), numbers),
    )
    np.testing.assert_allclose(
        transforms.mix_labels(labels, partners, weights), layer.transform_labels(labels, numbers), rtol=1e-6
    )
