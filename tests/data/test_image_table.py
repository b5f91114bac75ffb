"""Tables of paths and labels give the images that a folder gives; bad tables are refused in a sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from kerasweep.config.data import DataConf
from kerasweep.data.image_table import find_table_images
from kerasweep.data.sources import load
from kerasweep.errors import DataError

Save = Callable[..., None]


def conf(path: Path, **keys: Any) -> DataConf:
    return DataConf(source="table", path=str(path), cache_dir=str(path.parent.parent / "cache"), **keys)


@pytest.fixture
def rows(two_classes: Path) -> pandas.DataFrame:
    """Ten files of the classes `ant` and `cat`, with paths relative to the folder of the table."""
    files = sorted(two_classes.glob("*/*.png"))
    return pandas.DataFrame(
        {
            "path": [str(file.relative_to(two_classes)) for file in files],
            "label": [f.parent.name for f in files],
        }
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_gives_the_arrays_of_the_folder(
    two_classes: Path, rows: pandas.DataFrame, suffix: str
) -> None:
    table = two_classes / f"labels.{suffix}"
    rows.to_csv(table, index=False) if suffix == "csv" else rows.to_parquet(table)
    folder = DataConf(
        source="image_folder", path=str(two_classes), cache_dir=str(two_classes.parent / "cache")
    )
    assert load(conf(table)).digest == load(folder).digest


def test_a_changed_label_is_read_again(two_classes: Path, rows: pandas.DataFrame) -> None:
    table = two_classes / "labels.csv"
    rows.to_csv(table, index=False)
    before = load(conf(table))
    rows.loc[0, "label"] = "cat"
    rows.to_csv(table, index=False)
    after = load(conf(table))
    assert np.bincount(before.train_labels).tolist() == [4, 4]
    assert np.bincount(after.train_labels).tolist() == [3, 5]


def test_other_columns_are_named(two_classes: Path, rows: pandas.DataFrame) -> None:
    table = two_classes / "labels.csv"
    rows.rename(columns={"path": "file", "label": "kind"}).to_csv(table, index=False)
    images = find_table_images(conf(table, image_column="file", label_column="kind"))
    assert (images.class_names, len(images.train)) == (["ant", "cat"], 10)


def test_a_split_column_divides_the_images(two_classes: Path, rows: pandas.DataFrame) -> None:
    table = two_classes / "labels.csv"
    rows["split"] = ["train", "train", "train", "val", "Test"] * 2
    rows.to_csv(table, index=False)
    arrays = load(conf(table))
    assert arrays.train_images[:, 0, 0, 0].tolist() == [100, 101, 102, 0, 1, 2]
    assert arrays.test_images[:, 0, 0, 0].tolist() == [104, 4]
    assert arrays.validation is not None and arrays.validation[0][:, 0, 0, 0].tolist() == [103, 3]
    assert find_table_images(conf(table, split_column=None)).test is None


def test_numbered_classes_are_in_the_order_of_their_numbers(
    two_classes: Path, rows: pandas.DataFrame
) -> None:
    rows["label"] = [10, 2] * 5
    rows.to_parquet(two_classes / "labels.parquet")
    assert find_table_images(conf(two_classes / "labels.parquet")).class_names == ["2", "10"]


@pytest.mark.parametrize(
    ("labels", "ordered"),
    [
        (["10.0", "2.0", "1.0", "-1", "10"], ["-1", "1.0", "2.0", "10", "10.0"]),
        (["1e3", "20", "-0.5", "nan", "inf"], ["-0.5", "20", "1e3", "inf", "nan"]),
        (["12", "1_0", "b", "2", "a"], ["2", "12", "1_0", "a", "b"]),
    ],
)
def test_numbers_come_first_in_their_order(
    two_classes: Path, rows: pandas.DataFrame, labels: list[str], ordered: list[str]
) -> None:
    rows["label"] = labels * 2
    rows.to_csv(two_classes / "labels.csv", index=False)
    assert find_table_images(conf(two_classes / "labels.csv")).class_names == ordered


def test_a_class_may_be_called_none(two_classes: Path, rows: pandas.DataFrame) -> None:
    rows["label"] = ["None", "NA"] * 5
    rows.to_csv(two_classes / "labels.csv", index=False)
    assert find_table_images(conf(two_classes / "labels.csv")).class_names == ["NA", "None"]


def test_files_may_lie_elsewhere(two_classes: Path, rows: pandas.DataFrame, tmp_path_factory: Any) -> None:
    rows["path"] = [str(two_classes / path) for path in rows["path"]]
    table = tmp_path_factory.mktemp("tables") / "labels.csv"
    rows.to_csv(table, index=False)
    (two_classes / "ant" / "0.png").write_bytes(b"damaged")
    with pytest.raises(DataError, match=f"^{two_classes}/ant/0.png cannot be read as an image"):
        load(conf(table))
    (note,) = load(conf(table, skip_corrupt=True)).notes
    assert note == f"data.skip_corrupt left out 1 of 10 files of {table}: {two_classes}/ant/0.png."


def test_missing_files_are_skipped_only_when_asked(two_classes: Path, rows: pandas.DataFrame) -> None:
    table = two_classes / "labels.csv"
    rows.to_csv(table, index=False)
    (two_classes / rows["path"][0]).unlink()
    with pytest.raises(DataError) as error:
        load(conf(table))
    assert str(error.value) == (
        f"{table} names 1 of 10 files that do not exist: {rows['path'][0]}. Paths are relative to the "
        "table's folder. Correct them, or set data.skip_corrupt=true to train without missing files."
    )
    arrays = load(conf(table, skip_corrupt=True))
    assert len(arrays.train_labels) + len(arrays.test_labels) == 9
    assert arrays.notes == (f"{table} names 1 missing file: {rows['path'][0]}.",)


@pytest.mark.parametrize(("part", "named"), [("test", "test"), ("validation", "val")])
def test_a_part_whose_files_are_all_missing_is_not_drawn_from_the_training_images(
    two_classes: Path, rows: pandas.DataFrame, part: str, named: str
) -> None:
    table = two_classes / "labels.csv"
    rows["split"] = ["train", "train", "train", named, named] * 2
    rows.to_csv(table, index=False)
    for path in rows["path"][rows["split"] == named]:
        (two_classes / path).unlink()
    with pytest.raises(DataError) as error:
        load(conf(table, skip_corrupt=True))
    assert str(error.value) == (
        f"All 4 {part} images of {table} are missing. Restore the files, or remove these rows to divide the "
        "images at random."
    )


def test_a_part_may_lack_some_files(two_classes: Path, rows: pandas.DataFrame) -> None:
    rows["split"] = ["train", "train", "train", "test", "test"] * 2
    rows.to_csv(two_classes / "labels.csv", index=False)
    (two_classes / rows["path"][4]).unlink()
    arrays = load(conf(two_classes / "labels.csv", skip_corrupt=True))
    assert arrays.test_images[:, 0, 0, 0].tolist() == [103, 3, 4]


TABLES = {
    "path,kind\na.png,cat\n": (
        "data.label_column=label is no column of TABLE, which has path, kind. Name one of these, as in "
        "data.label_column=path."
    ),
    "path,label\na.png,cat\nb.png,\n": "TABLE has no label in row 2 of 2. Fill it in, or remove the row.",
    "path,label\na.png,cat\n./a.png,dog\n": (
        "TABLE names a.png twice, in rows 1 and 2. Remove one of them: an image that is in two parts makes "
        "scores too good."
    ),
    "path,label\na.png,cat\nFOLDER/a.png,dog\n": (
        "TABLE names FOLDER/a.png twice, in rows 1 and 2. Remove one of them: an image that is in two parts "
        "makes scores too good."
    ),
    "path,label\n": "TABLE has no rows. It needs one for each image.",
    "path;label\na.png;cat\nb.png;dog\n": (
        "The columns of TABLE need commas between them, but have semicolons. Save it with commas, "
        "or as Parquet."
    ),
    "path\tlabel\na.png\tcat, small\n": (
        "The columns of TABLE need commas between them, but have tabs. Save it with commas, or as Parquet."
    ),
    "path,label\na.png,cat,\nb.png,dog,\n": (
        "TABLE has more cells in its rows than the 2 columns of its header. Name each column, or "
        "remove commas at the end of the rows."
    ),
    "path,label,Split\nant/0.png,ant,train\ncat/0.png,cat,test\n": (
        "TABLE has no column split, but Split. Set data.split_column=Split to use it, or "
        "data.split_column=null to divide the images at random."
    ),
    f"path,label\n{'a' * 300}.png,cat\n": (
        f"TABLE names 1 of 1 files that do not exist: {'a' * 300}.png. Paths are relative to the table's "
        "folder. Correct them, or set data.skip_corrupt=true to train without missing files."
    ),
    "": (
        "TABLE cannot be read as CSV: No columns to parse from file. Save a table with a header, in UTF-8, "
        "as labels.csv or labels.parquet."
    ),
    "path,label,split\nant/0.png,ant,train\ncat/0.png,cat,holdout\n": (
        "TABLE has the split holdout in row 2, but a split is train, val or test. Rename it, or set "
        "data.split_column=null to divide the images at random."
    ),
    "path,label,split\nant/0.png,ant,train\ncat/0.png,cat,test\n": (
        "TABLE has no training images of cat. Add some, or remove the rows of these classes."
    ),
    "path,label\nant/0.png,ant\nant/1.png,ant\ncat/0.png,cat\n": (
        "The class cat has a single image, but the training and the test set need one each. Add images, or "
        "remove the rows."
    ),
}


@pytest.mark.parametrize("content", TABLES)
def test_bad_tables_are_refused(two_classes: Path, content: str) -> None:
    table = two_classes / "labels.csv"
    table.write_text(content.replace("FOLDER", str(two_classes)))
    with pytest.raises(DataError) as error:
        find_table_images(conf(table))
    message = TABLES[content].replace("TABLE", str(table)).replace("FOLDER", str(two_classes))
    assert str(error.value) == message


def test_spaces_around_the_names_of_columns_do_not_matter(two_classes: Path, rows: pandas.DataFrame) -> None:
    rows.columns = pandas.Index(["path ", " label"])
    rows.to_csv(two_classes / "labels.csv", index=False)
    assert find_table_images(conf(two_classes / "labels.csv")).class_names == ["ant", "cat"]


def test_a_split_of_another_spelling_is_used_or_not_as_the_config_says(
    two_classes: Path, rows: pandas.DataFrame
) -> None:
    rows["SPLIT"] = ["train", "train", "train", "train", "test"] * 2
    rows.to_csv(two_classes / "labels.csv", index=False)
    assert find_table_images(conf(two_classes / "labels.csv", split_column="SPLIT")).test is not None
    assert find_table_images(conf(two_classes / "labels.csv", split_column=None)).test is None


def test_a_missing_split_column_that_was_named_is_refused(two_classes: Path, rows: pandas.DataFrame) -> None:
    rows.to_csv(two_classes / "labels.csv", index=False)
    with pytest.raises(DataError, match="^data.split_column=fold is no column of "):
        find_table_images(conf(two_classes / "labels.csv", split_column="fold"))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *[("labels.csv", "CSV"), ("labels.CSV", "CSV"), ("labels.txt", "CSV")],
        *[("labels.parquet", "Parquet"), ("labels.PQ", "Parquet")],
    ],
)
def test_other_bytes_are_no_table(two_classes: Path, name: str, kind: str) -> None:
    (two_classes / name).write_bytes(b"\xff\xfe\x00\x01 bytes")
    with pytest.raises(DataError, match=f"{name} cannot be read as {kind}: "):
        find_table_images(conf(two_classes / name))


def test_a_folder_is_no_table(two_classes: Path) -> None:
    with pytest.raises(DataError, match=f"^data=table needs a file, but {two_classes} is a folder."):
        find_table_images(conf(two_classes))
