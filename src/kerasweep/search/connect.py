"""Connects to a database and creates its tables."""

import time
from itertools import count
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from kerasweep.errors import ConfigError
from kerasweep.search.patient_storage import PatientStorage, is_file, unusable

FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.1, 5.0
MAX_ATTEMPTS = 5  # to create the tables, while another driver creates them
BUSY_SECONDS = 60.0  # how long a driver waits at its start for a server that is there
BUSY = ("too many c", "starting up")  # PostgreSQL's words: a refused connection comes without a code
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


def connect(url: str) -> PatientStorage:
    """Returns the storage of a URL, whose tables are created if it has none.

    Raises:
        ConfigError: The URL cannot be read, or its driver is not installed.
        StorageError: The database cannot be used.
    """
    began, pause = time.monotonic(), FIRST_PAUSE_SECONDS
    for attempt in count(1):
        try:
            # Creating the tables takes two connections at once.
            RDBStorage(url, engine_kwargs={"poolclass": NullPool}).remove_session()
            return PatientStorage(url, _engine_options(url))
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
            is_busy = any(words in str(cause) for words in BUSY) and time.monotonic() - began < BUSY_SECONDS
            is_raced = isinstance(cause, IntegrityError | ProgrammingError) and attempt < MAX_ATTEMPTS
            if not (is_busy or is_raced):
                raise unusable(url, error) from error
        time.sleep(pause)
        pause = min(2 * pause, MAX_PAUSE_SECONDS)
    raise AssertionError


def _engine_options(url: str) -> dict[str, Any]:
    """Returns the options of a URL's engine."""
    if is_file(url):
        return {}
    is_libpq = make_url(url).drivername.partition("+")[2] in ("", "psycopg", "psycopg2")
    return {**ONE_CONNECTION, "connect_args": dict(KEEPALIVES) if is_libpq else {}}
