"""Loads a folder of image files with one subfolder per class."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasweep.config.data import DataConf
from kerasweep.data.arrays import Arrays, make_arrays
from kerasweep.data.image_file import is_grayscale, open_image
from kerasweep.data.split import stratified_split
from kerasweep.errors import DataError
from kerasweep.serving.pixels import to_pixels

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif"}


@dataclass(frozen=True)
class ImageFolder:
    """The files of a data set, each with its class number."""

    class_names: list[str]
    train: list[tuple[Path, int]]
    test: list[tuple[Path, int]] | None  # None if a share of `train` becomes the test set

    @property
    def files(self) -> list[Path]:
        return [path for path, _ in (*self.train, *(self.test or ()))]


def find_images(root: Path) -> ImageFolder:
    """Finds the images in a folder; classes are its subfolders in alphabetical order.

    If the folder holds `train` and `test`, those are the two sets.

    Raises:
        DataError: A class is empty, there are fewer than two, or only the test set has a class.
    """
    if not root.is_dir():
        raise DataError(f"data.path must be a folder with one subfolder per class, but {root} is not one.")
    if not ((root / "train").is_dir() and (root / "test").is_dir()):
        names = _class_names(root)
        labelled = _labelled_files(root, names)
        _check_splittable(labelled, names)
        return ImageFolder(names, labelled, None)
    names = _class_names(root / "train")
    _check_known(root / "test", names)
    return ImageFolder(names, _labelled_files(root / "train", names), _labelled_files(root / "test", names))


def load_image_folder(cfg: DataConf) -> Arrays:
    """Reads every image below data.path.

    Without a folder `test`, data.test_split of each class becomes the test set. There is one channel if
    all files are grayscale, else three.

    Raises:
        DataError: As find_images, or images differ in size, or a file is no image.
    """
    root = Path(str(cfg.path)).expanduser()
    size = None if cfg.image_size is None else (int(cfg.image_size[0]), int(cfg.image_size[1]))
    folder = find_images(root)
    images = _read(folder.files, size)
    labels = np.array([label for _, label in (*folder.train, *(folder.test or ()))], dtype=np.int64)
    first, rest = np.arange(len(folder.train)), np.arange(len(folder.train), len(labels))
    if folder.test is None:
        split = stratified_split(labels, cfg.test_split, cfg.seed)
        first, rest = split.train, split.validation
    return make_arrays(
        (images[first], labels[first]), (images[rest], labels[rest]), folder.class_names, str(root)
    )


def _class_names(root: Path) -> list[str]:
    names = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(names) < 2:
        raise DataError(
            f"{root} must hold one subfolder per class, two or more, but it holds {len(names)}. "
            "Sort the images into folders named after their classes."
        )
    return names


def _check_known(test: Path, names: list[str]) -> None:
    unknown = sorted(set(_class_names(test)) - set(names))
    if unknown:
        raise DataError(
            f"{test} has the class {unknown[0]}, which the training set lacks. "
            "Add training images of it, or remove the folder."
        )


def _labelled_files(root: Path, names: list[str]) -> list[tuple[Path, int]]:
    labelled: list[tuple[Path, int]] = []
    for label, name in enumerate(names):
        files = _image_files(root / name)
        if not files:
            raise DataError(
                f"The class {name} has no images in {root / name} ({', '.join(sorted(SUFFIXES))}). "
                "Add some, or remove the folder."
            )
        labelled += [(path, label) for path in files]
    return labelled


def _image_files(folder: Path) -> list[Path]:
    """Returns every image file in or below a folder, sorted, without hidden ones."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _check_splittable(labelled: list[tuple[Path, int]], names: list[str]) -> None:
    counts = Counter(label for _, label in labelled)
    for label, name in enumerate(names):
        if counts[label] < 2:
            raise DataError(
                f"The class {name} has a single image, but the training and the test set need one each. "
                "Add images, or remove the folder."
            )


def _read(files: list[Path], size: tuple[int, int] | None) -> np.ndarray:
    """Returns uint8 (n, height, width, channels); only one decoded file is in memory at a time."""
    channels = 1 if all(is_grayscale(path) for path in files) else 3
    first, _ = to_pixels(open_image(files[0]), channels, size)
    images = np.empty((len(files), *first.shape), dtype=np.uint8)
    for number, path in enumerate(files):
        pixels, _ = to_pixels(open_image(path), channels, size)
        if pixels.shape != first.shape:
            raise DataError(
                f"All images need one size, but {files[0]} has {_size(first)} pixels "
                f"and {path} has {_size(pixels)}. Resize them, or set data.image_size, as in [32,32]."
            )
        images[number] = pixels
    return images


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[0]}x{pixels.shape[1]}"
