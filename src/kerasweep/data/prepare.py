"""Prepares a data set for training: limit, split, scaling."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

import numpy as np
from omegaconf import OmegaConf

from kerasweep.config.data import AugmentConf, DataConf
from kerasweep.data.arrays import Arrays
from kerasweep.data.cache import cache_of
from kerasweep.data.mapped import allocate_aligned, release
from kerasweep.data.scaling import Scaling, fit_scaling
from kerasweep.data.shipped import find_shipped
from kerasweep.data.sources import load, source_key
from kerasweep.data.split import stratified_fold, stratified_half, stratified_split, stratified_subset
from kerasweep.errors import ChangedError, ConfigError, DataError, first_names
from kerasweep.serving.pixels import Conversion

# Several, since each repeat of a trial has its own split; the newest one whatever its size.
MAX_KEPT, MAX_KEPT_BYTES = 8, 2**30
PIECE_BYTES = 2**24
SPLIT_DIGITS = 12
MAX_SHOWN_CLASSES = 4
_kept: "OrderedDict[str, tuple[Prepared, Arrays]]" = OrderedDict()
# The data sets in `_kept`, by their source.
_sources: WeakValueDictionary[str, Arrays] = WeakValueDictionary()


@dataclass(frozen=True, eq=False)
class Part:
    """The images of the training, validation or test set, or features in their place, with their labels."""

    # uint8 (all, height, width, channels) or features float32 (all, d), memory-mapped if from a cache.
    source: np.ndarray
    # int64 (n,).
    labels: np.ndarray
    # int64 (n,): which images of the source belong to this part; None for all, in their order.
    indices: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_shape(self) -> tuple[int, ...]:
        return self.source.shape[1:]

    @property
    def nbytes(self) -> int:
        return len(self) * int(np.prod(self.image_shape)) * self.source.itemsize

    @property
    def images(self) -> np.ndarray:
        """A copy of all images, uint8 (n, height, width, channels), or of all features."""
        return self.take(np.arange(len(self)))

    def first(self, count: int) -> "Part":
        """Returns a part with the first `count` images, or all if there are fewer."""
        numbers = np.arange(len(self)) if self.indices is None else self.indices
        return Part(self.source, self.labels[:count], numbers[:count])

    def take(self, numbers: np.ndarray) -> np.ndarray:
        """Returns a copy of the images with these numbers (m,), 0 <= number < n: (m, ...)."""
        images = allocate_aligned((len(numbers), *self.image_shape), self.source.dtype)
        chosen = numbers if self.indices is None else self.indices[numbers]
        np.take(self.source, chosen, axis=0, out=images, mode="clip")  # other modes copy once more
        release(self.source)
        return images

    def pieces(self, size: int | None = None) -> Iterator[np.ndarray]:
        """Yields copies of the images, `size` at a time; None for about PIECE_BYTES."""
        size = size or max(1, PIECE_BYTES // int(np.prod(self.image_shape)))
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self))))


@dataclass(frozen=True)
class Prepared:
    """A data set ready for training."""

    train: Part
    validation: Part
    test: Part
    scaling: Scaling
    class_names: tuple[str, ...]
    # Of the whole data set, see `Arrays`.
    digest: str
    # One image: (height, width, channels).
    input_shape: tuple[int, int, int]
    # bool (validation images,): each half scores the other half's choice of the best epoch.
    half: np.ndarray
    # Whether the data set came with this validation part: other splits have the same one.
    has_own_validation: bool = False
    # The number of images from which `data.limit` and the split draw.
    pool: int = 0
    # See `Arrays`.
    conversion: Conversion = Conversion()
    notes: tuple[str, ...] = ()

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def split(self) -> str:
        """12 hex digits, equal for the same validation images of the same data set."""
        indices = self.validation.indices
        chosen = b"" if indices is None else indices.tobytes()
        return hashlib.sha256(self.digest.encode() + chosen).hexdigest()[:SPLIT_DIGITS]

    def describe(self) -> str:
        """Summarizes on one line, with the first classes and the numbers of their images in all parts.

        As in `1,150 images to train on, 288 to validate, 359 to test; 10 classes (0: 178, 1: 182, …), 8×8×1`.
        """
        train, validation, test = (len(part.labels) for part in (self.train, self.validation, self.test))
        images = f"{train:,} images to train on, {validation:,} to validate, {test:,} to test"
        labels = np.concatenate([part.labels for part in (self.train, self.validation, self.test)])
        counts = np.bincount(labels, minlength=self.num_classes)
        shown = [f"{name}: {count:,}" for name, count in zip(self.class_names, counts, strict=True)]
        shape = "×".join(map(str, self.input_shape))
        return f"{images}; {self.num_classes} classes ({first_names(shown, MAX_SHOWN_CLASSES)}), {shape}"


def prepare(cfg: DataConf, arrays: Arrays) -> Prepared:
    """Limits and splits a data set, and fits the scaling to its training part.

    Args:
        cfg: data.limit is the number of training images; the test set gets no more than that.
        arrays: The whole data set.

    Raises:
        DataError: A class has too few images to be split, or the limit is below the number of classes.
    """
    seed, fold = _split_seed(cfg), 0
    if cfg.folds is not None:  # all folds of a division have the same images
        division, fold = divmod(seed - cfg.seed, cfg.folds)
        seed = cfg.seed + division
    indices = _limited(arrays.train_labels, cfg.limit, seed)
    if arrays.validation is not None and cfg.folds is not None:
        raise DataError(
            f"data.folds={cfg.folds} divides the training images, but this data comes with its own "
            "validation images. Leave out data.folds and study.folds."
        )
    if arrays.validation is not None:
        train = _part(arrays.train_images, arrays.train_labels, indices)
        validation = Part(arrays.validation[0], np.asarray(arrays.validation[1]))
    else:
        labels = np.asarray(arrays.train_labels)[indices]
        split = (
            stratified_split(
                *(labels, cfg.validation_split, seed),
                limited_by="data.limit" if cfg.limit else None,
                names=arrays.class_names,
            )
            if cfg.folds is None
            else stratified_fold(labels, cfg.folds, fold, seed, arrays.class_names)
        )
        train = _part(arrays.train_images, arrays.train_labels, indices[split.train])
        validation = _part(arrays.train_images, arrays.train_labels, indices[split.validation])
    return Prepared(
        train=train,
        validation=validation,
        test=_test_part(arrays, cfg),
        scaling=fit_scaling(cfg.scaling, train.pieces()),
        class_names=arrays.class_names,
        digest=arrays.digest,
        input_shape=arrays.input_shape,
        half=stratified_half(validation.labels, _split_seed(cfg)),
        has_own_validation=arrays.validation is not None,
        pool=len(arrays.train_labels),
        conversion=arrays.conversion,
        notes=arrays.notes,
    )


def join_validation(cfg: DataConf, prepared: Prepared) -> Prepared:
    """Returns the data with training and validation images together for training, and none to validate.

    The scaling is fitted to all of them.
    """
    train, validation = prepared.train, prepared.validation
    labels = np.concatenate([train.labels, validation.labels])
    if train.indices is not None and validation.indices is not None:
        indices = np.concatenate([train.indices, validation.indices])
        order = np.argsort(indices)
        joined = Part(train.source, labels[order], indices[order])
    else:  # the data set came with a validation part
        joined = Part(np.concatenate([train.images, validation.images]), labels)
    return replace(
        prepared,
        train=joined,
        validation=validation.first(0),
        half=prepared.half[:0],
        scaling=fit_scaling(cfg.scaling, joined.pieces()),
    )


def with_older_halves(cfg: DataConf, prepared: Prepared) -> Prepared:
    """Returns the data with the halves of sweeps that older versions began."""
    labels = prepared.validation.labels
    return replace(prepared, half=stratified_half(labels, _split_seed(cfg), draws_odd=False))


def load_prepared(cfg: DataConf, digest: str | None = None) -> Prepared:
    """Loads and prepares the data of a configuration, and keeps the last ones in memory.

    Splits of one data set share its images: files are decoded, and data.target is called, once for all.

    Args:
        cfg: The group `data`.
        digest: Of the sweep's data set: data in memory with another one is read again, since a process may
            outlive a sweep. With data.ship it is loaded as the driver sent it.

    Raises:
        ChangedError: The data that the driver sent is gone.
        DataError: See `load` and `prepare`.
        ConfigError: See `load`.
    """
    key = OmegaConf.to_yaml(cfg, resolve=True)
    if digest is not None and key in _kept and _kept[key][0].digest != digest:
        forget_data()
    if key not in _kept:
        arrays = load_arrays(cfg, digest)
        _kept[key] = prepare(cfg, arrays), arrays
    _kept.move_to_end(key)
    while len(_kept) > 1 and (len(_kept) > MAX_KEPT or _kept_bytes() > MAX_KEPT_BYTES):
        _kept.popitem(last=False)
    return _kept[key][0]


def forget_data() -> None:
    """Drops the data sets in memory, so that files which changed since are read again."""
    _kept.clear()
    _sources.clear()


def load_arrays(cfg: DataConf, digest: str | None = None) -> Arrays:
    """Returns the whole data set, see `load_prepared`."""
    key = source_key(cfg)
    shipped = None if digest is None or not cfg.ship else find_shipped(cfg, digest)
    try:
        arrays = _sources.get(key) or shipped or load(cfg)
    except DataError as error:
        if digest is None or not cfg.ship:
            raise
        raise ChangedError(
            f"The data that the driver sent is no longer in {cache_of(cfg)}. Start the same command again, "
            "which sends it again."
        ) from error
    _sources[key] = arrays
    return arrays


def _split_seed(cfg: DataConf) -> int:
    return cfg.seed if cfg.split_seed is None else cfg.split_seed


def _kept_bytes() -> int:
    """Returns the memory of all images: each data set's, and the copies that a feed makes of each split."""
    sources = {id(arrays): arrays.nbytes for _, arrays in _kept.values()}
    copies = [split.train.nbytes + split.validation.nbytes for split, _ in _kept.values()]
    return sum(sources.values()) + sum(copies)


def check_augment(augment: AugmentConf, input_shape: tuple[int, int, int]) -> None:
    """Raises ConfigError if the padding is as large as the image that it reflects."""
    smallest = min(input_shape[:2])
    if augment.crop_padding >= smallest:
        raise ConfigError(
            f"augment.crop_padding must be below the image's {smallest} pixels, "
            f"but got {augment.crop_padding}. One eighth of the image is usual."
        )


def _test_part(arrays: Arrays, cfg: DataConf) -> Part:
    if cfg.limit is None:
        return Part(arrays.test_images, np.asarray(arrays.test_labels))
    indices = _limited(arrays.test_labels, cfg.limit, cfg.seed)
    return _part(arrays.test_images, arrays.test_labels, indices)


def _limited(labels: np.ndarray, limit: int | None, seed: int) -> np.ndarray:
    return np.arange(len(labels)) if limit is None else stratified_subset(labels, limit, seed)


def _part(images: np.ndarray, labels: np.ndarray, indices: np.ndarray) -> Part:
    return Part(images, np.asarray(labels[indices]), indices)
