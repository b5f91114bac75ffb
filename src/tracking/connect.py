"""Opens MLflow: reaches the server or creates the database, and finds or creates the experiment."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from src.errors import TrackingError
from src.tracking.location import database_path

CONNECT_SECONDS = 10


def open_client(uri: str) -> Any:
    """An MlflowClient for the URI. Raises TrackingError within 15 s where it cannot be reached."""
    os.environ.setdefault("MLFLOW_DISABLE_ENV_CREATION_WARNING", "true")
    for name in ("alembic", "mlflow.store.db.utils", "mlflow.tracking"):
        logging.getLogger(name).setLevel(logging.WARNING)
    database = database_path(uri)
    if database is not None:
        _check_database(database)
    elif urlsplit(uri).scheme in ("http", "https"):
        _probe(uri)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        with _creation_lock(database) if database else nullcontext():
            client = MlflowClient(tracking_uri=uri)
            client.search_experiments(max_results=1)
    except MlflowException as error:
        raise TrackingError(f"tracking.uri={uri} cannot be opened: {_first_line(error)}") from error
    return client


def experiment_id(client: Any, uri: str, name: str, create: bool) -> str | None:
    """The experiment's id; None where it does not exist and is not to be created.

    Raises TrackingError for a deleted experiment. Only our own database is told where its
    artifacts go.
    """
    database = database_path(uri)
    with _creation_lock(database) if database else nullcontext():
        found = client.get_experiment_by_name(name)
        if found is None:
            if not create:
                return None
            location = (database.parent / "artifacts").as_uri() if database else None
            return str(client.create_experiment(name, artifact_location=location))
    if found.lifecycle_stage == "deleted":
        raise TrackingError(
            f"The experiment {name} was deleted. Restore it with: "
            f"MLFLOW_TRACKING_URI={uri} mlflow experiments restore --experiment-id {found.experiment_id} "
            "or choose another one with tracking.experiment=NAME."
        )
    return str(found.experiment_id)


def _check_database(database: Path) -> None:
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        with open(database, "ab"):
            pass
        header = _header(database)
    except OSError as error:
        raise TrackingError(
            f"tracking.uri names {database}, but it cannot be written: {error.strerror}. "
            "Choose another place, as in tracking.uri=sqlite:///FOLDER/mlflow.db."
        ) from error
    if header and header != b"SQLite format 3\0":
        raise TrackingError(
            f"tracking.uri names {database}, but that is not a SQLite database. "
            "Choose another file, as in tracking.uri=sqlite:///FOLDER/mlflow.db."
        )


def _header(database: Path) -> bytes:
    with open(database, "rb") as file:
        return file.read(16)


@contextmanager
def _creation_lock(database: Path) -> Iterator[None]:
    """Creating the tables takes seconds, and two processes at it would get in each other's way."""
    with open(f"{database}.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _probe(uri: str) -> None:
    """One quick request, since MLflow's own retries go on for minutes."""
    import requests

    try:
        answer = requests.get(f"{uri.rstrip('/')}/health", timeout=CONNECT_SECONDS)
    except requests.RequestException as error:
        raise TrackingError(
            f"The tracking server {uri} cannot be reached ({type(error).__name__}). "
            "Start it, or correct tracking.uri or MLFLOW_TRACKING_URI."
        ) from error
    if answer.status_code >= 500:
        raise TrackingError(f"The tracking server {uri} answers {answer.status_code}. Look at its log.")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
