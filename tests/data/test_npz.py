"""NumPy archives with or without a test set are read, and broken ones refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kerasweep.config.data import DataConf
from kerasweep.data.npz import load_npz
from kerasweep.errors import DataError

IMAGES = np.arange(20 * 2 * 3, dtype=np.uint8).reshape(20, 2, 3)
LABELS = np.arange(20) % 2
SETS = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES, "y_test": LABELS}


def conf(path: Path) -> DataConf:
    return DataConf(source="npz", path=str(path))


def saved(folder: Path, **arrays: Any) -> DataConf:
    np.savez(folder / "mine.npz", **arrays)
    return conf(folder / "mine.npz")


def test_takes_the_test_set_of_the_archive(tmp_path: Path) -> None:
    parts = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:4], "y_test": LABELS[:4]}
    arrays = load_npz(saved(tmp_path, **parts, class_names=np.array(["even", "odd"])))
    assert np.array_equal(arrays.train_images[..., 0], IMAGES)
    assert np.array_equal(arrays.test_labels, LABELS[:4])
    assert arrays.class_names == ("even", "odd")


def test_takes_the_validation_part_of_the_archive(tmp_path: Path) -> None:
    parts = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:4], "y_test": LABELS[:4]}
    without = load_npz(saved(tmp_path, **parts))
    arrays = load_npz(saved(tmp_path, **parts, x_val=IMAGES[4:10], y_val=LABELS[4:10]))
    assert without.validation is None and arrays.digest != without.digest
    assert arrays.validation is not None
    assert np.array_equal(arrays.validation[0][..., 0], IMAGES[4:10])
    assert np.array_equal(arrays.validation[1], LABELS[4:10])


@pytest.mark.parametrize("labels", [LABELS, LABELS[:, None].astype(np.uint8)])
def test_sets_a_test_set_aside(tmp_path: Path, labels: np.ndarray) -> None:
    arrays = load_npz(saved(tmp_path, x=IMAGES, y=labels))
    assert (len(arrays.train_labels), arrays.test_labels.tolist().count(1)) == (16, 2)
    together = np.concatenate([arrays.train_images, arrays.test_images])[..., 0]
    assert sorted(together[:, 0, 0].tolist()) == sorted(IMAGES[:, 0, 0].tolist())


def test_the_validation_part_needs_no_test_set(tmp_path: Path) -> None:
    own = {"x_val": IMAGES[4:10], "y_val": LABELS[4:10]}
    for parts in ({"x": IMAGES, "y": LABELS}, {"x_train": IMAGES, "y_train": LABELS}):
        arrays = load_npz(saved(tmp_path, **parts, **own))
        assert arrays.validation is not None and len(arrays.validation[1]) == 6
        assert (len(arrays.train_labels), len(arrays.test_labels)) == (16, 4)


@pytest.mark.parametrize(
    "names", [np.array([b"even", b"odd"]), np.array([["even", "odd"]]).ravel(), np.array(["even", "odd"])]
)
def test_class_names_may_be_bytes(tmp_path: Path, names: np.ndarray) -> None:
    assert load_npz(saved(tmp_path, **SETS, class_names=names)).class_names == ("even", "odd")


def test_class_names_that_are_no_utf8_are_escaped(tmp_path: Path) -> None:
    arrays = load_npz(saved(tmp_path, **SETS, class_names=np.array([b"caf\xe9", b"odd"])))
    assert arrays.class_names == ("caf\\xe9", "odd")


def test_arrays_that_are_not_read_are_noted(tmp_path: Path) -> None:
    arrays = load_npz(saved(tmp_path, **SETS, x=IMAGES, weights=LABELS))
    assert arrays.notes == (f"{tmp_path}/mine.npz has arrays that are not read: weights, x.",)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (
            {**SETS, "class_names": np.array("even")},
            "must hold class_names as a list of texts, one per class, but got <U4 (). "
            "Save it as in class_names=numpy.array(['cat', 'dog']).",
        ),
        ({**SETS, "class_names": np.array([["even", "odd"]])}, "one per class, but got <U4 (1, 2)"),
        ({**SETS, "class_names": np.array([0.5, 1])}, "one per class, but got float64 (2,)"),
        (
            {"x_train": IMAGES},
            "must hold x_train, y_train, x_test, y_test (or x and y), but it holds x_train",
        ),
        ({}, "but it holds nothing"),
        (
            {"x": np.array([{}], dtype=object), "y": LABELS},
            "cannot be loaded when allow_pickle=False. Arrays of Python objects are not admitted",
        ),
        ({"x": IMAGES, "y": np.eye(2)[LABELS]}, "labels as whole numbers (n,), but got float64 (20, 2)"),
        ({"x": IMAGES, "y": LABELS[:5]}, "has 20 images and 5 labels"),
        ({**SETS, "y_val": LABELS}, "must hold both x_val and y_val or neither, but x_val is missing"),
        (
            {**SETS, "x_val": IMAGES[:, :1], "y_val": LABELS},
            "has training images (2, 3, 1) but validation images (1, 3, 1)",
        ),
        ({**SETS, "x_val": IMAGES, "y_val": LABELS + 100}, "has the label 101, but only 60 images"),
    ],
)
def test_refuses_an_archive_without_the_right_arrays(
    tmp_path: Path, arrays: dict[str, Any], said: str
) -> None:
    cfg = saved(tmp_path, **arrays)
    with pytest.raises(DataError) as refused:
        load_npz(cfg)
    assert said in str(refused.value)
    assert "mine.npz" in str(refused.value)


@pytest.mark.parametrize(("offset", "value"), [(6, 1), (8, 99), (4, 99)])
def test_refuses_an_archive_with_an_altered_header(tmp_path: Path, offset: int, value: int) -> None:
    """The altered bytes claim encryption, an unknown compression, or a later version of the format."""
    cfg = saved(tmp_path, x=IMAGES, y=LABELS)
    content = bytearray((tmp_path / "mine.npz").read_bytes())
    for signature, shift in ((b"PK\3\4", 0), (b"PK\1\2", 2)):
        content[content.index(signature) + offset + shift] = value
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(DataError, match="mine.npz is not a complete .npz archive"):
        load_npz(cfg)


def test_refuses_a_file_that_is_no_archive(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "cut.npz", x=IMAGES, y=LABELS)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:-60])
    np.save(tmp_path / "one.npy", IMAGES)
    (tmp_path / "empty.npz").write_bytes(b"")
    for name in ("cut.npz", "one.npy", "empty.npz"):
        with pytest.raises(DataError, match=f"{name} is not a complete .npz archive"):
            load_npz(conf(tmp_path / name))
    with pytest.raises(DataError, match="absent.npz, which does not exist"):
        load_npz(conf(tmp_path / "absent.npz"))
