"""Reads CIFAR-10 and CIFAR-100 as published: pickled batches in a folder or a tar archive.

The format: https://www.cs.toronto.edu/~kriz/cifar.html
"""

import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerasweep.data.arrays import Arrays, make_arrays
from kerasweep.data.cifar_pickle import read_batch
from kerasweep.errors import DataError


@dataclass(frozen=True)
class Layout:
    """The names of files and keys of a CIFAR variant."""

    folder: str
    archive: str
    train: tuple[str, ...]
    test: str
    meta: str
    labels: bytes
    names: bytes


MAX_BATCH_BYTES = 2**28  # a small archive may hold any number of bytes
CIFAR10 = Layout(
    "cifar-10-batches-py",
    "cifar-10-python.tar*",
    tuple(f"data_batch_{number}" for number in range(1, 6)),
    "test_batch",
    "batches.meta",
    b"labels",
    b"label_names",
)
CIFAR100 = Layout(
    "cifar-100-python",
    "cifar-100-python.tar*",
    ("train",),
    "test",
    "meta",
    b"fine_labels",
    b"fine_label_names",
)


def find_cifar(path: Path, layout: Layout) -> Path:
    """Returns the folder or archive of batches at or below `path`. Raises DataError if there is none."""
    for candidate in (path, path / layout.folder):
        if (candidate / layout.test).is_file():
            return candidate
    archives = [path] if path.is_file() else sorted(path.glob(layout.archive))
    if archives:
        return archives[0]
    if not path.exists():
        raise DataError(f"data.path names {path}, which does not exist.")
    raise DataError(
        f"{path} must be the folder {layout.folder} or its tar.gz, but {layout.test} is not in it."
    )


def batch_files(source: Path, layout: Layout) -> list[Path]:
    """Returns the files of a folder or archive from `find_cifar`. Raises DataError if one is missing."""
    if source.is_file():
        return [source]
    files = [source / name for name in (*layout.train, layout.test, layout.meta)]
    for path in files:
        if not path.is_file():
            raise DataError(f"{source} must hold {path.name}, but it does not. Unpack the whole archive.")
    return files


def load_cifar(source: Path, layout: Layout) -> Arrays:
    """Decodes every batch. Raises DataError if one is missing, damaged or no CIFAR batch."""
    if source.is_dir():
        batches = {
            path.name: read_batch(_file_content(path), str(path)) for path in batch_files(source, layout)
        }
    else:
        batches = _read_archive(source, (*layout.train, layout.test, layout.meta))
    train = [_decode(batches[name], layout, f"{source}/{name}") for name in layout.train]
    test = _decode(batches[layout.test], layout, f"{source}/{layout.test}")
    names = [
        name.decode() if isinstance(name, bytes) else str(name)
        for name in _entry(batches[layout.meta], layout.names, f"{source}/{layout.meta}")
    ]
    images = np.concatenate([images for images, _ in train])
    labels = np.concatenate([labels for _, labels in train])
    return make_arrays((images, labels), test, names, str(source))


def _file_content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}). Check its permissions.") from error


def _read_archive(path: Path, files: tuple[str, ...]) -> dict[str, Mapping[bytes, Any]]:
    """Reads members in memory; nothing is unpacked to disk."""
    batches: dict[str, Mapping[bytes, Any]] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = Path(member.name).name
                stream = archive.extractfile(member) if name in files and member.isfile() else None
                if stream is not None:
                    if member.size > MAX_BATCH_BYTES:
                        raise DataError(
                            f"{path}:{name} claims {member.size:,} bytes, but a batch of CIFAR has 160 "
                            "million at most. Copy or download it again."
                        )
                    batches[name] = read_batch(stream.read(), f"{path}:{name}")
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        reason = str(error).partition(":")[0]
        raise DataError(f"{path} is damaged or incomplete ({reason}). Copy or download it again.") from error
    missing = [name for name in files if name not in batches]
    if missing:
        raise DataError(f"{path} must hold {missing[0]}, but it does not. Copy or download it again.")
    return batches


def _entry(batch: Mapping[bytes, Any], key: bytes, origin: str) -> Any:
    if key not in batch:
        raise DataError(f"{origin} has no {key.decode()}: it is not a CIFAR batch of this kind.")
    return batch[key]


def _decode(batch: Mapping[bytes, Any], layout: Layout, origin: str) -> tuple[np.ndarray, np.ndarray]:
    data = np.asarray(_entry(batch, b"data", origin))
    if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3072:
        raise DataError(f"{origin} must hold uint8 rows of 3072 pixels, but got {data.dtype} {data.shape}.")
    images = data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    labels = np.asarray(_entry(batch, layout.labels, origin))
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{origin} must hold whole numbers as labels, but got {labels.dtype}.")
    return np.ascontiguousarray(images), labels
