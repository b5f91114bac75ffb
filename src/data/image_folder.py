"""A folder of image files, one subfolder a class."""

from collections import Counter
from pathlib import Path

import numpy as np

from src.config.data import DataConf
from src.data.arrays import Arrays, make_arrays
from src.data.image_file import is_grayscale, open_image, to_pixels
from src.data.split import stratified_split
from src.errors import DataError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif"}


def load_image_folder(cfg: DataConf) -> Arrays:
    """Read every image below data.path; classes are the subfolders in alphabetical order.

    Where the folder holds `train` and `test`, those are the two sets; else data.test_split of
    each class becomes the test set. All grayscale files give one channel, else three. Raises
    DataError for an empty class, images of several sizes, or a file that is no image.
    """
    root = Path(str(cfg.path)).expanduser()
    size = None if cfg.image_size is None else (int(cfg.image_size[0]), int(cfg.image_size[1]))
    if not root.is_dir():
        raise DataError(f"data.path must be a folder with one subfolder per class, but {root} is none.")
    if (root / "train").is_dir() and (root / "test").is_dir():
        names = _class_names(root / "train")
        _check_known(root / "test", names)
        train = _labelled_files(root / "train", names)
        test = _labelled_files(root / "test", names)
        images, labels = _read(train + test, size)
        first, rest = np.arange(len(train)), np.arange(len(train), len(labels))
    else:
        names = _class_names(root)
        labelled = _labelled_files(root, names)
        _check_splittable(labelled, names)
        images, labels = _read(labelled, size)
        split = stratified_split(labels, cfg.test_split, cfg.seed)
        first, rest = split.train, split.validation
    return make_arrays((images[first], labels[first]), (images[rest], labels[rest]), names, str(root))


def list_images(root: Path) -> list[Path]:
    """Every image file below a folder, in a fixed order."""
    return sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )


def list_folders(root: Path) -> list[str]:
    """The names of the classes, or `train` and `test`, and of what lies one level below."""
    return sorted(
        str(path.relative_to(root)) for path in (*root.glob("*"), *root.glob("*/*")) if path.is_dir()
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
        files = list_images(root / name) if (root / name).is_dir() else []
        if not files:
            raise DataError(
                f"The class {name} has no images in {root / name} ({', '.join(sorted(SUFFIXES))}). "
                "Add some, or remove the folder."
            )
        labelled += [(path, label) for path in files]
    return labelled


def _check_splittable(labelled: list[tuple[Path, int]], names: list[str]) -> None:
    counts = Counter(label for _, label in labelled)
    for label, name in enumerate(names):
        if counts[label] < 2:
            raise DataError(
                f"The class {name} has a single image, but the training and the test set need one each. "
                "Add images, or remove the folder."
            )


def _read(labelled: list[tuple[Path, int]], size: tuple[int, int] | None) -> tuple[np.ndarray, np.ndarray]:
    opened = [open_image(path) for path, _ in labelled]
    channels = 1 if all(is_grayscale(image) for image in opened) else 3
    images = [to_pixels(image, channels, size)[0] for image in opened]
    for (path, _), array in zip(labelled, images, strict=True):
        if array.shape != images[0].shape:
            raise DataError(
                f"All images need one size, but {labelled[0][0]} has {_size(images[0])} pixels "
                f"and {path} has {_size(array)}. Resize them, or set data.image_size, as in [32,32]."
            )
    return np.stack(images), np.array([label for _, label in labelled], dtype=np.int64)


def _size(array: np.ndarray) -> str:
    return f"{array.shape[0]}x{array.shape[1]}"
