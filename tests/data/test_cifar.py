"""CIFAR batches are read from folders and archives; damaged ones are named."""

import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from kerasweep.data import cifar
from kerasweep.data.cifar import CIFAR10, CIFAR100, find_cifar, load_cifar
from kerasweep.errors import DataError


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
        (pickle.dumps([1]), "is not a CIFAR batch: it holds a list"),
        (pickle.dumps({b"labels": [0]}), "has no data: it is not a CIFAR batch of this kind"),
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


def test_names_a_batch_that_cannot_be_read(cifar_folder: Path) -> None:
    (cifar_folder / "test_batch").unlink()
    (cifar_folder / "test_batch").symlink_to("/proc/self/mem")
    with pytest.raises(DataError, match=r"test_batch cannot be read \(.*\). Check its permissions"):
        load_cifar(cifar_folder, CIFAR10)


def test_names_missing_files(cifar_folder: Path, tmp_path: Path) -> None:
    (cifar_folder / "data_batch_4").unlink()
    with pytest.raises(DataError, match="must hold data_batch_4, but it does not"):
        load_cifar(cifar_folder, CIFAR10)
    with pytest.raises(DataError, match="must be the folder cifar-100-python or its tar.gz"):
        find_cifar(tmp_path, CIFAR100)


def test_refuses_a_batch_that_would_fill_the_memory(
    cifar_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(cifar_folder, cifar_folder.name)
    monkeypatch.setattr(cifar, "MAX_BATCH_BYTES", 1000)
    with pytest.raises(
        DataError, match=r"data_batch_1 claims [\d,]+ bytes, but a batch of CIFAR has 160 million"
    ):
        load_cifar(path, CIFAR10)
