"""Writes the folders of an export all at once, or none of them."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from kerasweep.errors import DISK_ERRORS, ConfigError, StorageError, disk_advice

SIGNATURE = "signature.json"
# What identifies an export: one of the same values is replaced.
IDENTITY = ("run_id", "format", "quantize")
UNWRITABLE = (*DISK_ERRORS, errno.EACCES, errno.EPERM)


def check_free(folder: Path, exports: Mapping[str, Mapping[str, object]]) -> None:
    """Raises ConfigError if a folder exists and is not a finished export of the same model and format.

    Args:
        folder: The folder of all exports.
        exports: What is written into signature.json, by the name of the subfolder.
    """
    for name, about in exports.items():
        place = folder / name
        if os.path.lexists(place) and _identity_in(place) != {key: about[key] for key in IDENTITY}:
            raise ConfigError(
                f"{place} exists and is no export of this run in this format. Move it away, or choose "
                "another place with folder=FOLDER."
            )


def _identity_in(place: Path) -> dict[str, object] | None:
    """Returns the IDENTITY of the export in a folder; None if there is none."""
    try:
        signature = json.loads((place / SIGNATURE).read_text(encoding="utf-8"))
        return {key: signature[key] for key in IDENTITY}
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Yields an empty folder; its subfolders move into `folder` at the end, and none if an error is raised.

    Temporary files of libraries lie there meanwhile, so that they are removed and share the disk.

    Raises:
        ConfigError: `folder` is a file, or lies below one.
        StorageError: A file cannot be written.
    """
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder))
        try:
            with _temporary_files_in(stage):
                yield stage
            _move(stage, folder)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ConfigError(f"folder={folder} is no folder. Choose another place.") from error
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise StorageError(
            f"{folder} cannot be written: {error.strerror}. "
            f"To go on, {disk_advice(error)}, and start the same command."
        ) from error
    finally:
        for created in missing:
            with suppress(OSError):  # it is not empty: the export is there
                created.rmdir()


@contextmanager
def _temporary_files_in(stage: Path) -> Iterator[None]:
    before, tempfile.tempdir = tempfile.tempdir, str(stage)
    try:
        yield
    finally:
        tempfile.tempdir = before


def _move(stage: Path, folder: Path) -> None:
    """Moves the exports to their place; a replaced one is removed with the stage."""
    for export in sorted(path for path in stage.iterdir() if (path / SIGNATURE).is_file()):
        place = folder / export.name
        if place.exists():
            place.rename(stage / f"replaced-{export.name}")
        export.rename(place)


@contextmanager
def disk_errors_of_tensorflow() -> Iterator[None]:
    """Raises TensorFlow's errors of a full disk as OSError."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        for number in DISK_ERRORS:
            if os.strerror(number) in str(error):
                raise OSError(number, os.strerror(number)) from error
        raise
