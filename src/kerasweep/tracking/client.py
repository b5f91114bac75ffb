"""Opens MLflow: checks the server or database, creates the database, finds or creates the experiment."""

import fcntl
import logging
import os
import shutil
import socket
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kerasweep.config.folders import cache_folder
from kerasweep.config.passwords import without_password
from kerasweep.config.search import TrackingConf
from kerasweep.errors import TrackingError, UnreachableError
from kerasweep.fast_start import gc_paused
from kerasweep.tracking.failures import tracking_errors
from kerasweep.tracking.location import SQLITE, database_path
from kerasweep.tracking.moved import artifact_folder, follow, relocate_artifacts
from kerasweep.tracking.retry import CONNECT_SECONDS, with_retries, without_retries

QUIET = ("alembic", "mlflow.tracking", "mlflow.store.model_registry")
# MLflow's own variables.
EXPERIMENT_NAME, EXPERIMENT_ID = "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"
ADVICE = "Start it, or correct tracking.uri or MLFLOW_TRACKING_URI."


# The servers that have answered this process: if one is away later, calls are retried.
_reached: set[str] = set()


@contextmanager
def tracking_uri_kept() -> Iterator[None]:
    """Restores the tracking URI that MLflow's own functions use."""
    utils = "mlflow.tracking._tracking_service.utils"
    before = sys.modules[utils]._tracking_uri if utils in sys.modules else None
    try:
        yield
    finally:
        if utils in sys.modules:
            sys.modules[utils]._tracking_uri = before  # type: ignore[attr-defined]


def open_client(uri: str, create: bool) -> Any:
    """Opens an MlflowClient.

    Args:
        uri: The tracking URI.
        create: Whether to create a sqlite database that does not exist.

    Raises:
        UnreachableError: Within 15 s, if the server does not answer; after a minute, if another program locks
            the database.
        TrackingError: The database cannot be used.
    """
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    # This logger prints errors with a traceback before MLflow raises them.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    database = database_path(uri)
    if database is not None:
        check_file(database, create)
    with nullcontext() if uri in _reached else without_retries():
        client = with_retries(uri, _open, uri, database, create)
    _reached.add(uri)
    return client


def _open(uri: str, database: Path | None, create: bool) -> Any:
    with tracking_errors(uri, ADVICE), database_lock(database) if database else nullcontext():
        import_mlflow(uri)
        from mlflow import MlflowClient

        if urlsplit(uri).scheme.partition("+")[0] in PORTS:
            check_server(uri)
        if database is not None and create and is_missing(database):
            try:
                _make_database(database)
            except OSError as error:  # the disk is full
                raise _unusable(database, error) from error
        if database is not None:
            relocate_artifacts()
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
    return client


def import_mlflow(uri: str) -> None:
    """Imports MLflow, which takes a second or two, and its tables if the URI is a database.

    Its telemetry is off unless the user turns it on: where it reaches no server, its thread removes a
    variable of the environment, and a request that reads the environment meanwhile fails with KeyError.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    with gc_paused():
        import mlflow  # noqa: F401

        if database_path(uri) is not None:
            import mlflow.store.tracking.sqlalchemy_store  # noqa: F401


def _make_database(database: Path) -> None:
    """Copies an empty database that was made on this machine before, or has MLflow make its tables.

    MLflow takes seconds for the tables, and cannot use tables that a kill left incomplete: they are made in
    another file first. A copy is kept for later, named by MLflow's version.
    """
    whole = database.with_name(f"{database.name}.whole")
    template = template_file()
    if template.exists():
        shutil.copyfile(template, whole)
    else:
        _make_tables(database.with_name(f"{database.name}.begun"), whole)
        with suppress(OSError):
            _keep_template(whole, template)
    _set_default_artifacts(whole, artifact_folder(database))
    os.replace(whole, database)


def _set_default_artifacts(database: Path, artifacts: Path) -> None:
    """Sets the artifact folder of MLflow's default experiment, which a copied database has from elsewhere."""
    now = round(1000 * time.time())
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "UPDATE experiments SET artifact_location = ?, creation_time = ?, last_update_time = ?",
            ((artifacts / "default").as_uri(), now, now),
        )


def template_file() -> Path:
    """Returns the path of the empty database kept for this version of MLflow."""
    return cache_folder() / f"mlflow-{version('mlflow')}.db"


def _keep_template(whole: Path, template: Path) -> None:
    template.parent.mkdir(parents=True, exist_ok=True)
    unfinished = template.with_name(f"{template.name}.{os.getpid()}")
    shutil.copyfile(whole, unfinished)
    os.replace(unfinished, template)


def _make_tables(begun: Path, whole: Path) -> None:
    from mlflow import MlflowClient

    begun.unlink(missing_ok=True)
    whole.unlink(missing_ok=True)
    MlflowClient(tracking_uri=f"{SQLITE}{begun}").search_experiments(max_results=1)
    with closing(sqlite3.connect(begun)) as connection:
        connection.execute("VACUUM INTO ?", (str(whole),))
    begun.unlink()


def experiment_id(client: Any, uri: str, name: str, create: bool) -> str | None:
    """Returns the experiment's id; None if it does not exist and `create` is false.

    Only our own sqlite database is given an artifact location. As in MLflow, the environment may name the
    experiment by its id.

    Raises:
        TrackingError: The experiment was deleted, or the environment names another one.
    """
    database, number = database_path(uri), os.environ.get(EXPERIMENT_ID)
    if number and name == TrackingConf.experiment and EXPERIMENT_NAME not in os.environ:
        experiment = with_retries(uri, _experiment_of_id, client, uri, number)
    else:
        experiment = with_retries(uri, _experiment, client, database, name, create)
    if experiment is None:
        return None
    if number and name == os.environ.get(EXPERIMENT_NAME) and experiment.experiment_id != number:
        raise TrackingError(
            f"{EXPERIMENT_NAME}={name} and {EXPERIMENT_ID}={number} are two experiments: the first has the "
            f"id {experiment.experiment_id}. Unset one of these variables."
        )
    if database is not None:
        follow(database, str(experiment.artifact_location))
    if experiment.lifecycle_stage == "deleted":
        restore = f"mlflow experiments restore --experiment-id {experiment.experiment_id}"
        raise TrackingError(
            f"The experiment {experiment.name} was deleted. Choose another one with "
            "tracking.experiment=NAME, or restore it with: "
            f"MLFLOW_TRACKING_URI='{without_password(uri)}' {restore}"
        )
    return str(experiment.experiment_id)


def _experiment_of_id(client: Any, uri: str, number: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_experiment(number)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise TrackingError(
            f"{EXPERIMENT_ID}={number} is no experiment at {without_password(uri)}. Unset the variable, or "
            "choose an experiment with tracking.experiment=NAME."
        ) from error


def _experiment(client: Any, database: Path | None, name: str, create: bool) -> Any:
    with database_lock(database) if database else nullcontext():
        experiment = client.get_experiment_by_name(name)
        if experiment is None and create:
            _create_experiment(client, database, name)
            experiment = client.get_experiment_by_name(name)
    return experiment


def _create_experiment(client: Any, database: Path | None, name: str) -> None:
    from mlflow.exceptions import MlflowException

    location = artifact_folder(database).as_uri() if database else None
    try:
        client.create_experiment(name, artifact_location=location)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another process was faster
            raise


PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
MAGIC = b"SQLite format 3\0"


def check_file(database: Path, create: bool) -> None:
    """Raises TrackingError for a file that is not a SQLite database or cannot be created.

    Args:
        database: The file.
        create: Whether a missing file is allowed, and its folder made.
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
    """Whether the file is missing or empty."""
    return not _header(database)


def _header(database: Path) -> bytes:
    if not database.exists():
        return b""
    with open(database, "rb") as file:
        return file.read(len(MAGIC))


@contextmanager
def database_lock(database: Path, name: str = "lock") -> Iterator[None]:
    """Lets one process at a time create the tables, which takes seconds, or write to the registry.

    Args:
        database: The file.
        name: The ending of the lock's file beside it.

    Raises:
        TrackingError: The folder of the database cannot be written.
    """
    with ExitStack() as stack:
        try:
            lock = stack.enter_context(open(f"{database}.{name}", "a"))
        except OSError as error:
            raise _unusable(database, error) from error
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def check_server(uri: str) -> None:
    """Raises UnreachableError if no database server answers; MLflow itself would retry for minutes.

    A server that answers with a refusal raises SQLAlchemy's error.
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
        raise UnreachableError(
            f"The tracking database {without_password(uri)} cannot be reached: {error}. "
            "Start it, or correct tracking.uri or MLFLOW_TRACKING_URI."
        ) from error
