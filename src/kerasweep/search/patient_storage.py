"""Waits while a database is restarted, so that no sweep ends with it."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from kerasweep.config.passwords import without_password
from kerasweep.errors import StorageError
from kerasweep.search.advisory_locks import AdvisoryLocks
from kerasweep.terminal import say

# How long a driver waits for a database that has ended a connection, or that is locked.
WAITING_SECONDS, LOCKED_SECONDS = 3600.0, 60.0
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.1, 5.0


class PatientStorage(RDBStorage):
    """An RDBStorage that waits while its database is restarted, and has locks. Its tables are there.

    A call whose answer was lost is made again: of a trial that is created twice, `disown` enqueues both, and
    the second is rejected. Once the database has been away for too long, or the user has interrupted a call,
    further calls fail at once until it answers.
    """

    def __init__(self, url: str, engine_options: dict[str, Any]) -> None:
        self._has_given_up = False
        self._locks: AdvisoryLocks | None = None
        super().__init__(
            url, engine_kwargs=engine_options, skip_table_creation=True, skip_compatibility_check=True
        )
        self._locks = AdvisoryLocks(self.engine)

    @property
    def is_file(self) -> bool:
        """Whether this is SQLite, whose database is a file."""
        return is_file(str(self.url))

    def locked(self, name: str) -> AbstractContextManager[None]:
        """Holds a lock of PostgreSQL's, see `AdvisoryLocks.held`."""
        assert self._locks is not None
        return self._locks.held(name, self.wait)

    def wait(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Calls a function, and again while the database is away.

        Raises:
            LockLostError: This thread held a lock, which has ended with its connection.
            StorageError: The database cannot be used, or has been away for too long.
        """
        try:
            result = self._wait(call, *arguments, **options)
        except KeyboardInterrupt:  # the user stops the sweep: its end does not wait again
            self._has_given_up = True
            raise
        self._has_given_up = False
        if self._locks is not None:
            self._locks.check()
        return result

    def _wait(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        began, pause = time.monotonic(), FIRST_PAUSE_SECONDS
        is_told = False
        while True:
            try:
                return call(*arguments, **options)
            except (SQLAlchemyError, StorageInternalError) as error:
                if self._locks is None:
                    raise
                limit = LOCKED_SECONDS if self.is_file else WAITING_SECONDS
                self._has_given_up = self._has_given_up or time.monotonic() - began > limit
                if self._has_given_up or not _is_lost(error):
                    raise unusable(str(self.url), error) from error
                if not is_told and pause > 1:
                    say(f"note: {unusable(str(self.url), error)} The sweep waits for it.")
                    is_told = True
            time.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)


def _patient(name: str) -> Callable[..., Any]:
    method = getattr(RDBStorage, name)

    def call(self: PatientStorage, *arguments: Any, **options: Any) -> Any:
        return self.wait(method, self, *arguments, **options)

    return call


for _name in (
    *("create_new_study", "get_study_id_from_name", "get_study_name_from_id", "get_study_directions"),
    *("get_study_user_attrs", "get_study_system_attrs", "get_all_studies", "get_all_trials", "get_trial"),
    *("set_study_user_attr", "set_study_system_attr", "_create_new_trial", "_set_trial_param", "_get_trials"),
    *("set_trial_state_values", "set_trial_intermediate_value", "set_trial_user_attr"),
    *("set_trial_system_attr", "get_trial_id_from_study_id_trial_number", "_get_best_trial_id"),
):
    setattr(PatientStorage, _name, _patient(_name))


def is_file(url: str) -> bool:
    """Returns whether a URL is one of SQLite, whose database is a file."""
    return make_url(url).get_backend_name() == "sqlite"


def unusable(url: str, error: Exception) -> StorageError:
    """Returns an error that names the database without its password, and the first line of the cause."""
    cause = error.__cause__ or error
    lines = str(getattr(cause, "orig", cause)).strip().splitlines() or [type(cause).__name__]
    shown = without_password(url)
    return StorageError(f"The storage {shown} cannot be used: {lines[0]}. Start it, or correct storage.url.")


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
