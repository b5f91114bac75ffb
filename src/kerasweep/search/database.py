"""Keeps studies in a database: PostgreSQL for many machines, or SQLite for those who ask."""

import hashlib
import os
import sqlite3
import threading
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
from sqlalchemy.event import listen
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.pool import NullPool

from kerasweep.config.passwords import without_password
from kerasweep.errors import ConfigError, StorageError
from kerasweep.search.storage import LockLostError, Storage, create_or_load, locked
from kerasweep.terminal import say

# How long a driver waits for a database that has ended a connection, or that is locked.
WAITING_SECONDS, LOCKED_SECONDS = 3600.0, 60.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0
MAX_LOCK_PAUSE_SECONDS = 1.0
MAX_STARTS = 5
# One connection for all: PostgreSQL allows 100 by default, and there may be 64 drivers. A lock of the session
# stays with it.
ONE_CONNECTION = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 600}
# The kernels at both ends notice within a minute that the other machine has gone, and its lock is free.
KEEPALIVES = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "options": "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3",
}
LOST_LOCK = "the database was restarted, and the lock of the sweep with it"


@dataclass(frozen=True)
class Database(Storage):
    """A database of Optuna's. The locks of SQLite are files beside its own.

    Args:
        url: SQLAlchemy's URL; that of SQLite has an absolute path.
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
    def _storage(self) -> "PatientStorage":
        return _open(self.url)


# The storages of this process by URL: a study is read once, and then what is new.
OPENED: dict[str, "PatientStorage"] = {}


def _open(url: str) -> "PatientStorage":
    """Returns the storage of a URL.

    Raises:
        ConfigError: The URL cannot be read, or its driver is not installed.
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
            return PatientStorage(
                url, engine_kwargs=_options(url), skip_table_creation=True, skip_compatibility_check=True
            )
        except ImportError as error:
            raise ConfigError(
                "The driver of storage.url is not installed. That of PostgreSQL comes with "
                "pip install 'kerasweep[postgresql]'."
            ) from error
        except ArgumentError as error:
            raise ConfigError(
                "storage.url is no address of a database: expected one like "
                "postgresql+psycopg://USER@HOST/DATABASE."
            ) from error
        except (SQLAlchemyError, StorageInternalError, RuntimeError) as error:
            cause = error.__cause__ if isinstance(error, StorageInternalError) else error
            # Another driver may create the tables at the same time.
            if attempt == MAX_STARTS - 1 or not isinstance(cause, IntegrityError | ProgrammingError):
                raise _unusable(url, error) from error
        time.sleep(pause)
        pause *= 2
    raise AssertionError


def _options(url: str) -> dict[str, Any]:
    """Returns the options of a URL's engine."""
    if _is_file(url):
        return {}
    is_libpq = make_url(url).drivername.partition("+")[2] in ("", "psycopg", "psycopg2")
    return {**ONE_CONNECTION, "connect_args": dict(KEEPALIVES) if is_libpq else {}}


def _unusable(url: str, error: Exception) -> StorageError:
    cause = error.__cause__ or error
    lines = str(getattr(cause, "orig", cause)).strip().splitlines() or [type(cause).__name__]
    shown = without_password(url)
    return StorageError(f"The storage {shown} cannot be used: {lines[0]}. Start it, or correct storage.url.")


class PatientStorage(RDBStorage):
    """An RDBStorage that waits while its database is restarted, and has locks.

    A call whose answer was lost is made again: a trial that is created twice has no owner, and is lost. Once
    the database has been away for too long, every further call fails at once.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self._holder: tuple[int, int] | None = None  # the thread with a lock, and the lock's connection
        self._connections = 0  # opened so far
        self._has_given_up = False
        self._is_open = False
        super().__init__(url, **options)
        listen(self.engine, "connect", self._count_connection)
        self.engine.dispose()  # connections are counted from now on
        self._is_open = True

    @property
    def is_file(self) -> bool:
        """Whether this is SQLite, whose database is a file."""
        return _is_file(str(self.url))

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Holds a lock of PostgreSQL's, which ends with the connection.

        Between two attempts the connection is free for other threads, such as the one that renews the lease.
        """
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        pause = FIRST_PAUSE_SECONDS
        while not self._wait(self._ask_lock, "SELECT pg_try_advisory_lock(:key)", key):
            time.sleep(pause)
            pause = min(2 * pause, MAX_LOCK_PAUSE_SECONDS)
        outer, self._holder = self._holder, (threading.get_ident(), self._connections)
        try:
            yield
        finally:
            self._holder = outer
            was_held = self._wait(self._ask_lock, "SELECT pg_advisory_unlock(:key)", key)
        if not was_held:
            raise LockLostError(LOST_LOCK)

    def _ask_lock(self, statement: str, key: int) -> bool:
        with self.engine.connect() as connection:
            answer = connection.execute(text(statement), {"key": key}).scalar()
            connection.commit()
        return bool(answer)

    def _count_connection(self, *_: Any) -> None:
        self._connections += 1

    def _wait(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Calls a function, and again while the database is away.

        Raises:
            LockLostError: This thread held a lock, which has ended with its connection.
            StorageError: The database cannot be used, or has been away for too long.
        """
        began, pause = time.monotonic(), FIRST_PAUSE_SECONDS
        is_told = False
        while True:
            try:
                result = call(*arguments, **options)
                break
            except (SQLAlchemyError, StorageInternalError) as error:
                if not self._is_open:
                    raise
                limit = LOCKED_SECONDS if self.is_file else WAITING_SECONDS
                self._has_given_up = self._has_given_up or time.monotonic() - began > limit
                if self._has_given_up or not _is_lost(error):
                    raise _unusable(str(self.url), error) from error
                if not is_told and pause > 1:
                    say(f"note: {_unusable(str(self.url), error)} The sweep waits for it.")
                    is_told = True
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        holder, connection = self._holder or (None, None)
        if holder == threading.get_ident() and connection != self._connections:
            self._holder = None
            raise LockLostError(LOST_LOCK)
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


def absolute(url: str) -> str:
    """Returns a URL whose SQLite file does not depend on the working directory."""
    try:
        parts = make_url(url)
    except ArgumentError:
        return url  # `open` says so
    if parts.get_backend_name() != "sqlite" or not parts.database or parts.database == ":memory:":
        return url
    return parts.set(database=os.path.abspath(parts.database)).render_as_string(hide_password=False)


def _is_file(url: str) -> bool:
    return make_url(url).get_backend_name() == "sqlite"


def _is_lost(error: BaseException) -> bool:
    """Whether the database has ended the connection or refuses one, or its file is locked."""
    cause: BaseException | None = error
    while cause is not None:  # SQLAlchemy may fail once more, because of the connection that is lost
        if isinstance(cause, DBAPIError):
            if isinstance(cause.orig, sqlite3.Error):
                return "locked" in str(cause.orig)
            return cause.connection_invalidated or isinstance(cause, OperationalError | InterfaceError)
        cause = cause.__cause__ or cause.__context__
    return False
