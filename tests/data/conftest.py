"""Fixtures that write small data sets in the published file formats."""

import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

NAMES = [b"airplane", b"automobile", b"bird", b"cat", b"deer", b"dog", b"frog", b"horse", b"ship", b"truck"]


@pytest.fixture
def cifar_folder(tmp_path: Path) -> Path:
    """Writes cifar-10-batches-py with ten images a batch: image k of batch b is filled with 10 b + k."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for number, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        rows = np.repeat(np.arange(10, dtype=np.uint8)[:, None] + 10 * number, 3072, axis=1)
        content = {b"data": rows, b"labels": list(range(10))}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": NAMES}, protocol=2))
    return folder


def write_idx(path: Path, array: np.ndarray) -> None:
    header = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


@pytest.fixture
def idx_folder(tmp_path: Path) -> Path:
    """Writes the four IDX files with 20 training and 10 test images of 4x5, filled with their number."""
    folder = tmp_path / "idx"
    folder.mkdir()
    for part, count in (("train", 20), ("t10k", 10)):
        images = np.broadcast_to(np.arange(count)[:, None, None], (count, 4, 5))
        write_idx(folder / f"{part}-images-idx3-ubyte", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte", np.arange(count) % 10)
    return folder


@pytest.fixture
def save_image() -> Callable[..., None]:
    """Returns a function (path, height, width, mode, value) that saves an image of one value."""

    def save(path: Path, height: int = 4, width: int = 6, mode: str = "L", value: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        color = value if mode in ("L", "I;16") else (value,) * len(mode)
        Image.new(mode, (width, height), color).save(path)

    return save


@pytest.fixture
def two_classes(tmp_path: Path, save_image: Callable[..., None]) -> Path:
    """Writes five grayscale images each of `cat` (0..4) and `ant` (100..104)."""
    for name, first in (("cat", 0), ("ant", 100)):
        for number in range(5):
            save_image(tmp_path / "pets" / name / f"{number}.png", value=first + number)
    return tmp_path / "pets"
