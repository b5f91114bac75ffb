"""A data set that Hugging Face's library saved gives its images, labels, names and splits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kerasweep.config.data import DataConf
from kerasweep.data.arrays import Arrays
from kerasweep.data.sources import load
from kerasweep.errors import DataError

datasets = pytest.importorskip("datasets", reason="datasets, an extra of kerasweep, is not installed")
Rows = Callable[..., Any]


@pytest.fixture
def rows() -> Rows:
    """Returns a function (first, count) that makes rows, whose images are filled with their number."""

    def make(first: int, count: int, names: tuple[str, ...] = ("bee", "ant")) -> Any:
        images = [Image.new("L", (6, 4), first + number) for number in range(count)]
        features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
        labels = [number % 2 for number in range(count)]
        return datasets.Dataset.from_dict({"image": images, "label": labels}, features=features)

    return make


def loaded(folder: Path, **keys: Any) -> Arrays:
    columns = {"image_column": "image", "label_column": "label"} | keys
    return load(
        DataConf(source="hugging_face", path=str(folder), cache_dir=str(folder.parent / "cache"), **columns)
    )


def test_splits_are_the_parts_and_names_keep_their_numbers(tmp_path: Path, rows: Rows) -> None:
    saved = datasets.DatasetDict(train=rows(0, 6), validation=rows(50, 4), test=rows(100, 2))
    saved.save_to_disk(str(tmp_path / "saved"))
    for _ in range(2):
        arrays = loaded(tmp_path / "saved")
        assert arrays.class_names == ("bee", "ant") and arrays.validation is not None
        assert arrays.train_images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
        assert arrays.validation[0][:, 0, 0, 0].tolist() == [50, 51, 52, 53]
        assert arrays.test_images[:, 0, 0, 0].tolist() == [100, 101]
        assert arrays.train_labels.tolist() == [0, 1, 0, 1, 0, 1]
        assert isinstance(arrays.train_images, np.memmap)


def test_a_single_data_set_is_divided_and_a_changed_one_is_read_again(tmp_path: Path, rows: Rows) -> None:
    rows(0, 10).shuffle(seed=1).save_to_disk(str(tmp_path / "saved"))
    arrays = loaded(tmp_path / "saved")
    assert (len(arrays.train_labels), len(arrays.test_labels)) == (8, 2)
    assert np.array_equal(arrays.train_images[:, 0, 0, 0] % 2, arrays.train_labels)
    rows(100, 10).save_to_disk(str(tmp_path / "saved"))
    assert loaded(tmp_path / "saved").train_images.min() >= 100


def test_images_that_cannot_be_read_are_named_by_split_and_row(tmp_path: Path, rows: Rows) -> None:
    features = rows(0, 2).features
    broken = {"image": [{"bytes": b"no image", "path": None}, None], "label": [0, 1]}
    both = datasets.concatenate_datasets([rows(0, 6), datasets.Dataset.from_dict(broken, features=features)])
    datasets.DatasetDict(train=both).save_to_disk(str(tmp_path / "saved"))
    root = tmp_path / "saved"
    with pytest.raises(DataError) as refused:
        loaded(root)
    assert str(refused.value) == (
        f"2 of 8 files of {root} cannot be read as images: train/6, train/7. The first: {root}/train/6 "
        "cannot be read as an image. Save it again as PNG, JPEG, WEBP, TIFF, BMP or GIF, or leave it out. "
        "To train without them, set data.skip_corrupt=true."
    )
    assert loaded(root, skip_corrupt=True).notes == (
        f"data.skip_corrupt left out 2 of 8 files of {root}: train/6, train/7.",
    )


def test_refuses_with_a_sentence(tmp_path: Path, rows: Rows) -> None:
    root = tmp_path / "saved"
    rows(0, 6).save_to_disk(str(root))
    columns = f"in {root}, which has image (Image), label (ClassLabel). Name such a column"
    with pytest.raises(DataError, match="data.image_column=photo must be a column of Image") as refused:
        loaded(root, image_column="photo")
    assert columns in str(refused.value)
    with pytest.raises(DataError, match="data.label_column=image must be a column of ClassLabel") as refused:
        loaded(root, label_column="image")
    assert columns in str(refused.value)
    datasets.DatasetDict(test=rows(0, 6)).save_to_disk(str(tmp_path / "tested"))
    with pytest.raises(DataError, match="tested has the split test, but no training images. Save them as"):
        loaded(tmp_path / "tested")
    datasets.DatasetDict(train=rows(0, 6), extra=rows(0, 6)).save_to_disk(str(tmp_path / "more"))
    with pytest.raises(DataError, match="more has the splits train, extra, but kerasweep reads train, valid"):
        loaded(tmp_path / "more")
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="none cannot be read as a data set of Hugging Face. Save one with"):
        loaded(tmp_path / "none")
    (root / "data-00000-of-00001.arrow").write_bytes(b"no table")
    with pytest.raises(DataError, match="saved cannot be read as a data set of Hugging Face. Save one with"):
        loaded(root)
