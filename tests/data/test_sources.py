"""Each source is found in its places; an error says what to do if it is in none of them."""

import gzip
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kerasweep.config.data import DataConf
from kerasweep.data import download
from kerasweep.data.arrays import Arrays
from kerasweep.data.digits import load_digits
from kerasweep.data.image_folder import load_image_folder
from kerasweep.data.sources import load, source_key
from kerasweep.errors import DataError


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[..., Arrays]:
    def load_here(source: str, path: Path | None = None, **keys: Any) -> Arrays:
        where = None if path is None else str(path)
        return load(DataConf(source=source, path=where, cache_dir=str(tmp_path / "cache"), **keys))

    return load_here


@pytest.fixture
def keras_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns Keras's folder of data sets, which is empty; a proxy refuses each download."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        refusing = f"http://127.0.0.1:{probe.getsockname()[1]}"
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, refusing)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "keras" / "datasets").mkdir(parents=True)
    return tmp_path / "keras" / "datasets"


def test_digits_come_from_scikit_learn(loaded: Callable[..., Arrays]) -> None:
    arrays = loaded("digits")
    assert (len(arrays.train_labels), len(arrays.test_labels)) == (1438, 359)
    assert arrays.input_shape == (8, 8, 1)
    assert (arrays.train_images.min(), arrays.train_images.max()) == (0, 255)
    assert arrays.digest == "d5cadecac3671717"


def test_a_digit_saved_as_an_image_means_the_same(tmp_path: Path) -> None:
    digits = load_digits(DataConf(source="digits"))
    for label in (0, 1):
        for number in np.flatnonzero(digits.train_labels == label)[:2]:
            (tmp_path / str(label)).mkdir(exist_ok=True)
            image = Image.fromarray(np.asarray(digits.train_images[number, ..., 0]))
            image.save(tmp_path / str(label) / f"{number}.png")
    read = load_image_folder(DataConf(source="image_folder", path=str(tmp_path), test_split=0.5))
    for image in read.train_images:
        assert (digits.train_images == image).all(axis=(1, 2, 3)).any()


@pytest.mark.parametrize("source", ["mnist", "fashion_mnist"])
def test_reads_idx_files_from_data_path(loaded: Callable[..., Arrays], idx_folder: Path, source: str) -> None:
    arrays = loaded(source, idx_folder)
    assert arrays.input_shape == (4, 5, 1)
    assert arrays.class_names[0] == {"mnist": "0", "fashion_mnist": "T-shirt/top"}[source]


def test_second_load_comes_from_the_cache(loaded: Callable[..., Arrays], cifar_folder: Path) -> None:
    first = loaded("cifar10", cifar_folder.parent)
    assert isinstance(first.train_images, np.memmap)
    assert loaded("cifar10", cifar_folder).digest == first.digest


def test_finds_downloads_of_keras(
    loaded: Callable[..., Arrays], keras_datasets: Path, cifar_folder: Path, idx_folder: Path
) -> None:
    shutil.copytree(cifar_folder, keras_datasets / "cifar-10-batches-py-target" / cifar_folder.name)
    assert len(loaded("cifar10").train_labels) == 50
    images = np.zeros((10, 4, 5), np.uint8)
    parts = {"x_train": images, "y_train": np.arange(10), "x_test": images, "y_test": np.arange(10)}
    np.savez(keras_datasets / "mnist.npz", **parts)  # type: ignore[arg-type]
    assert len(loaded("mnist").test_labels) == 10
    (keras_datasets / "fashion-mnist").mkdir()
    for path in idx_folder.iterdir():
        content = gzip.compress(path.read_bytes())
        (keras_datasets / "fashion-mnist" / f"{path.name}.gz").write_bytes(content)
    assert len(loaded("fashion_mnist").train_labels) == 20


@pytest.mark.parametrize("source", ["cifar10", "cifar100", "mnist", "fashion_mnist"])
def test_offline_says_what_to_do(loaded: Callable[..., Arrays], keras_datasets: Path, source: str) -> None:
    began = time.perf_counter()
    with pytest.raises(DataError) as refused:
        loaded(source)
    assert time.perf_counter() - began < 5
    assert f"data={source} is not on this machine" in str(refused.value)
    assert "data.path is " in str(refused.value)


def test_half_a_download_does_not_count(
    loaded: Callable[..., Arrays], keras_datasets: Path, cifar_folder: Path
) -> None:
    (cifar_folder / "data_batch_3").unlink()
    shutil.copytree(cifar_folder, keras_datasets / "cifar-10-batches-py")
    with pytest.raises(DataError, match="data=cifar10 is not on this machine"):
        loaded("cifar10")


def test_half_an_archive_does_not_count(loaded: Callable[..., Arrays], keras_datasets: Path) -> None:
    np.savez(keras_datasets / "mnist.npz", x_train=np.zeros((10, 4, 5), np.uint8))
    whole = (keras_datasets / "mnist.npz").read_bytes()
    (keras_datasets / "mnist.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="data=mnist is not on this machine"):
        loaded("mnist")


def test_a_silent_name_server_does_not_block(
    loaded: Callable[..., Arrays], keras_datasets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket's timeout does not limit the lookup of a name."""
    answered = threading.Event()

    def silent(*_: Any, **__: Any) -> None:
        answered.wait(10)
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    monkeypatch.setattr(download, "CONNECT_SECONDS", 0.2)
    began = time.perf_counter()
    with pytest.raises(DataError, match="cannot be reached .no answer within 0.2 seconds"):
        loaded("cifar10")
    assert time.perf_counter() - began < 2
    answered.set()


def test_where_keras_cannot_write_it_uses_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert download.keras_folders() == [tmp_path / "datasets"]
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "absent"))
    assert download.keras_folders() == [tmp_path / "absent" / "datasets", Path("/tmp/.keras/datasets")]


@pytest.mark.parametrize("source", ["cifar10", "mnist", "npz", "image_folder"])
def test_names_a_path_that_does_not_exist(loaded: Callable[..., Arrays], tmp_path: Path, source: str) -> None:
    with pytest.raises(DataError, match="absent, which does not exist"):
        loaded(source, tmp_path / "absent")


def test_a_changed_image_below_a_linked_class_is_noticed(
    loaded: Callable[..., Arrays], two_classes: Path, save_image: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "linked").mkdir()
    for name in ("ant", "cat"):
        (tmp_path / "linked" / name).symlink_to(two_classes / name)
    before = loaded("image_folder", tmp_path / "linked").digest
    save_image(two_classes / "cat" / "0.png", value=222)
    assert loaded("image_folder", tmp_path / "linked").digest != before


def test_a_seed_makes_no_second_copy_of_a_folder_with_a_test_set(
    loaded: Callable[..., Arrays], save_image: Callable[..., None], tmp_path: Path
) -> None:
    for name in ("train/ant", "train/cat", "test/ant", "test/cat"):
        save_image(tmp_path / "parted" / name / "1.png")
    for seed in (0, 1):
        loaded("image_folder", tmp_path / "parted", seed=seed)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_an_image_folder_is_read_again_for_another_size_and_a_new_class(
    loaded: Callable[..., Arrays], two_classes: Path
) -> None:
    assert loaded("image_folder", two_classes).input_shape == (4, 6, 1)
    assert loaded("image_folder", two_classes, image_size=[2, 3]).input_shape == (2, 3, 1)
    (two_classes / "bee").mkdir()
    with pytest.raises(DataError, match="The class bee has no images"):
        loaded("image_folder", two_classes)


def test_files_that_are_left_out_are_noted_also_from_the_cache(
    loaded: Callable[..., Arrays], two_classes: Path
) -> None:
    assert loaded("image_folder", two_classes).notes == ()
    (two_classes / "loose.txt").touch()
    noted = loaded("image_folder", two_classes)
    assert noted.notes == (f"{two_classes} has files that are left out: 1 loose file (loose.txt).",)
    assert isinstance(noted.train_images, np.memmap)


def test_new_keys_at_their_defaults_keep_the_key_of_a_source() -> None:
    key = source_key(DataConf(source="image_folder", path="photos"))
    assert key == "['image_folder', 'photos', None, None, None, {}, 0.2, 0]"
    assert source_key(DataConf(source="image_folder", path="photos", resize="pad")) != key
    assert source_key(DataConf(source="image_folder", path="photos", skip_corrupt=True)) != key


def test_unknown_source_is_not_replaced(loaded: Callable[..., Arrays], tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="source other is not loaded"):
        loaded("other", tmp_path)
