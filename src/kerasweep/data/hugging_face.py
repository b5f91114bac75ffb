"""Finds the images of a data set that Hugging Face's library `datasets` saved with `save_to_disk`."""

import io
import logging
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kerasweep.config.data import DataConf
from kerasweep.data.folder_layout import ImageFolder, Labelled, check_splittable, part_of
from kerasweep.errors import ConfigError, DataError


def saved_files(root: Path) -> list[Path]:
    """Returns the files of a saved data set."""
    return sorted(path for pattern in ("*.arrow", "*.json") for path in root.rglob(pattern))


def find_saved_images(cfg: DataConf) -> ImageFolder:
    """Opens the data set in the folder data.path. Its splits are the parts, its images are named SPLIT/ROW.

    Raises:
        ConfigError: `datasets` is not installed.
        DataError: The folder holds no data set, a split is unknown or training images are missing, or the
            columns are no images and class labels.
    """
    root = Path(str(cfg.path)).expanduser()
    splits = _load(root)
    parts: dict[str, Labelled] = {}
    tables, names = {}, _class_names(cfg, root, next(iter(splits.values())).features)
    for split, rows in splits.items():
        part = part_of(split)
        if part is None or part in parts:
            raise DataError(
                f"{root} has the splits {', '.join(splits)}, but kerasweep reads train, validation and test. "
                "Rename or remove the others, and save the data set again."
            )
        labels = rows[cfg.label_column]
        parts[part] = [(root / split / str(row), int(label)) for row, label in enumerate(labels)]
        tables[split] = _undecoded(rows.select_columns([cfg.image_column]), cfg.image_column)
    if "training" not in parts:
        raise DataError(
            f"{root} has the split {', '.join(splits)}, but no training images. Save them as the split train."
        )
    if "test" not in parts:
        check_splittable([label for _, label in parts["training"]], names, "rows")

    def content(path: Path) -> Any:
        image = tables[path.parent.name][int(path.name)][cfg.image_column]
        if image is None:
            raise DataError(f"{path} has no image. Remove the row.")
        return Path(image["path"]) if image["bytes"] is None else io.BytesIO(image["bytes"])

    return ImageFolder(
        *(names, parts["training"], parts.get("validation"), parts.get("test"), None),
        class_container="rows",
        content=content,
    )


def _load(root: Path) -> Mapping[str, Any]:
    """Returns the rows of each split."""
    if find_spec("datasets") is None:
        raise ConfigError("data=hugging_face needs datasets: pip install 'kerasweep[datasets]'.")
    logging.getLogger("datasets").setLevel(logging.WARNING)  # it tells of its versions
    import datasets

    try:
        saved = datasets.load_from_disk(str(root))
    except (OSError, ValueError, KeyError, TypeError) as error:  # also for a damaged file
        raise DataError(
            f"{root} cannot be read as a data set of Hugging Face. "
            f"Save one with save_to_disk({str(root)!r}), and name its folder."
        ) from error
    return saved if isinstance(saved, datasets.DatasetDict) else {"train": saved}


def _class_names(cfg: DataConf, root: Path, features: Mapping[str, Any]) -> list[str]:
    import datasets

    for key, name, kind in (
        ("image_column", cfg.image_column, datasets.Image),
        ("label_column", cfg.label_column, datasets.ClassLabel),
    ):
        if not isinstance(features.get(name), kind):
            columns = ", ".join(f"{column} ({type(of).__name__})" for column, of in features.items())
            raise DataError(
                f"data.{key}={name} must be a column of {kind.__name__} in {root}, which has {columns}. "
                "Name such a column, or cast one before save_to_disk."
            )
    return list(features[cfg.label_column].names)


def _undecoded(rows: Any, column: str) -> Any:
    import datasets

    return rows.cast_column(column, datasets.Image(decode=False))
