"""A tracking database before MLflow opens it: is it there, is it one, does its server answer."""

import fcntl
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from kerasweep.errors import TrackingError
from kerasweep.tracking.location import without_password

CONNECT_SECONDS = 8
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
MAGIC = b"SQLite format 3\0"


def check_file(database: Path, create: bool) -> None:
    """Raise TrackingError for a file that is no SQLite database, or cannot be made.

    create: make its folder where it is missing; without it a missing file is an error too.
    """
    if not create and not database.exists():
        raise TrackingError(
            f"No runs are recorded yet: there is no {database}. "
            "Make some with python -m src.train -m, or name another database with tracking.uri."
        )
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        header = _header(database)
    except OSError as error:
        raise _unusable(database, error) from error
    if header and header != MAGIC:
        raise TrackingError(
            f"tracking.uri names {database}, but that is not a SQLite database. "
            "Choose another file, as in tracking.uri=sqlite:///FOLDER/mlflow.db."
        )


def _unusable(database: Path, error: OSError) -> TrackingError:
    return TrackingError(
        f"tracking.uri names {database}, but it cannot be used: {error.strerror}. "
        "Choose another place, as in tracking.uri=sqlite:///FOLDER/mlflow.db."
    )


def is_missing(database: Path) -> bool:
    """Whether there is no such file, or an empty one."""
    return not _header(database)


def _header(database: Path) -> bytes:
    if not database.exists():
        return b""
    with open(database, "rb") as file:
        return file.read(len(MAGIC))


@contextmanager
def creation_lock(database: Path) -> Iterator[None]:
    """Creating the tables takes seconds, and two processes at it would get in each other's way."""
    with ExitStack() as stack:
        try:
            lock = stack.enter_context(open(f"{database}.lock", "a"))
        except OSError as error:
            raise _unusable(database, error) from error
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def check_server(uri: str) -> None:
    """Raise TrackingError where no database server answers, which MLflow would try again for minutes.

    Raises SQLAlchemy's error where the server refuses.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.engine import make_url

    url = make_url(uri)
    port = url.port or PORTS.get(url.get_backend_name())
    if url.host and port:
        _knock(uri, url.host, port)
    try:
        create_engine(url).connect().close()
    except ModuleNotFoundError as error:
        raise TrackingError(
            f"The tracking database {without_password(uri)} needs the package {error.name}. Install it."
        ) from error


def _knock(uri: str, host: str, port: int) -> None:
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise TrackingError(
            f"The tracking database {without_password(uri)} cannot be reached: {error}. "
            "Start it, or correct tracking.uri or MLFLOW_TRACKING_URI."
        ) from error
