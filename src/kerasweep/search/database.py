"""Keeps studies in a database: PostgreSQL for many machines, or SQLite for those who ask."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.storages import get_storage
from optuna.study import Study
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from kerasweep.config.passwords import with_reference, without_reference
from kerasweep.file_lock import locked
from kerasweep.search.connect import connect
from kerasweep.search.patient_storage import PatientStorage
from kerasweep.search.storage import Storage, create_or_load


@dataclass(frozen=True)
class Database(Storage):
    """A database of Optuna's. The locks of SQLite are files beside its own.

    Args:
        url: SQLAlchemy's URL; that of SQLite has an absolute path.
        folder: See `Storage`.
    """

    url: str
    folder: Path

    def __reduce__(self) -> Any:
        """Pickles without the password: other launchers of Hydra's write their jobs into files."""
        return _restored, (with_reference("storage.url", self.url), self.folder)

    def names(self) -> list[str]:
        return [study.study_name for study in self._storage.get_all_studies()]

    def open(self, name: str, directions: Sequence[str]) -> Study:
        return create_or_load(get_storage(self._storage), name, directions)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        if self._storage.is_file:
            with locked(Path(f"{make_url(self.url).database}.{name}.lock")):
                yield
            return
        with self._storage.locked(f"kerasweep {name}"):
            yield

    @contextmanager
    def winner_lock(self, name: str) -> Iterator[None]:
        with self.lock(f"{name}.winner"):
            yield

    @property
    def _storage(self) -> PatientStorage:
        return _open(self.url)


def _restored(url: str, folder: Path) -> Database:
    return Database(without_reference(url), folder)


# The storages of this process by URL: a study is read once, and then what is new.
OPENED: dict[str, PatientStorage] = {}


def _open(url: str) -> PatientStorage:
    """Returns the storage of a URL.

    Raises:
        ConfigError: The URL cannot be read, or its driver is not installed.
        StorageError: The database cannot be used.
    """
    if url not in OPENED:
        OPENED[url] = connect(url)
    return OPENED[url]


def absolute(url: str) -> str:
    """Returns a URL whose SQLite file does not depend on the working directory."""
    try:
        parts = make_url(url)
    except ArgumentError:
        return url  # `open` says so
    if parts.get_backend_name() != "sqlite" or not parts.database or parts.database == ":memory:":
        return url
    return parts.set(database=os.path.abspath(parts.database)).render_as_string(hide_password=False)
