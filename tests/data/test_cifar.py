"""CIFAR batches as Python 2 and Python 3 wrote them, in folders and archives; and hostile ones."""

import builtins
import os
import pickle
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.data.cifar import CIFAR10, CIFAR100, find_cifar, load_cifar, read_batch
from src.errors import DataError


def python2_batch(module: bytes, rows: np.ndarray, labels: list[int]) -> bytes:
    """A batch as Python 2's cPickle wrote it at protocol 2: byte strings, and NumPy's module then or now."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<I", len(value)) + value

    shape = b"".join(b"M" + struct.pack("<H", size) for size in rows.shape)
    dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\0K\x01\x87R(K\x03" + text(b"|") + b"NNN"
    dtype += 2 * b"J\xff\xff\xff\xff" + b"K\0tb"
    array = b"c" + module + b"\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + text(b"b") + b"\x87R"
    array += b"(K\x01" + shape + b"\x86" + dtype + b"\x89" + text(rows.tobytes()) + b"tb"
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + numbers + b"u."


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_reads_a_batch_of_python_2(module: bytes) -> None:
    rows = np.arange(2 * 3072, dtype=np.uint16).astype(np.uint8).reshape(2, 3072)
    batch = read_batch(python2_batch(module, rows, [3, 9]), "batch")
    assert np.array_equal(batch[b"data"], rows)
    assert batch[b"labels"] == [3, 9]


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_reads_a_batch_of_python_3(protocol: int) -> None:
    content = {b"data": np.zeros((1, 3072), np.uint8), "labels": [np.int64(4)]}
    batch = read_batch(pickle.dumps(content, protocol=protocol), "batch")
    assert batch[b"data"].shape == (1, 3072)
    assert batch[b"labels"] == [4]


class Hostile:
    """Calls a function where it is unpickled."""

    def __init__(self, function: Callable[..., Any], argument: str) -> None:
        self.call = function, (argument,)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    ("function", "said"),
    [(os.system, r"wants (posix|nt)\.system"), (builtins.eval, r"wants (__builtin__|builtins)\.eval")],
)
def test_refuses_a_batch_that_would_run_code(
    function: Callable[..., Any], said: str, protocol: int, tmp_path: Path
) -> None:
    content = {b"data": Hostile(function, f"open({str(tmp_path / 'ran')!r}, 'w')")}
    with pytest.raises(DataError, match=said):
        read_batch(pickle.dumps(content, protocol=protocol), "batch")
    assert not (tmp_path / "ran").exists()


def test_decodes_channels_and_order(cifar_folder: Path) -> None:
    rows = np.arange(10 * 3072).reshape(10, 3072).astype(np.uint8)
    content = pickle.dumps({b"data": rows, b"labels": list(range(10))})
    (cifar_folder / "test_batch").write_bytes(content)
    arrays = load_cifar(cifar_folder, CIFAR10)
    assert arrays.train_images.shape == (50, 32, 32, 3)
    assert arrays.train_images[:, 0, 0, 0].tolist() == list(range(50))
    assert arrays.test_images[4, 1, 2, 2] == rows[4, 2 * 1024 + 1 * 32 + 2]
    assert arrays.class_names[3] == "cat"


@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_archive_gives_the_same_as_the_folder(cifar_folder: Path, tmp_path: Path, mode: str) -> None:
    path = tmp_path / "copy" / ("cifar-10-python.tar.gz" if mode == "w:gz" else "cifar-10-python.tar")
    path.parent.mkdir()
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        archive.add(cifar_folder, cifar_folder.name)
    expected = load_cifar(find_cifar(tmp_path, CIFAR10), CIFAR10).digest
    for place in (path, path.parent):
        assert load_cifar(find_cifar(place, CIFAR10), CIFAR10).digest == expected


def test_takes_the_fine_labels_of_cifar100(tmp_path: Path) -> None:
    names = [f"class {number}".encode() for number in range(100)]
    batch = {b"data": np.zeros((100, 3072), np.uint8), b"fine_labels": list(range(100))}
    batch[b"coarse_labels"] = [0] * 100
    for name, content in (("train", batch), ("test", batch), ("meta", {b"fine_label_names": names})):
        (tmp_path / name).write_bytes(pickle.dumps(content))
    arrays = load_cifar(find_cifar(tmp_path, CIFAR100), CIFAR100)
    assert arrays.train_labels.tolist() == list(range(100))
    assert arrays.class_names[99] == "class 99"


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_names_a_cut_archive(cifar_folder: Path, tmp_path: Path, mode: str, keep: float) -> None:
    path = tmp_path / "cut.tar"
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name in sorted(cifar_folder.iterdir()):
            archive.add(name, f"cifar-10-batches-py/{name.name}")
        if mode == "w":
            size = archive.offset
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * (size if mode == "w" else len(content)))])
    with pytest.raises(DataError, match=r"cut\.tar"):
        load_cifar(path, CIFAR10)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (pickle.dumps({b"data": np.zeros((1, 3072), np.uint8)})[:-2000], "is damaged or incomplete"),
        (b"", "is damaged or incomplete"),
        (b"not a pickle", "is damaged or incomplete"),
        (pickle.dumps([1]), "is no CIFAR batch: it holds a list"),
        (pickle.dumps({b"labels": [0]}), "has no data: it is no CIFAR batch of this kind"),
        (
            pickle.dumps({b"data": np.zeros((1, 3072), np.float32), b"labels": [0]}),
            "must hold uint8 rows of 3072 pixels, but got float32 (1, 3072)",
        ),
        (
            pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [b"cat"]}),
            "must hold whole numbers as labels",
        ),
    ],
)
def test_names_a_damaged_batch(cifar_folder: Path, content: bytes, said: str) -> None:
    (cifar_folder / "data_batch_2").write_bytes(content)
    with pytest.raises(DataError) as refused:
        load_cifar(cifar_folder, CIFAR10)
    assert said in str(refused.value)
    assert str(cifar_folder / "data_batch_2") in str(refused.value)


def test_names_what_is_missing(cifar_folder: Path, tmp_path: Path) -> None:
    (cifar_folder / "data_batch_4").unlink()
    with pytest.raises(DataError, match="must hold data_batch_4, but it does not"):
        load_cifar(cifar_folder, CIFAR10)
    with pytest.raises(DataError, match="must be the folder cifar-100-python or its tar.gz"):
        find_cifar(tmp_path, CIFAR100)
