"""Finds the image files that a CSV or Parquet table names, with their labels and parts."""

import math
import os
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from kerasweep.config.data import DataConf
from kerasweep.data.folder_layout import ImageFolder, Labelled, check_splittable, lost_part, part_of
from kerasweep.errors import DataError, first_line, first_names, readable

if TYPE_CHECKING:
    import pandas

MAX_EXAMPLES = 3
OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def find_table_images(cfg: DataConf) -> ImageFolder:
    """Reads the table data.path: a row per image, with paths relative to the table's folder.

    Classes are the labels in alphabetical order, or in order of their numbers. A column named
    data.split_column says train, val or test; the default column may be missing.

    Raises:
        DataError: The table cannot be read or lacks a column, a cell is empty, a split is unknown, a path
            comes twice, a file is missing and data.skip_corrupt is false, or the training images lack a
            class.
    """
    table = Path(str(cfg.path)).expanduser()
    rows = _read(table)
    paths = _column(rows, table, "image_column", str(cfg.image_column))
    labels = _column(rows, table, "label_column", str(cfg.label_column))
    has_split = cfg.split_column in rows or cfg.split_column not in (None, DataConf.split_column)
    if not has_split and cfg.split_column is not None:
        _check_no_other_spelling(rows, table, str(cfg.split_column))
    splits = _column(rows, table, "split_column", str(cfg.split_column)) if has_split else None
    _check_no_twice(paths, table)
    files = [table.parent / path for path in paths]
    missing = {file: None for file in files if not os.path.isfile(file)}
    if missing and (len(missing) == len(files) or not cfg.skip_corrupt):
        raise DataError(
            f"{table} names {len(missing):,} of {len(files):,} files that do not exist: "
            f"{_some(missing, table)}. Paths are relative to the table's folder. Correct them, "
            "or set data.skip_corrupt=true to train without missing files."
        )
    names = sorted(set(labels), key=_numbers_first)
    parts: dict[str, Labelled] = defaultdict(list)
    for number, (file, label) in enumerate(zip(files, labels, strict=True)):
        of_part = parts["training" if splits is None else _part(splits[number], number, table)]
        if file not in missing:
            of_part.append((file, names.index(label)))
    _check_training_has(parts, names, table)
    for part in ("validation", "test"):
        if part in parts and not parts[part]:
            total = sum(part_of(split) == part for split in splits or ())
            raise lost_part(part, total, table, "missing", "these rows")
    if "test" not in parts:
        check_splittable([label for _, label in parts["training"]], names, "rows")
    files_text = "missing file" if len(missing) == 1 else "missing files"
    note = f"{table} names {len(missing):,} {files_text}: {_some(missing, table)}." if missing else None
    return ImageFolder(
        *(names, parts["training"], parts.get("validation"), parts.get("test")),
        left_out=readable(note) if note else None,
        class_container="rows",
    )


def _read(table: Path) -> "pandas.DataFrame":
    import pandas

    is_parquet = table.suffix.lower() in (".parquet", ".pq")
    try:
        if is_parquet:
            rows = pandas.read_parquet(table)
        else:
            rows = pandas.read_csv(table, dtype=str, encoding="utf-8-sig", keep_default_na=False)
    except IsADirectoryError as error:
        raise DataError(
            f"data=table needs a file, but {table} is a folder. Name a CSV or Parquet file."
        ) from error
    except PermissionError as error:
        raise DataError(f"{table} cannot be read ({error.strerror}). Check its permissions.") from error
    except (ValueError, OSError) as error:  # those of pandas and Arrow are among them
        raise DataError(
            f"{table} cannot be read as {'Parquet' if is_parquet else 'CSV'}: {first_line(error)}. "
            "Save a table with a header, in UTF-8, as labels.csv or labels.parquet."
        ) from error
    _check_layout(rows, table, is_parquet)
    return rows.rename(columns=lambda name: str(name).strip())


def _check_layout(rows: "pandas.DataFrame", table: Path, is_parquet: bool) -> None:
    import pandas

    first = str(rows.columns[0]) if len(rows.columns) else ""
    separator = next((mark for mark in OTHER_SEPARATORS if mark in first), None)
    if separator is not None and len(rows.columns) == 1 and not is_parquet:
        raise DataError(
            f"The columns of {table} need commas between them, but have {OTHER_SEPARATORS[separator]}. "
            "Save it with commas, or as Parquet."
        )
    if rows.empty:
        raise DataError(f"{table} has no rows. It needs one for each image.")
    if not is_parquet and not isinstance(rows.index, pandas.RangeIndex):  # the first cells name the rows
        raise DataError(
            f"{table} has more cells in its rows than the {len(rows.columns)} columns of its header. "
            "Name each column, or remove commas at the end of the rows."
        )


def _column(rows: "pandas.DataFrame", table: Path, key: str, name: str) -> list[str]:
    """Returns the texts of a column."""
    columns = [str(column) for column in rows.columns]
    if name not in columns:
        raise DataError(
            f"data.{key}={name} is no column of {table}, which has {', '.join(columns)}. "
            f"Name one of these, as in data.{key}={columns[0]}."
        )
    column = rows[name]
    texts = [
        "" if is_missing else str(cell).strip()
        for cell, is_missing in zip(column, column.isna(), strict=True)
    ]
    if "" in texts:
        raise DataError(
            f"{table} has no {name} in row {texts.index('') + 1} of {len(texts):,}. "
            "Fill it in, or remove the row."
        )
    return texts


def _check_no_other_spelling(rows: "pandas.DataFrame", table: Path, name: str) -> None:
    """Raises DataError for a column such as Split, which would be ignored."""
    other = next((column for column in rows.columns if column.lower() == name), None)
    if other is not None:
        raise DataError(
            f"{table} has no column {name}, but {other}. Set data.split_column={other} to use it, or "
            "data.split_column=null to divide the images at random."
        )


def _part(split: str, number: int, table: Path) -> str:
    part = part_of(split)
    if part is None:
        raise DataError(
            f"{table} has the split {split} in row {number + 1}, but a split is train, val or test. "
            "Rename it, or set data.split_column=null to divide the images at random."
        )
    return part


def _check_no_twice(paths: list[str], table: Path) -> None:
    first: dict[str, int] = {}
    for number, path in enumerate(map(os.path.normpath, paths), 1):
        file = os.path.join(os.path.abspath(table.parent), path)  # the path itself if it is absolute
        if file in first:
            raise DataError(
                f"{table} names {path} twice, in rows {first[file]} and {number}. Remove one of them: "
                "an image that is in two parts makes scores too good."
            )
        first[file] = number


def _check_training_has(parts: dict[str, Labelled], names: list[str], table: Path) -> None:
    trained = {label for _, label in parts["training"]}
    lacking = [name for label, name in enumerate(names) if label not in trained]
    if lacking:
        raise DataError(
            f"{table} has no training images of {first_names(lacking, MAX_EXAMPLES)}. "
            "Add some, or remove the rows of these classes."
        )


def _numbers_first(label: str) -> tuple[bool, float, str]:
    try:
        number = math.nan if "_" in label else float(label)  # Python reads 1_0 as 10
    except ValueError:
        number = math.nan
    return (False, number, label) if math.isfinite(number) else (True, 0.0, label)


def _some(files: Collection[Path], table: Path) -> str:
    names = [
        str(file.relative_to(table.parent)) if file.is_relative_to(table.parent) else str(file)
        for file in files
    ]
    return first_names(names, MAX_EXAMPLES)
