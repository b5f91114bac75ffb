"""Augments training batches in the graph: seed, epoch and step alone decide how."""

from typing import Any

import tensorflow as tf

from kerasweep.config.data import AugmentConf
from kerasweep.data.transforms import (
    brighten,
    erase,
    gather_pixels,
    mix_images,
    mix_labels,
    reflect,
    rotate_and_zoom,
    scale_contrast,
)

NUMBERS = ("crop_padding", "rotation", "zoom", "brightness", "contrast", "cutout", "mixup")
_SEEDED = (*NUMBERS, "partners")


class Augmentation:
    """Draws the numbers of each transform for each image of a batch, and applies the transforms.

    The limits of the draws are in variables, so that other limits need no new graph; only a transform that
    is turned on or off does. Images stay uint8.

    Args:
        augment: A transform whose number is 0 is not in the graph.
        num_classes: The number of classes, for the labels that mixup mixes.
    """

    def __init__(self, augment: AugmentConf, num_classes: int) -> None:
        self._flips = augment.horizontal_flip
        self._num_classes = num_classes
        self._limits = {
            name: tf.Variable(float(getattr(augment, name)), trainable=False)
            for name in NUMBERS
            if getattr(augment, name)
        }

    @property
    def mixes_labels(self) -> bool:
        return "mixup" in self._limits

    def set(self, augment: AugmentConf) -> None:
        """Sets the limits of the transforms that the graph was built with."""
        for name, variable in self._limits.items():
            variable.assign(float(getattr(augment, name)))

    def __call__(self, images: Any, labels: Any, seed: Any, epoch: Any, step: Any) -> tuple[Any, Any]:
        """Returns the batch with its transforms.

        Args:
            images: uint8 (b, height, width, channels).
            labels: int64 (b,).
            seed: int64 scalar.
            epoch: int64 scalar, from 1.
            step: int64 scalar, from 0.

        Returns:
            Images of that shape, and the labels; mixed ones are float32 (b, classes), a share of each class.
        """
        if not (self._flips or self._limits):
            return images, labels
        pair = tf.random.fold_in(tf.random.fold_in(tf.stack([seed, tf.ones_like(seed)]), epoch), step)
        pair = tf.cast(pair % (2**31 - 1), tf.int32)
        images = self._geometry(images, pair)
        count = tf.shape(images)[:1]
        if "brightness" in self._limits:
            images = brighten(images, self._around_zero("brightness", count, pair))
        if "contrast" in self._limits:
            images = scale_contrast(images, 1 + self._around_zero("contrast", count, pair))
        if "cutout" in self._limits:
            centres = tf.random.stateless_uniform([count[0], 2], _seed("cutout", pair))
            images = erase(images, centres, self._limits["cutout"])
        return self._mixed(images, labels, count, pair) if self.mixes_labels else (images, labels)

    def _geometry(self, images: Any, pair: Any) -> Any:
        count, (height, width) = tf.shape(images)[:1], images.shape[1:3]
        if self._flips or "crop_padding" in self._limits:
            padding = tf.cast(self._limits.get("crop_padding", 0), tf.int64)
            shifts = tf.random.stateless_uniform(
                [count[0], 2], pair + 1, -padding, padding + 1, dtype=tf.int64
            )
            rows = reflect(shifts[:, 0:1] + tf.range(height, dtype=tf.int64), height)
            columns = reflect(shifts[:, 1:2] + tf.range(width, dtype=tf.int64), width)
            if self._flips:
                is_flipped = tf.random.stateless_uniform([count[0], 1], pair) < 0.5
                columns = tf.where(is_flipped, width - 1 - columns, columns)
            # One gather by pixel copies each pixel once.
            images = gather_pixels(images, rows[:, :, tf.newaxis], columns[:, tf.newaxis, :])
        if "rotation" in self._limits or "zoom" in self._limits:
            turns = self._around_zero("rotation", count, pair)
            images = rotate_and_zoom(images, turns, 1 + self._around_zero("zoom", count, pair))
        return images

    def _mixed(self, images: Any, labels: Any, count: Any, pair: Any) -> tuple[Any, Any]:
        """Mixes each image with another of its batch, by a share from Beta(mixup, mixup).

        Zhang et al., 2018, https://arxiv.org/abs/1710.09412.
        """
        alpha = tf.cast(self._limits["mixup"], tf.float64)
        draws = tf.random.stateless_gamma([2, count[0]], _seed("mixup", pair), alpha, dtype=tf.float64)
        first, second = draws[0], draws[1]
        # Both draws of a tiny mixup may be 0: then the image becomes its partner.
        weights = tf.cast(tf.math.divide_no_nan(first, first + second), tf.float32)
        partners = tf.random.experimental.stateless_shuffle(tf.range(count[0]), _seed("partners", pair))
        targets = tf.one_hot(labels, self._num_classes)
        return mix_images(images, partners, weights), mix_labels(targets, partners, weights)

    def _around_zero(self, name: str, count: Any, pair: Any) -> Any:
        """Draws a number of each image from -limit to limit, float32 (b,); 0 for a transform that is off."""
        if name not in self._limits:
            return tf.zeros(count)
        limit = self._limits[name]
        return tf.random.stateless_uniform(count, _seed(name, pair), -limit, limit)


def _seed(name: str, pair: Any) -> Any:
    return tf.random.fold_in(pair, _SEEDED.index(name))
