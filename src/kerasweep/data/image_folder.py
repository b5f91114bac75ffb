"""Loads the image files of a folder with one subfolder per class, or of a table."""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np

from kerasweep.config.data import DataConf
from kerasweep.data.arrays import Arrays, make_arrays
from kerasweep.data.folder_layout import ImageFolder, check_splittable, find_images, lost_part
from kerasweep.data.image_file import decode_file, read_depth, silent_pillow
from kerasweep.data.mapped import Allocate, allocate_in_memory, release
from kerasweep.data.split import stratified_split
from kerasweep.errors import DataError
from kerasweep.serving.pixels import Conversion, find_divisor, to_pixels

MAX_LISTED = 50  # unreadable files in an error
FILES_PER_TASK = 16
RELEASED_BYTES = 2**22  # of a mapped array, written between two releases

Read = TypeVar("Read")


def load_image_folder(
    cfg: DataConf, folder: ImageFolder | None = None, allocate: Allocate = allocate_in_memory
) -> Arrays:
    """Reads every image below data.path, or every given one, in threads.

    Without a folder `test`, data.test_split of each class becomes the test set. There is one channel if
    all files are grayscale, else three. Files with more than 8 bits a pixel are divided by one number,
    so that the data set's own range becomes 0..255.

    Args:
        cfg: The group `data`.
        folder: The files, if they are found already, as those of a table.
        allocate: Makes the arrays that the images are decoded into.

    Raises:
        DataError: As find_images, or images differ in size, or files are no images and data.skip_corrupt is
            false.
    """
    root, skips = Path(str(cfg.path)).expanduser(), bool(cfg.skip_corrupt)
    folder = folder or find_images(root)
    labels = np.array([label for _, label in folder.labelled], dtype=np.int64)
    with silent_pillow(), _threads() as threads:
        reader = _Reader(cfg, folder, threads)
        while True:  # again without the files that turned out to be unreadable while they were decoded
            unreadable = len(reader.unreadable)
            is_refused = unreadable and (not skips or unreadable == len(folder.files))
            parts = {} if is_refused else _divide(cfg, folder, labels, reader.unreadable)
            images = reader.read(parts, allocate)
            notes = _check_unreadable(root, reader.unreadable, len(folder.files), skips)
            if len(reader.unreadable) == unreadable:
                break
    made = {name: (images[name], labels[part]) for name, part in parts.items()}
    return make_arrays(
        *(made["train_images"], made["test_images"], folder.class_names, str(root)),
        made.get("validation_images"),
        conversion=reader.conversion,
        notes=notes,
    )


def _divide(
    cfg: DataConf, folder: ImageFolder, labels: np.ndarray, unreadable: Mapping[Path, str]
) -> dict[str, np.ndarray]:
    """Returns the indices of each part's files, by the name of its images in the cache."""
    is_readable = np.array([path not in unreadable for path in folder.files])
    ends = np.cumsum([len(part or ()) for part in (folder.train, folder.validation)])
    train, validation, test = (part[is_readable[part]] for part in np.split(np.arange(len(labels)), ends))
    for name, files, left in (("validation", folder.validation, validation), ("test", folder.test, test)):
        if files and not len(left):
            holder = "these rows" if folder.class_container == "rows" else "this folder"
            raise lost_part(name, len(files), Path(str(cfg.path)).expanduser(), "unreadable", holder)
    if folder.test is None:
        check_splittable(labels[train].tolist(), folder.class_names, folder.class_container)
        split = stratified_split(labels[train], cfg.test_split, cfg.seed)
        train, test = train[split.train], train[split.validation]
    parts = {"train_images": train, "test_images": test}
    return parts if folder.validation is None else parts | {"validation_images": validation}


@contextmanager
def _threads() -> Iterator[Executor]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = ThreadPoolExecutor(cores)
    try:
        yield threads
    finally:
        threads.shutdown(cancel_futures=True)  # after an error or Ctrl-C, the rest is not read


class _Reader:
    """Reads files in threads, and collects the unreadable ones."""

    def __init__(self, cfg: DataConf, folder: ImageFolder, threads: Executor) -> None:
        """Finds the channels and the range of the files."""
        self.unreadable: dict[Path, str] = {}
        files, content = folder.files, folder.content
        self._files, self._content, self._threads = files, content, threads
        self._size = None if cfg.image_size is None else (int(cfg.image_size[0]), int(cfg.image_size[1]))
        depths = [depth for _, depth in self._map(lambda index: read_depth(files[index], content))]
        self._channels = 1 if all(is_grayscale for is_grayscale, _ in depths) else 3
        largest = max((value for _, value in depths), default=0)
        divisor = {"divisor": find_divisor(largest)} if largest else {}
        self.conversion = Conversion(str(cfg.resize), **divisor)

    def read(self, parts: Mapping[str, np.ndarray], allocate: Allocate) -> dict[str, np.ndarray]:
        """Returns the images of each part, uint8 (n, height, width, channels).

        Args:
            parts: The indices of their files. Without any, the files are decoded to find the unreadable ones.
            allocate: Makes the arrays.
        """
        first, shape = self._first()
        released_rows = max(1, RELEASED_BYTES // math.prod(shape))
        images = {name: allocate(name, (len(part), *shape)) for name, part in parts.items()}
        places = {
            index: (images[name], row) for name, part in parts.items() for row, index in enumerate(part)
        }

        def write(index: int) -> tuple[int, ...]:
            pixels = self._pixels(index)
            if index in places and pixels.shape == shape:
                array, row = places[index]
                array[row] = pixels
                if row % released_rows == 0:
                    release(array)
            return pixels.shape

        for index, its_shape in self._map(write):
            if its_shape != shape:
                raise DataError(
                    f"All images need one size, but {first} has {_size(shape)} pixels "
                    f"and {self._files[index]} has {_size(its_shape)}. "
                    "Resize them, or set data.image_size, as in [32,32]."
                )
        return images

    def _first(self) -> tuple[Path, tuple[int, ...]]:
        """Returns the first readable file, and the shape of its pixels."""
        for index, path in enumerate(self._files):
            image = None if path in self.unreadable else _try(self._pixels, index)
            if isinstance(image, np.ndarray):
                return path, image.shape
        return self._files[0], (1, 1, self._channels)

    def _pixels(self, index: int) -> np.ndarray:
        image = decode_file(self._files[index], self._content)
        return to_pixels(image, self._channels, self._size, self.conversion)[0]

    def _map(self, read: Callable[[int], Read]) -> Iterator[tuple[int, Read]]:
        """Yields the results of the readable files, in their order."""
        indices = [index for index, path in enumerate(self._files) if path not in self.unreadable]
        tasks = [indices[start : start + FILES_PER_TASK] for start in range(0, len(indices), FILES_PER_TASK)]
        results = self._threads.map(lambda task: [_try(read, index) for index in task], tasks)
        for task, done in zip(tasks, results, strict=True):
            for index, result in zip(task, done, strict=True):
                if isinstance(result, DataError):
                    self.unreadable[self._files[index]] = str(result)
                else:
                    yield index, result


def _try(read: Callable[[int], Read], index: int) -> Read | DataError:
    try:
        return read(index)
    except DataError as error:
        return error


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


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}x{shape[1]}"
