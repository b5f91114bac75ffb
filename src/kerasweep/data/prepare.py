"""From a data set to what a run trains on: limit, split, scaling."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kerasweep.config.data import AugmentConf, DataConf
from kerasweep.data.arrays import Arrays
from kerasweep.data.scaling import Scaling, fit_scaling
from kerasweep.data.split import stratified_split, stratified_subset
from kerasweep.errors import ConfigError

PIECE = 1024


@dataclass(frozen=True, eq=False)
class Part:
    """Images with their labels int64 (n,).

    source: uint8 (all, height, width, channels), memory-mapped where it comes from the cache.
    indices: which of these are the part's, int64 (n,); None: all, in their order.
    """

    source: np.ndarray
    labels: np.ndarray
    indices: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_shape(self) -> tuple[int, ...]:
        return self.source.shape[1:]

    @property
    def nbytes(self) -> int:
        return len(self) * int(np.prod(self.image_shape))

    @property
    def images(self) -> np.ndarray:
        """A copy of them all, uint8 (n, height, width, channels)."""
        return self.take(np.arange(len(self)))

    def first(self, count: int) -> "Part":
        """The first images, at most so many."""
        numbers = np.arange(len(self)) if self.indices is None else self.indices
        return Part(self.source, self.labels[:count], numbers[:count])

    def take(self, numbers: np.ndarray) -> np.ndarray:
        """A copy of the images of these numbers, 0 <= number < n."""
        return np.asarray(self.source[numbers if self.indices is None else self.indices[numbers]])


@dataclass(frozen=True)
class Prepared:
    train: Part
    validation: Part
    test: Part
    scaling: Scaling
    class_names: tuple[str, ...]
    digest: str
    input_shape: tuple[int, int, int]

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def describe(self) -> str:
        """As in `1,150 images to train on, 288 to validate, 359 to test; 10 classes, 8×8×1`."""
        train, validation, test = (len(part.labels) for part in (self.train, self.validation, self.test))
        images = f"{train:,} images to train on, {validation:,} to validate, {test:,} to test"
        return f"{images}; {self.num_classes} classes, {'×'.join(map(str, self.input_shape))}"


def prepare(cfg: DataConf, arrays: Arrays) -> Prepared:
    """Limit, split and measure. data.limit holds for the training set, and at most for the test set.

    Raises DataError where a class has too few images.
    """
    kept = _limited(arrays.train_labels, cfg)
    labels = np.asarray(arrays.train_labels)[kept]
    split = stratified_split(labels, cfg.validation_split, cfg.seed)
    train = _part(arrays.train_images, arrays.train_labels, kept[split.train])
    return Prepared(
        train=train,
        validation=_part(arrays.train_images, arrays.train_labels, kept[split.validation]),
        test=_test_part(arrays, cfg),
        scaling=fit_scaling(cfg.scaling, _pieces(train)),
        class_names=arrays.class_names,
        digest=arrays.digest,
        input_shape=arrays.input_shape,
    )


def check_augment(augment: AugmentConf, input_shape: tuple[int, int, int]) -> None:
    """Raise ConfigError where the padding is as large as the image that it reflects."""
    smallest = min(input_shape[:2])
    if augment.crop_padding >= smallest:
        raise ConfigError(
            f"augment.crop_padding must be below the image's {smallest} pixels, "
            f"but got {augment.crop_padding}. One eighth of the image is usual."
        )


def _test_part(arrays: Arrays, cfg: DataConf) -> Part:
    if cfg.limit is None:
        return Part(arrays.test_images, np.asarray(arrays.test_labels))
    return _part(arrays.test_images, arrays.test_labels, _limited(arrays.test_labels, cfg))


def _limited(labels: np.ndarray, cfg: DataConf) -> np.ndarray:
    return np.arange(len(labels)) if cfg.limit is None else stratified_subset(labels, cfg.limit, cfg.seed)


def _part(images: np.ndarray, labels: np.ndarray, indices: np.ndarray) -> Part:
    return Part(images, np.asarray(labels[indices]), indices)


def _pieces(part: Part) -> Iterator[np.ndarray]:
    """The images of a part, some at a time."""
    for start in range(0, len(part), PIECE):
        yield part.take(np.arange(start, min(start + PIECE, len(part))))
