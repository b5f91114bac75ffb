"""Loads the image files of a folder with one subfolder per class, or of a table."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from kerasweep.config.data import DataConf
from kerasweep.data.arrays import Arrays, make_arrays
from kerasweep.data.folder_layout import ImageFolder, check_splittable, find_images
from kerasweep.data.image_file import open_image, read_depth
from kerasweep.data.split import stratified_split
from kerasweep.errors import DataError
from kerasweep.serving.pixels import Conversion, find_divisor, to_pixels

MAX_LISTED = 50  # unreadable files in an error

Read = TypeVar("Read")


def load_image_folder(cfg: DataConf, folder: ImageFolder | None = None) -> Arrays:
    """Reads every image below data.path, or every given one.

    Without a folder `test`, data.test_split of each class becomes the test set. There is one channel if
    all files are grayscale, else three. Files with more than 8 bits a pixel are divided by one number,
    so that the data set's own range becomes 0..255.

    Args:
        cfg: The group `data`.
        folder: The files, if they are found already, as those of a table.

    Raises:
        DataError: As find_images, or images differ in size, or files are no images and data.skip_corrupt is
            false.
    """
    root = Path(str(cfg.path)).expanduser()
    folder = folder or find_images(root)
    size = None if cfg.image_size is None else (int(cfg.image_size[0]), int(cfg.image_size[1]))
    reader = _Reader(size, str(cfg.resize))
    images = reader.read(folder.files)
    notes = _check_unreadable(root, reader.unreadable, len(folder.files), bool(cfg.skip_corrupt))
    is_read = np.array([path not in reader.unreadable for path in folder.files])
    labels = np.array([label for _, label in folder.labelled], dtype=np.int64)[is_read]
    ends = np.cumsum([len(part or ()) for part in (folder.train, folder.validation)])
    train, validation, test = np.split(np.arange(len(labels)), [int(is_read[:end].sum()) for end in ends])
    if folder.test is None:
        check_splittable(labels[train].tolist(), folder.class_names, folder.class_is)
        split = stratified_split(labels[train], cfg.test_split, cfg.seed)
        train, test = train[split.train], train[split.validation]
    return make_arrays(
        (images[train], labels[train]),
        (images[test], labels[test]),
        folder.class_names,
        str(root),
        None if folder.validation is None else (images[validation], labels[validation]),
        conversion=reader.conversion,
        notes=notes,
    )


class _Reader:
    """Reads files into one array, and collects the unreadable ones."""

    def __init__(self, size: tuple[int, int] | None, resize: str) -> None:
        self.unreadable: dict[Path, str] = {}
        self.conversion = Conversion(resize)
        self._size = size

    def read(self, files: list[Path]) -> np.ndarray:
        """Returns uint8 (n, height, width, channels); only one decoded file is in memory at a time."""
        depths = [depth for path in files if (depth := self._try(read_depth, path)) is not None]
        channels = 1 if all(is_grayscale for is_grayscale, _ in depths) else 3
        largest = max((value for _, value in depths), default=0)
        if largest:
            self.conversion = Conversion(self.conversion.resize, find_divisor(largest))
        images, first, count = np.empty((0, 1, 1, channels), np.uint8), files[0], 0
        for path in files:
            if path in self.unreadable or (image := self._try(open_image, path)) is None:
                continue
            pixels, _ = to_pixels(image, channels, self._size, self.conversion)
            if not count:
                images, first = np.empty((len(files), *pixels.shape), dtype=np.uint8), path
            if pixels.shape != images.shape[1:]:
                raise DataError(
                    f"All images need one size, but {first} has {_size(images[0])} pixels "
                    f"and {path} has {_size(pixels)}. Resize them, or set data.image_size, as in [32,32]."
                )
            images[count] = pixels
            count += 1
        return images[:count]

    def _try(self, read: Callable[[Path], Read], path: Path) -> Read | None:
        try:
            return read(path)
        except DataError as error:
            self.unreadable[path] = str(error)
            return None


def _check_unreadable(root: Path, unreadable: dict[Path, str], total: int, skips: bool) -> list[str]:
    """Returns a note on the skipped files. Raises DataError if none may be skipped, or all are unreadable."""
    if not unreadable:
        return []
    folder = root if root.is_dir() else root.parent
    shown = [path.relative_to(folder) if path.is_relative_to(folder) else path for path in unreadable]
    names = ", ".join(map(str, shown[:MAX_LISTED]))
    dots = f" and {len(unreadable) - MAX_LISTED} more" if len(unreadable) > MAX_LISTED else ""
    if skips and len(unreadable) < total:
        return [
            f"data.skip_corrupt left out {len(unreadable):,} of {total:,} files of {root}: {names}{dots}."
        ]
    first = next(iter(unreadable.values()))
    if len(unreadable) == 1:
        raise DataError(f"{first} To train without it, set data.skip_corrupt=true.")
    raise DataError(
        f"{len(unreadable):,} of {total:,} files of {root} cannot be read as images: {names}{dots}. The "
        f"first: {first} To train without them, set data.skip_corrupt=true."
    )


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[0]}x{pixels.shape[1]}"
