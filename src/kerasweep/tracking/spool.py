"""Keeps entries on disk that MLflow has not taken, until it has: a JSON file for each run."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from kerasweep.errors import StorageError
from kerasweep.file_lock import locked
from kerasweep.tracking.entries import Entry, File, as_json, of_json

SUFFIX = ".json"


class Spool:
    """A folder of entries that wait for MLflow.

    Args:
        folder: Made when the first entry is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def lock(self) -> AbstractContextManager[None]:
        """Holds the lock of all entries: `add` takes it; hold it from `load` to `remove`.

        Drivers on one machine keep and write entries of the same runs.
        """
        return locked(self.folder.with_name(f"{self.folder.name}.lock"))

    def runs(self) -> list[str]:
        """Returns the ids of the runs that have entries."""
        return sorted(path.stem for path in self.folder.glob(f"*{SUFFIX}"))

    def has(self, run_id: str) -> bool:
        """Whether a run has entries."""
        return self._file(run_id).exists()

    def load(self, run_id: str) -> list[Entry]:
        """Returns the entries of a run, none if it has none.

        Raises:
            StorageError: Its file is damaged.
        """
        file = self._file(run_id)
        try:
            entries = [of_json(stored) for stored in json.loads(file.read_text(encoding="utf-8"))]
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StorageError(
                f"{file} holds metrics that MLflow has not taken, and is damaged: {error}. Restore it, or "
                "remove it to go on without them."
            ) from error
        return [
            replace(entry, file=self.folder / entry.file) if isinstance(entry, File) else entry
            for entry in entries
        ]

    def add(self, run_id: str, entries: Iterable[Entry]) -> None:
        """Adds entries to those of a run. They survive the end of this process, and a loss of power.

        Raises:
            OSError: The disk is full or cannot be written.
        """
        with self.lock():
            stored = [as_json(self._relative(entry)) for entry in (*self.load(run_id), *entries)]
            self._replace(run_id, stored)

    def _replace(self, run_id: str, stored: list[Any]) -> None:
        """Writes the file of a run under another name, then renames it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor, unfinished = tempfile.mkstemp(dir=self.folder, suffix=".unfinished")
        try:
            with open(descriptor, "w", encoding="utf-8") as output:
                json.dump(stored, output)
                output.flush()
                os.fsync(output.fileno())
            os.replace(unfinished, self._file(run_id))
        except OSError:
            os.unlink(unfinished)
            raise
        _sync(self.folder)

    def adopt(self, run_id: str, entry: File) -> File:
        """Copies the file of an artifact into the folder of its run; returns the entry of the copy."""
        folder = self._files(run_id)
        folder.mkdir(parents=True, exist_ok=True)
        copy = Path(tempfile.mkdtemp(dir=folder)) / entry.file.name
        shutil.copy(entry.file, copy)
        _sync(copy)
        return File(copy, entry.folder)

    def remove(self, run_id: str, entries: Iterable[Entry]) -> None:
        """Removes the entries of a run and their files; other processes may have files of their own there."""
        self._file(run_id).unlink(missing_ok=True)
        folder = self._files(run_id)
        for entry in entries:
            if isinstance(entry, File) and entry.file.is_relative_to(folder):
                shutil.rmtree(entry.file.parent, ignore_errors=True)
        with suppress(OSError):  # it does not exist, or is not empty
            folder.rmdir()

    def _relative(self, entry: Entry) -> Entry:
        """Names an adopted file relative to the folder, which may be moved."""
        if isinstance(entry, File) and entry.file.is_relative_to(self.folder):
            return replace(entry, file=entry.file.relative_to(self.folder))
        return entry

    def _file(self, run_id: str) -> Path:
        return self.folder / f"{run_id}{SUFFIX}"

    def _files(self, run_id: str) -> Path:
        return self.folder / run_id


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
