"""Keeps the outputs of frozen backbones as .npy files, once per machine, which processes share."""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasweep.file_lock import locked

log = logging.getLogger(__name__)
# Of all entries together; the newest one stays whatever its size.
MAX_BYTES = 4 * 2**30
_VALUES, _NOTES = "values.npy", "notes.json"


@dataclass(frozen=True)
class Features:
    """The outputs of a backbone for a set of images."""

    values: np.ndarray  # float32 (n, d), memory-mapped
    parameters: int  # of the backbone


@dataclass(frozen=True)
class Extraction:
    """Features that are computed batch by batch."""

    shape: tuple[int, int]  # (n, d)
    parameters: int
    batches: Iterator[np.ndarray]  # float32 (b, d), n rows together


def cached_features(
    folder: Path, key: str, extract: Callable[[], Extraction], max_bytes: int = MAX_BYTES
) -> Features:
    """Returns features, computed only if the cache lacks them. Of several processes, one computes them.

    If the folder cannot be written, the features stay in memory, with a warning.

    Args:
        folder: The cache folder.
        key: Names images and backbone by their content.
        extract: Begins to compute them.
        max_bytes: Of all entries together. The least recently used ones are removed.
    """
    entry = folder / "features" / key
    try:
        features = _read(entry)
        if features is None:
            with locked(entry.with_suffix(".lock")):
                features = _read(entry) or _write(entry, extract())
            _remove_oldest(entry, max_bytes)
        with suppress(OSError):  # another process may have removed it just now; its files stay mapped
            os.utime(entry / _NOTES)
        return features
    except OSError as error:
        log.warning(
            "The feature cache %s cannot be written (%s): every process computes again.", folder, error
        )
    extraction = extract()
    return Features(np.concatenate(list(extraction.batches)), extraction.parameters)


def _read(entry: Path) -> Features | None:
    """Returns an entry; None if there is none, or a damaged one."""
    try:
        notes = json.loads((entry / _NOTES).read_text())
        values = np.load(entry / _VALUES, mmap_mode="r", allow_pickle=False)
        if list(values.shape) != notes["shape"] or values.dtype != np.float32:
            raise ValueError(f"it has values {values.dtype} {values.shape}")
        return Features(values, int(notes["parameters"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, EOFError) as error:
        log.warning("The features in %s are damaged (%s) and are computed again.", entry, error)
        return None


def _write(entry: Path, extraction: Extraction) -> Features:
    """Writes to a temporary folder, the notes last, then renames it. The caller holds the entry's lock."""
    temporary = entry.with_name(f".new-{entry.name}")
    for stale in (entry, temporary):  # a damaged entry; what a killed process left
        shutil.rmtree(stale, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        values = np.lib.format.open_memmap(
            temporary / _VALUES, mode="w+", dtype=np.float32, shape=extraction.shape
        )
        first = 0
        for batch in extraction.batches:
            values[first : first + len(batch)] = batch
            first += len(batch)
        values.flush()
        notes = {"shape": list(extraction.shape), "parameters": extraction.parameters}
        (temporary / _NOTES).write_text(json.dumps(notes))
        temporary.rename(entry)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    features = _read(entry)
    assert features is not None
    return features


def _remove_oldest(newest: Path, max_bytes: int) -> None:
    used = {notes.parent: notes.stat().st_mtime for notes in newest.parent.glob(f"*/{_NOTES}")}
    used.pop(newest, None)
    total = _bytes(newest)
    for entry in sorted(used, key=lambda entry: used[entry], reverse=True):
        total += _bytes(entry)
        if total > max_bytes:
            shutil.rmtree(entry, ignore_errors=True)


def _bytes(entry: Path) -> int:
    with suppress(FileNotFoundError):
        return (entry / _VALUES).stat().st_size
    return 0
