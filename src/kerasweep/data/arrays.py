"""Holds a whole data set, in memory or memory-mapped, and checks it once on loading."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from kerasweep.data.mapped import release
from kerasweep.errors import DataError, first_names, readable
from kerasweep.serving.pixels import Conversion, find_divisor

_CHUNK = 1 << 24
MAX_NAMED = 5  # classes in a note
CHANNELS = (1, 3, 4)  # of usual images


@dataclass(frozen=True)
class Arrays:
    """A whole data set."""

    train_images: np.ndarray  # uint8 (n, height, width, channels), 0..255
    train_labels: np.ndarray  # int64 (n,)
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    digest: str  # 16 hex digits over pixels, labels and names, equal for equal content on any machine
    # The data set's own validation part; without one it is split off the training images.
    validation_images: np.ndarray | None = None
    validation_labels: np.ndarray | None = None
    # How image files became pixels; predictions convert them alike.
    conversion: Conversion = Conversion()
    notes: tuple[str, ...] = ()  # sentences for the user: what was left out, classes without images

    @property
    def validation(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The images and labels of the data set's own validation part."""
        if self.validation_images is None or self.validation_labels is None:
            return None
        return self.validation_images, self.validation_labels

    @property
    def input_shape(self) -> tuple[int, int, int]:
        height, width, channels = self.train_images.shape[1:]
        return int(height), int(width), int(channels)

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def in_memory(self) -> "Arrays":
        """Returns the same arrays as plain ones: memory-mapped ones would be copied when they are sent."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        mapped: dict[str, Any] = {
            name: np.asarray(value) for name, value in values.items() if isinstance(value, np.memmap)
        }
        return replace(self, **mapped)

    @property
    def nbytes(self) -> int:
        parts = (self.train_images, self.train_labels, self.test_images, self.test_labels)
        return sum(part.nbytes for part in (*parts, *(self.validation or ())))


def make_arrays(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    class_names: Sequence[str] | None,
    origin: str,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    conversion: Conversion | None = None,
    notes: Sequence[str] = (),
) -> Arrays:
    """Checks and completes raw images and labels.

    Args:
        train: Images (n, height, width) or (n, height, width, channels) of whole numbers in 0..255, and
            labels (n,) or (n, 1).
        test: Likewise.
        class_names: None to number the classes.
        origin: The name of the data in errors.
        validation: The data set's own validation part, likewise.
        conversion: How image files became the images; None for the default.
        notes: Sentences for the user, to which those on classes without images are added.

    Raises:
        DataError: The arrays are no such images and labels, or have fewer than two classes.
    """
    train_images, train_labels = checked_part(train, origin, "training images")
    parts = [("test images", *checked_part(test, origin, "test images"))]
    if validation is not None:
        parts.append(("validation images", *checked_part(validation, origin, "validation images")))
    for name, images, _ in parts:
        if train_images.shape[1:] != images.shape[1:]:
            raise DataError(
                f"{origin} has training images {train_images.shape[1:]} but {name} {images.shape[1:]}. "
                "All need one height, width and number of channels."
            )
    all_labels = [train_labels, *(labels for *_, labels in parts)]
    names = tuple(map(readable, class_names or _numbered(all_labels, origin)))
    if len(names) < 2:
        raise DataError(f"{origin} has {len(names)} class, but a classifier needs two or more.")
    for labels in all_labels:
        if labels.min() < 0 or labels.max() >= len(names):
            raise DataError(
                f"{origin} has the label {labels.min() if labels.min() < 0 else labels.max()}, "
                f"but its {len(names)} classes are numbered 0 to {len(names) - 1}."
            )
    _, test_images, test_labels = parts[0]
    validation_part = parts[1][1:] if validation is not None else (None, None)
    others = [array for _, *part in parts for array in part]
    digest = content_digest([train_images, train_labels, *others], names)
    return Arrays(
        *(train_images, train_labels, test_images, test_labels, names, digest),
        validation_images=validation_part[0],
        validation_labels=validation_part[1],
        conversion=conversion or Conversion(),
        notes=(*map(readable, notes), *_empty_classes(all_labels, names, origin)),
    )


def _empty_classes(parts: Sequence[np.ndarray], names: Sequence[str], origin: str) -> list[str]:
    """Returns notes on classes that the training images lack."""
    trained, present = set(parts[0].tolist()), {label for labels in parts for label in labels.tolist()}
    unknown = [names[label] for label in sorted(present - trained)]
    empty = [names[label] for label in range(len(names)) if label not in present]
    notes = []
    if unknown:
        notes.append(f"{origin} has no training images of {_some(unknown)}, so no network can learn them.")
    if empty:
        notes.append(f"{origin} has no images of {_some(empty)}, which count as classes.")
    return notes


def _some(names: Sequence[str]) -> str:
    kind = "the class" if len(names) == 1 else f"{len(names)} classes:"
    return f"{kind} {first_names(names, MAX_NAMED)}"


def checked_part(
    part: tuple[np.ndarray, np.ndarray], origin: str, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Returns images uint8 (n, height, width, channels) and labels int64 (n,), or raises DataError."""
    images, labels = _as_array(part[0], origin, name), _labels(part[1], origin, name)
    if images.ndim == 0 or len(images) != len(labels) or len(labels) == 0:
        count = len(images) if images.ndim else 0
        raise DataError(
            f"{origin} has {count} {name} and {len(labels)} labels. "
            "It needs as many labels as images, and at least one."
        )
    return _images(images, origin), labels


def digest_of(arrays: Arrays) -> str:
    """Computes the digest of a data set again, which takes a second for 300 MB."""
    parts = [arrays.train_images, arrays.train_labels, arrays.test_images, arrays.test_labels]
    return content_digest([*parts, *(arrays.validation or ())], arrays.class_names)


def content_digest(arrays: Sequence[np.ndarray], names: Sequence[str]) -> str:
    """Returns 16 hex digits of a SHA-256 over shapes, bytes and names."""
    digest = hashlib.sha256("\0".join(names).encode())
    for array in arrays:
        digest.update(str(array.shape).encode())
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        for start in range(0, len(flat), _CHUNK):
            digest.update(flat[start : start + _CHUNK].data)
            release(array)
    return digest.hexdigest()[:16]


def _numbered(parts: Sequence[np.ndarray], origin: str) -> list[str]:
    largest, count = max(int(labels.max()) for labels in parts), sum(map(len, parts))
    if largest >= count:
        raise DataError(
            f"{origin} has the label {largest}, but only {count} images: labels without "
            "class names count classes from 0. Renumber them with numpy.unique(labels, return_inverse=True)."
        )
    return [str(number) for number in range(largest + 1)]


def _as_array(values: Any, origin: str, name: str) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError as error:  # lists of different lengths
        raise DataError(
            f"{origin} must give {name} of one size, but they are not an array: {error}"
        ) from error


def _images(images: np.ndarray, origin: str) -> np.ndarray:
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4 or 0 in images.shape:
        raise DataError(
            f"{origin} must give images (n, height, width, channels), but got the shape {images.shape}."
        )
    if images.shape[1] in CHANNELS and images.shape[3] > max(CHANNELS) < images.shape[2]:
        raise DataError(
            f"{origin} must give images (n, height, width, channels), but got the shape {images.shape}, with "
            "the channels first. Transpose them with numpy.transpose(images, (0, 2, 3, 1))."
        )
    if images.dtype == np.uint8:
        return images
    expected = f"{origin} must give pixels as whole numbers in 0..255, but got {images.dtype}"
    if images.dtype.kind not in "iuf":
        advice = "images.astype(numpy.uint8) * 255" if images.dtype == bool else "uint8"
        raise DataError(f"{expected}. Save {advice}.")
    low, high = float(images.min()), float(images.max())
    if not np.isfinite(low + high):
        raise DataError(f"{expected} with NaN or infinite pixels. Correct these images, or leave them out.")
    if low < 0 or high > 255 or (images != np.floor(images)).any():
        raise DataError(
            f"{expected}. {_scaling_advice(low, high)}: kerasweep scales them itself (data.scaling)."
        )
    return images.astype(np.uint8)


def _scaling_advice(low: float, high: float) -> str:
    """Says how to bring pixels to 0..255."""
    if low >= 0 and high <= 1:
        return "Multiply scaled images by 255 and round them"
    if low >= -1 and high <= 1:
        return "Its pixels are -1 to 1: add 1, multiply by 127.5 and round them"
    if low < 0:
        return f"Its pixels are {low:g} to {high:g}: undo their scaling"
    if high > 255:
        return f"Its pixels are {low:g} to {high:g}: divide by {find_divisor(int(high))} and round down"
    return "Round them"


def _labels(labels: Any, origin: str, name: str) -> np.ndarray:
    labels = _as_array(labels, origin, f"labels of the {name}")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(
            f"{origin} must give labels as whole numbers (n,), but got {labels.dtype} {labels.shape}. "
            f"{_label_advice(labels)}"
        )
    return labels.astype(np.int64)


def _label_advice(labels: np.ndarray) -> str:
    """Says how to turn labels into whole numbers."""
    if labels.ndim == 2 and labels.dtype.kind in "iufb":
        return "Turn one-hot rows into numbers with labels.argmax(axis=1)."
    if labels.ndim != 1:
        return "Give each image one label."
    if labels.dtype.kind == "b":
        return "Turn them into 0 and 1 with labels.astype(int)."
    if labels.dtype.kind != "f":
        return "Number the classes with class_names, labels = numpy.unique(labels, return_inverse=True)."
    if np.isfinite(labels).all() and (labels == np.floor(labels)).all():
        return "Turn them into whole numbers with labels.astype(int)."
    return "Fractions and NaN name no class: kerasweep trains classifiers."
