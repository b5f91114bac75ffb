"""Caches decoded data as .npy files, once per machine, which processes memory-map and share."""

import hashlib
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kerasweep.config.data import DataConf
from kerasweep.config.folders import cache_folder
from kerasweep.data.arrays import Arrays, digest_of
from kerasweep.data.mapped import Allocate, allocate_in_memory
from kerasweep.serving.pixels import Conversion

log = logging.getLogger(__name__)
_ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
_OWN_VALIDATION = ("validation_images", "validation_labels")
_MARKER = "complete.json"
# Raise it whenever a format is decoded to other pixels, labels or names than before.
_VERSION = 3
_ABANDONED_SECONDS = 3600
_TICK_NS = 2 * 10**9  # FAT has the slowest clock


def cache_of(cfg: DataConf) -> Path:
    """Returns the folder of the cache that a config uses on this machine."""
    return Path(cfg.cache_dir).expanduser() if cfg.cache_dir else cache_folder()


def cached(folder: Path, files: Sequence[Path], variant: str, decode: Callable[[], Arrays]) -> Arrays:
    """Returns the result of `decode`, from the cache if these files were decoded before.

    A damaged entry is written again. If the folder cannot be written, the arrays stay in memory, with a
    warning.

    Args:
        folder: The cache folder.
        files: The decoded files. Their paths, sizes, inodes and times of change are part of the key.
        variant: The rest of the key: format and options.
        decode: Reads the files.
    """
    return cached_into(folder, files, variant, lambda allocate: decode())


def cached_into(
    folder: Path, files: Sequence[Path], variant: str, decode: Callable[[Allocate], Arrays]
) -> Arrays:
    """Does the same as `cached` for images that may not fit into memory.

    Args:
        folder: The cache folder.
        files: See `cached`.
        variant: See `cached`.
        decode: Reads the files into arrays that it allocates by their names, as `train_images`: files of the
            cache, or arrays in memory if the cache cannot be written.
    """
    entry = folder / _key(files, variant)
    entry_arrays = read_entry(entry, files)
    if entry_arrays is not None:
        return entry_arrays
    fresh, arrays = _fresh(files, time.time_ns()), None
    try:
        with _new_folder(folder) as temporary:
            arrays = decode(partial(_allocate, temporary))
            _save(temporary, entry, arrays, fresh)
    except OSError as error:
        entry_arrays = read_entry(entry, files)  # another process may have written it meanwhile
        if entry_arrays is not None:
            return entry_arrays
        arrays = arrays or decode(allocate_in_memory)
        log.warning("The data cache %s cannot be written (%s): every process decodes again.", folder, error)
        return arrays
    return read_entry(entry, files, arrays.digest) or arrays


def _allocate(folder: Path, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns an array that is a file. Raises OSError if the disk lacks room for it."""
    file = folder / f"{name}.npy"
    file.unlink(missing_ok=True)  # of images that turned out to be unreadable
    array = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
    if hasattr(os, "posix_fallocate"):  # else a full disk ends the process when it writes to the array
        with file.open("r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
    return array


def _key(files: Sequence[Path], variant: str) -> str:
    digest = hashlib.sha256(f"{_VERSION}\0{variant}".encode())
    for path in files:
        state = path.stat()
        # The time of modification can be set, as by archivers; that of the last change cannot.
        times = f"{state.st_mtime_ns}\0{state.st_ctime_ns}"
        # A folder that is moved over another leaves the times of its files, but not their inodes.
        about = f"{state.st_size}\0{times}\0{state.st_ino}"
        digest.update(b"\0" + os.fsencode(path.absolute()) + f"\0{about}".encode())
    return digest.hexdigest()[:24]


def _fresh(files: Sequence[Path], time_ns: int) -> dict[str, Any]:
    """Returns a time, and a digest of the files that changed shortly before it.

    The clock of a file system ticks slowly: a later change in the same tick would leave their times.
    """
    digest = hashlib.sha256()
    for path in files:
        if path.stat().st_ctime_ns > time_ns - _TICK_NS:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return {"time_ns": time_ns, "digest": digest.hexdigest()}


def read_entry(entry: Path, files: Sequence[Path] = (), digest: str | None = None) -> Arrays | None:
    """Returns the arrays of an entry, memory-mapped, after a comparison with their digest.

    Args:
        entry: The folder of the entry.
        files: The decoded files, if their times decide.
        digest: Of the arrays that this process has just written, so that they are not read again.

    Returns:
        None if there is no entry, a damaged one, or one of files that changed while they were decoded.
    """
    try:
        marker = json.loads((entry / _MARKER).read_text())
        names = tuple(marker["class_names"])
        saved = (*_ARRAYS, *(_OWN_VALIDATION if marker.get("has_validation") else ()))
        parts = {name: np.load(entry / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in saved}
        _check(parts)
        arrays = Arrays(
            **parts,
            class_names=names,
            digest=str(marker["digest"]),
            conversion=Conversion(**marker["conversion"]),
            notes=tuple(marker["notes"]),
        )
        if (digest or digest_of(arrays)) != arrays.digest:
            raise ValueError("other bytes than were written")
        fresh = marker["fresh"]
        return arrays if fresh is None or _fresh(files, fresh["time_ns"]) == fresh else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        log.warning("The cache entry %s is damaged and is written again.", entry)
        return None


def _check(parts: dict[str, np.ndarray]) -> None:
    """Raises ValueError if arrays are not as they were written."""
    for part in {name.partition("_")[0] for name in parts}:
        images, labels = parts[f"{part}_images"], parts[f"{part}_labels"]
        is_sound = images.dtype == np.uint8 and labels.dtype == np.int64 and images.ndim == 4
        if not is_sound or labels.shape != images.shape[:1]:
            raise ValueError(f"{part} has images {images.shape} and labels {labels.shape}")


def _remove_abandoned(folder: Path) -> None:
    """Removes folders of processes that were killed while they wrote."""
    for path in folder.glob(".new-*"):
        with suppress(FileNotFoundError):  # another process may have finished or removed it
            written = max(file.stat().st_mtime for file in (path, *path.iterdir()))
            if time.time() - written > _ABANDONED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


def write_entry(entry: Path, arrays: Arrays, fresh: dict[str, Any] | None = None) -> None:
    """Writes to a temporary folder, the marker last, then renames it; of two processes at once one wins.

    Args:
        entry: The folder of the entry.
        arrays: The data set.
        fresh: See `_fresh`; None if no files decide.
    """
    with _new_folder(entry.parent) as temporary:
        _save(temporary, entry, arrays, fresh)


@contextmanager
def _new_folder(parent: Path) -> Iterator[Path]:
    """Makes a folder, and removes it unless it was renamed."""
    parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(parent)
    temporary = parent / f".new-{uuid.uuid4().hex}"
    temporary.mkdir()  # not tempfile.mkdtemp, whose folders no other user may read
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _save(temporary: Path, entry: Path, arrays: Arrays, fresh: dict[str, Any] | None) -> None:
    """Writes what is not in the folder yet, the marker last, and renames it to the entry."""
    has_validation = arrays.validation is not None
    for name in (*_ARRAYS, *(_OWN_VALIDATION if has_validation else ())):
        if not (temporary / f"{name}.npy").exists():  # else its images were decoded into it
            np.save(temporary / f"{name}.npy", getattr(arrays, name))
    marker = {
        "class_names": list(arrays.class_names),
        "digest": arrays.digest,
        "has_validation": has_validation,
        "conversion": asdict(arrays.conversion),
        "notes": list(arrays.notes),
        "fresh": fresh,
    }
    (temporary / _MARKER).write_text(json.dumps(marker, ensure_ascii=False))
    if entry.exists() and (fresh is not None or read_entry(entry) is None):
        shutil.rmtree(entry, ignore_errors=True)
    if not entry.exists():
        temporary.rename(entry)
