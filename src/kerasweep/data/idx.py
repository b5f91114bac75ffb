"""IDX files, in which MNIST and Fashion-MNIST come: http://yann.lecun.com/exdb/mnist/."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from kerasweep.data.arrays import Arrays, make_arrays
from kerasweep.errors import DataError

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_UNSIGNED_BYTE = 8


def find_idx_files(folder: Path) -> list[Path]:
    """The four files, gzipped or not. Raises DataError naming the first that is missing."""
    found = []
    for name in FILES:
        candidates = [folder / name, folder / f"{name}.gz"]
        present = [path for path in candidates if path.is_file()]
        if not present:
            raise DataError(f"{folder} must hold {name} or {name}.gz, but it does not.")
        found.append(present[0])
    return found


def load_idx(files: list[Path], class_names: tuple[str, ...]) -> Arrays:
    """Training and test set from the four files. Raises DataError where one is damaged."""
    x_train, y_train, x_test, y_test = (read_idx(path) for path in files)
    return make_arrays((x_train, y_train), (x_test, y_test), class_names, str(files[0].parent))


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array of one IDX file: magic number, sizes (big-endian), bytes."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path} is damaged or incomplete ({error}). Copy or download it again.") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UNSIGNED_BYTE:
        raise DataError(f"{path} is no IDX file of unsigned bytes.")
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
