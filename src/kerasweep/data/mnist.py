"""Reads MNIST and Fashion-MNIST: four IDX files, or Keras's mnist.npz.

The IDX format: http://yann.lecun.com/exdb/mnist/.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from kerasweep.data.arrays import Arrays, make_arrays
from kerasweep.data.npz import SPLIT_NAMES, read_archive
from kerasweep.errors import DataError

CLASS_NAMES = {
    "mnist": tuple(str(digit) for digit in range(10)),
    "fashion_mnist": (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
}
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_UNSIGNED_BYTE = 8
MAX_BYTES = 2**31  # a small .gz file may hold any number of bytes


def find_idx_files(folder: Path) -> list[Path]:
    """Finds the four files, gzipped or not. Raises DataError that names the first missing one."""
    files = []
    for name in FILES:
        candidates = [folder / name, folder / f"{name}.gz"]
        present = [path for path in candidates if path.is_file()]
        if not present:
            raise DataError(f"{folder} must hold {name} or {name}.gz, but it does not.")
        files.append(present[0])
    return files


def load_idx(files: list[Path], class_names: tuple[str, ...]) -> Arrays:
    """Reads training and test set from the four files. Raises DataError if one is damaged."""
    x_train, y_train, x_test, y_test = (read_idx(path) for path in files)
    return make_arrays((x_train, y_train), (x_test, y_test), class_names, str(files[0].parent))


def load_keras_mnist(path: Path, class_names: tuple[str, ...]) -> Arrays:
    """Reads mnist.npz as Keras downloads it. Raises DataError if it is damaged or incomplete."""
    content = read_archive(path)
    missing = [name for name in SPLIT_NAMES if name not in content]
    if missing:
        raise DataError(f"{path} must hold {missing[0]}, but it does not. Delete it to download it again.")
    x_train, y_train, x_test, y_test = (content[name] for name in SPLIT_NAMES)
    return make_arrays((x_train, y_train), (x_test, y_test), class_names, str(path))


def read_idx(path: Path) -> np.ndarray:
    """Reads one IDX file: magic number, sizes (big-endian), bytes. Returns a uint8 array of these sizes."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path} is damaged or incomplete ({error}). Copy or download it again.") from error
    if len(content) > MAX_BYTES:
        raise DataError(
            f"{path} holds more than {MAX_BYTES:,} bytes, and no data set of IDX files does. "
            "Copy or download it again."
        )
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UNSIGNED_BYTE:
        raise DataError(f"{path} is not an IDX file of unsigned bytes.")
    dimensions = content[3]
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise DataError(f"{path} is damaged or incomplete. Copy or download it again.")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    expected, held = math.prod(shape), len(content) - header
    if held != expected:
        raise DataError(
            f"{path} should hold {expected:,} bytes of data, but it holds {held:,}. "
            "Copy or download it again."
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
