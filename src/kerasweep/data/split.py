"""Draws seeded splits and subsets in which each class keeps its share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kerasweep.errors import DataError

# Make the draws of halves independent of the split's, which has the same seed.
HALF_STREAM, ODD_STREAM = 1, 2


@dataclass(frozen=True)
class Split:
    """Sorted int64 indices of each part; together they are all images."""

    train: np.ndarray
    validation: np.ndarray


def stratified_split(
    labels: np.ndarray,
    fraction: float,
    seed: int,
    limited_by: str | None = None,
    names: Sequence[str] | None = None,
) -> Split:
    """Splits indices so that each class keeps its share.

    Args:
        labels: int64 (n,).
        fraction: The validation part's share, 0 < fraction < 1. Every class has one image or more in each.
        seed: The same seed gives the same split on any machine.
        limited_by: The key that left images out before, if there is one.
        names: Of all classes, for the message; None for their numbers.

    Raises:
        DataError: A class has a single image.
    """
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        raised = f"leave the class out, or raise {limited_by}" if limited_by else "or leave the class out"
        raise DataError(
            f"Class {_name(classes[counts.argmin()], names)} has a single image, but a split needs two or "
            f"more of each. Add images, {raised}."
        )
    validation = np.clip(_apportion(counts * fraction), 1, counts - 1)
    chosen = _draw(labels, classes, validation, seed)
    return Split(np.setdiff1d(np.arange(len(labels)), chosen), chosen)


def stratified_fold(
    labels: np.ndarray, folds: int, fold: int, seed: int, names: Sequence[str] | None = None
) -> Split:
    """Divides indices into folds so that each class keeps its share, and returns the split of one of them.

    Args:
        labels: int64 (n,).
        folds: How many, 2 or more. A class has floor or ceil of its images / folds in each.
        fold: The validation part, from 0.
        seed: The same seed gives the same division on any machine.
        names: Of all classes, for the message; None for their numbers.

    Raises:
        DataError: A class has a single image, or there are fewer images than folds.
    """
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        raise DataError(
            f"Class {_name(classes[counts.argmin()], names)} has a single image, but data.folds={folds} "
            "needs two or more of each. Add images, or leave the class out."
        )
    if len(labels) < folds:
        raise DataError(
            f"data.folds={folds} needs {folds} images or more, but there are {len(labels)}. Add images, or "
            "lower data.folds."
        )
    generator = np.random.Generator(np.random.PCG64(seed))
    order = np.concatenate([generator.permutation(np.flatnonzero(labels == label)) for label in classes])
    chosen = np.sort(order[fold::folds])
    return Split(np.setdiff1d(np.arange(len(labels)), chosen), chosen)


def _name(label: int, names: Sequence[str] | None) -> str:
    return str(label) if names is None else names[label]


def stratified_half(labels: np.ndarray, seed: int, draws_odd: bool = True) -> np.ndarray:
    """Draws half of the images so that each class is halved.

    Of the classes with an odd number of images, half give one image more.

    Args:
        labels: int64 (n,).
        seed: The same seed gives the same half on any machine. It is independent of the same seed's split.
        draws_odd: Whether chance decides which classes give one image more; else the first do.

    Returns:
        bool (n,): which images belong to the half.
    """
    classes, counts = np.unique(labels, return_counts=True)
    given = _apportion(counts / 2)
    if draws_odd:
        odd = np.flatnonzero(counts % 2)
        order = np.random.Generator(np.random.PCG64([seed, ODD_STREAM])).permutation(odd)
        given[odd] = counts[odd] // 2 + (given[order] > counts[order] // 2)
    is_drawn = np.zeros(len(labels), bool)
    is_drawn[_draw(labels, classes, given, [seed, HALF_STREAM])] = True
    return is_drawn


def stratified_subset(labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Draws `size` images so that each class keeps its share.

    If `size` allows it, every class keeps two images, so that the subset can be split.

    Args:
        labels: int64 (n,).
        size: The number of images; all are returned if there are fewer.
        seed: The same seed gives the same subset on any machine.

    Returns:
        Sorted int64 indices (size,).

    Raises:
        DataError: `size` is below the number of classes.
    """
    if size >= len(labels):
        return np.arange(len(labels))
    classes, counts = np.unique(labels, return_counts=True)
    if size < len(classes):
        raise DataError(
            f"data.limit={size} cannot hold one image of each of the {len(classes)} classes. "
            f"Use data.limit={2 * len(classes)} or more."
        )
    least = 2 if size >= 2 * len(classes) else 1
    kept = _with_least(_apportion(counts * (size / len(labels))), np.minimum(counts, least), size)
    return _draw(labels, classes, kept, seed)


def _apportion(shares: np.ndarray) -> np.ndarray:
    """Rounds the shares so that their sum is rounded too (largest remainder method)."""
    whole = np.floor(shares + 1e-9).astype(np.int64)
    missing = round(float(shares.sum())) - int(whole.sum())
    order = np.argsort(-(shares - whole), kind="stable")
    whole[order[:missing]] += 1
    return whole


def _with_least(counts: np.ndarray, least: np.ndarray, total: int) -> np.ndarray:
    """Raises counts to `least`, and lowers the largest ones so that the sum stays `total`."""
    counts = np.maximum(counts, least)
    while counts.sum() > total:
        counts[int((counts - least).argmax())] -= 1
    return counts


def _draw(
    labels: np.ndarray, classes: np.ndarray, counts: np.ndarray, seed: int | Sequence[int]
) -> np.ndarray:
    generator = np.random.Generator(np.random.PCG64(seed))
    chosen = [
        generator.permutation(np.flatnonzero(labels == label))[:count]
        for label, count in zip(classes, counts, strict=True)
    ]
    return np.sort(np.concatenate(chosen))
