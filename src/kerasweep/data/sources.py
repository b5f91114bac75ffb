"""Loads the data set that `data.source` names, from a local copy, Keras's cache, or a download."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from omegaconf import OmegaConf

from kerasweep.config.data import IMAGE_FILES, DataConf
from kerasweep.data.arrays import Arrays
from kerasweep.data.cache import cache_of, cached, cached_into
from kerasweep.data.cifar import CIFAR10, CIFAR100, batch_files, find_cifar, load_cifar
from kerasweep.data.custom import load_custom
from kerasweep.data.digits import digits_package, load_digits
from kerasweep.data.download import download, keras_copy
from kerasweep.data.folder_layout import find_images
from kerasweep.data.hugging_face import find_saved_images, saved_files
from kerasweep.data.image_folder import load_image_folder
from kerasweep.data.image_table import find_table_images
from kerasweep.data.mnist import CLASS_NAMES, find_idx_files, load_idx, load_keras_mnist
from kerasweep.data.npz import load_npz
from kerasweep.errors import DataError

_FINDERS = {"table": find_table_images, "hugging_face": find_saved_images}
_LAYOUTS = {"cifar10": CIFAR10, "cifar100": CIFAR100}
# They have a test set of their own, so data.seed and data.test_split draw none.
WITH_TEST_SET = (*_LAYOUTS, *CLASS_NAMES, "custom")
_FIRST_KEYS = ("source", "path", "image_size", "cache_dir", "target", "kwargs")
# Older sweeps have digests by texts without these.
_LATER_KEYS = ("resize", "skip_corrupt", "image_column", "label_column", "split_column")
# The keys below `data` that choose the images and their labels; the others draw, split, limit and scale them.
SOURCE_KEYS = (*_FIRST_KEYS, *_LATER_KEYS)


def load(cfg: DataConf) -> Arrays:
    """Loads the whole data set of a config, decoded once per machine and memory-mapped from then on.

    Raises:
        DataError: The data is missing, damaged, or does not match the config.
        ConfigError: A data.target does not take data.kwargs.
    """
    if cfg.source == "custom":
        return load_custom(cfg)
    folder = cache_of(cfg)
    if cfg.source == "digits":
        variant = f"digits {cfg.test_split} {cfg.seed}"
        return cached(folder, [digits_package()], variant, lambda: load_digits(cfg))
    if cfg.source == "npz":
        variant = f"npz with validation {cfg.test_split} {cfg.seed}"
        return cached(folder, [_existing(cfg)], variant, lambda: load_npz(cfg))
    if cfg.source in IMAGE_FILES:
        path = _existing(cfg)
        images = find_images(path) if cfg.source == "image_folder" else _FINDERS[cfg.source](cfg)
        size = None if cfg.image_size is None else list(cfg.image_size)
        drawn = (cfg.test_split, cfg.seed) if images.test is None else None
        variant = f"image_folder {size} {cfg.resize} {cfg.skip_corrupt} {drawn}"
        files = images.files
        if cfg.source == "hugging_face":
            variant, files = (
                f"hugging_face {cfg.image_column} {cfg.label_column} {variant}",
                saved_files(path),
            )
        if cfg.source == "table":  # it has the labels and the parts of the files
            columns = f"{cfg.image_column} {cfg.label_column} {cfg.split_column}"
            variant = f"table in order of numbers {columns} {variant}"
            files = [path, *files]
        arrays = cached_into(folder, files, variant, partial(load_image_folder, cfg, images))
        return replace(arrays, notes=(images.left_out, *arrays.notes)) if images.left_out else arrays
    if cfg.source in _LAYOUTS:
        layout = _LAYOUTS[cfg.source]
        source = find_cifar(_locate(cfg), layout)
        return cached(folder, batch_files(source, layout), cfg.source, lambda: load_cifar(source, layout))
    if cfg.source in CLASS_NAMES:
        path, names = _locate(cfg), CLASS_NAMES[cfg.source]
        if path.suffix == ".npz":
            return cached(folder, [path], cfg.source, lambda: load_keras_mnist(path, names))
        idx_files = find_idx_files(path)
        return cached(folder, idx_files, cfg.source, lambda: load_idx(idx_files, names))
    raise AssertionError(f"data.source {cfg.source} is not loaded")


def source_key(cfg: DataConf) -> str:
    """Returns a text that is equal for configurations which `load` the same data set.

    Splits, limits, scalings and labels are made of the same data set.
    """
    values = OmegaConf.to_container(
        cfg if OmegaConf.is_config(cfg) else OmegaConf.structured(cfg), resolve=True
    )
    assert isinstance(values, dict)
    drawn = () if cfg.source in WITH_TEST_SET else ("test_split", "seed")
    added = [f"{name}={values[name]}" for name in _LATER_KEYS if values[name] != getattr(DataConf, name)]
    return repr([values[name] for name in (*_FIRST_KEYS, *drawn)] + added)


def _existing(cfg: DataConf) -> Path:
    path = Path(str(cfg.path)).expanduser()
    if not path.exists():
        raise DataError(f"data.path names {path}, which does not exist.")
    return path


def _locate(cfg: DataConf) -> Path:
    """Returns data.path, else the copy in Keras's cache, else a fresh download there."""
    if cfg.path is not None:
        return _existing(cfg)
    return keras_copy(cfg.source) or download(cfg.source)
