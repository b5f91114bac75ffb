"""Keeps studies in a database: PostgreSQL for many machines, or SQLite for those who ask."""

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage, get_storage
from optuna.study import Study
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from kerasweep.errors import StorageError
from kerasweep.search.journal import locked
from kerasweep.search.storage import LockLostError, Storage, create_or_load
from kerasweep.terminal import say

# How long a driver waits for a database that has ended a connection, or that is locked.
WAITING_SECONDS, LOCKED_SECONDS = 3600.0, 60.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0
MAX_STARTS = 5
# One connection for all: PostgreSQL allows 100 by default, and there may be 64 drivers. A lock of the session
# stays with it.
ONE_CONNECTION = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 600}


@dataclass(frozen=True)
class Database(Storage):
    """A database of Optuna's.

    Args:
        url: SQLAlchemy's URL.
        folder: See `Storage`.
    """

    url: str
    folder: Path

    def names(self) -> list[str]:
        return [study.study_name for study in self._storage.get_all_studies()]

    def open(self, name: str, directions: Sequence[str]) -> Study:
        return create_or_load(get_storage(self._storage), name, directions)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        if self._storage.is_file:
            with locked(self.folder / f"{name}.lock"):
                yield
            return
        with self._storage.locked(f"kerasweep {name}"):
            yield

    @contextmanager
    def winner_lock(self, name: str) -> Iterator[None]:
        with self.lock(f"{name}.winner"):
            yield

    @property
    def _storage(self) -> "PatientStorage":
        return _open(self.url)


# The storages of this process by URL: a study is read once, and then what is new.
OPENED: dict[str, "PatientStorage"] = {}


def _open(url: str) -> "PatientStorage":
    """Returns the storage of a URL.

    Raises:
        StorageError: The database cannot be used.
    """
    if url not in OPENED:
        OPENED[url] = _connect(url)
    return OPENED[url]


def _connect(url: str) -> "PatientStorage":
    pause = FIRST_PAUSE_SECONDS
    for attempt in range(MAX_STARTS):
        try:
            # Creating the tables takes two connections at once.
            RDBStorage(url, engine_kwargs={"poolclass": NullPool}).remove_session()
            kwargs = {} if _is_file(url) else dict(ONE_CONNECTION)
            return PatientStorage(
                url, engine_kwargs=kwargs, skip_table_creation=True, skip_compatibility_check=True
            )
        except (SQLAlchemyError, StorageInternalError, RuntimeError) as error:
            cause = error.__cause__ if isinstance(error, StorageInternalError) else error
            # Another driver may create the tables at the same time.
            if attempt == MAX_STARTS - 1 or not isinstance(cause, IntegrityError | ProgrammingError):
                raise _unusable(url, error) from error
        time.sleep(pause)
        pause *= 2
    raise AssertionError


def _unusable(url: str, error: Exception) -> StorageError:
    cause = error.__cause__ or error
    reason = str(getattr(cause, "orig", cause)).strip().splitlines()[0]
    return StorageError(
        f"The storage {make_url(url).render_as_string(hide_password=True)} cannot be used: {reason}. Start "
        "it, or correct storage.url."
    )


class PatientStorage(RDBStorage):
    """An RDBStorage that waits while its database is restarted, and has locks.

    A call whose answer was lost is made again: a trial that is created twice has no owner, and is lost.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self._held: set[str] = set()
        self._is_open = False
        super().__init__(url, **options)
        self._is_open = True

    @property
    def is_file(self) -> bool:
        """Whether this is SQLite, whose database is a file."""
        return _is_file(str(self.url))

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Holds a lock of PostgreSQL's, which ends with the connection."""
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        self._wait(self._execute, "SELECT pg_advisory_lock(:key)", key)
        self._held.add(name)
        try:
            yield
        finally:
            self._held.discard(name)
            self._wait(self._execute, "SELECT pg_advisory_unlock(:key)", key)

    def _execute(self, statement: str, key: int) -> None:
        with self.engine.connect() as connection:
            connection.execute(text(statement), {"key": key})
            connection.commit()

    def _wait(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Calls a function, and again while the database is away.

        Raises:
            LockLostError: The connection held a lock.
            StorageError: The database has been away for too long.
        """
        began, pause = time.monotonic(), FIRST_PAUSE_SECONDS
        is_told = False
        while True:
            try:
                result = call(*arguments, **options)
                break
            except (SQLAlchemyError, StorageInternalError) as error:
                if not (self._is_open and _is_lost(error)):
                    raise
                limit = LOCKED_SECONDS if self.is_file else WAITING_SECONDS
                if time.monotonic() - began > limit:
                    raise _unusable(str(self.url), error) from error
                if not is_told and pause > 1:
                    say(f"note: {_unusable(str(self.url), error)} The sweep waits for it.")
                    is_told = True
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        if pause > FIRST_PAUSE_SECONDS and self._held:
            self._held.clear()
            raise LockLostError("the database was restarted, and the lock of the sweep with it")
        return result


def _patient(name: str) -> Callable[..., Any]:
    method = getattr(RDBStorage, name)

    def call(self: PatientStorage, *arguments: Any, **options: Any) -> Any:
        return self._wait(method, self, *arguments, **options)

    return call


for _name in (
    *("create_new_study", "get_study_id_from_name", "get_study_name_from_id", "get_study_directions"),
    *("get_study_user_attrs", "get_study_system_attrs", "get_all_studies", "get_all_trials", "get_trial"),
    *("set_study_user_attr", "set_study_system_attr", "_create_new_trial", "_set_trial_param", "_get_trials"),
    *("set_trial_state_values", "set_trial_intermediate_value", "set_trial_user_attr"),
    *("set_trial_system_attr", "get_trial_id_from_study_id_trial_number", "_get_best_trial_id"),
):
    setattr(PatientStorage, _name, _patient(_name))


def _is_file(url: str) -> bool:
    return make_url(url).get_backend_name() == "sqlite"


def _is_lost(error: BaseException) -> bool:
    """Whether the database has ended the connection or refuses one, or its file is locked."""
    cause = error if isinstance(error, SQLAlchemyError) else error.__cause__
    if not isinstance(cause, DBAPIError):
        return False
    if isinstance(cause.orig, sqlite3.Error):
        return "locked" in str(cause.orig)
    return cause.connection_invalidated or type(cause.orig).__name__ in ("OperationalError", "InterfaceError")
