"""Keeps the outputs of frozen backbones as .npy files, once per machine, which processes share."""

import json
import logging
import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
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
    features = _read(entry)
    if features is None:
        try:
            features = _fill(entry, extract)
        except _NotWrittenError as error:
            log.warning(
                "The feature cache %s cannot be written (%s): every process computes again.", folder, error
            )
            extraction = extract()
            return Features(np.concatenate(list(extraction.batches)), extraction.parameters)
        _remove_oldest(entry, max_bytes)
    with suppress(OSError):  # another process may have removed it just now; its files stay mapped
        os.utime(entry / _NOTES)
    return features


class _NotWrittenError(Exception):
    """The cache cannot be written."""


@contextmanager
def _writing() -> Iterator[None]:
    """Tells an error of the cache from one of the images."""
    try:
        yield
    except OSError as error:
        raise _NotWrittenError(str(error)) from error


def _fill(entry: Path, extract: Callable[[], Extraction]) -> Features:
    """Returns an entry that another process wrote meanwhile, or writes it."""
    with ExitStack() as stack:
        with _writing():
            stack.enter_context(locked(entry.with_suffix(".lock")))
        return _read(entry) or _write(entry, extract())


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
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        log.warning("The features in %s are damaged (%s) and are computed again.", entry, error)
        return None


def _write(entry: Path, extraction: Extraction) -> Features:
    """Writes to a temporary folder, the notes last, then renames it. The caller holds the entry's lock."""
    temporary = entry.with_name(f".new-{entry.name}")
    for stale in (entry, temporary):  # a damaged entry; what a killed process left
        shutil.rmtree(stale, ignore_errors=True)
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)),
        "fortran_order": False,
        "shape": extraction.shape,
    }
    notes = {"shape": list(extraction.shape), "parameters": extraction.parameters}
    try:
        with _writing():
            temporary.mkdir(parents=True)
            with open(temporary / _VALUES, "wb") as file:
                np.lib.format.write_array_header_1_0(file, header)
        size = 0
        for batch in extraction.batches:
            # Not into a memory-mapped file: a full disk would kill the process with SIGBUS.
            with _writing(), open(temporary / _VALUES, "ab") as file:
                file.write(np.asarray(batch, np.float32).tobytes())
            size += batch.size
        assert size == math.prod(extraction.shape), (
            f"the backbone gave {size} of {math.prod(extraction.shape)} values"
        )
        with _writing():
            (temporary / _NOTES).write_text(json.dumps(notes))
            # Mapped before others see the entry: they may remove it at once.
            values = np.load(temporary / _VALUES, mmap_mode="r", allow_pickle=False)
            temporary.rename(entry)
        return Features(values, extraction.parameters)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_oldest(newest: Path, max_bytes: int) -> None:
    """Removes the entries used longest ago; other processes may remove them, too."""
    used: dict[Path, float] = {}
    for notes in newest.parent.glob(f"[!.]*/{_NOTES}"):  # .new-KEY is being written
        with suppress(FileNotFoundError):
            used[notes.parent] = notes.stat().st_mtime
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
