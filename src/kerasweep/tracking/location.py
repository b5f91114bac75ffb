"""Finds MLflow's URI in the configuration, the environment, or the working directory."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from kerasweep.config.passwords import without_password
from kerasweep.errors import TrackingError

DEFAULT_DATABASE = "mlruns/mlflow.db"
SQLITE = "sqlite:///"


def default_uri() -> str:
    """Returns mlruns/mlflow.db below the working directory as an absolute URI."""
    return f"{SQLITE}{Path(DEFAULT_DATABASE).absolute()}"


def resolve_uri(uri: str | None) -> str:
    """Returns `uri` if given, else MLFLOW_TRACKING_URI, else the default; makes a sqlite path absolute.

    Raises:
        TrackingError: A folder or file store, which MLflow no longer writes to, or no address.
    """
    chosen = uri or os.environ.get("MLFLOW_TRACKING_URI") or default_uri()
    is_folder = "://" not in chosen and not chosen.startswith("databricks")
    if is_folder or chosen.startswith("file:"):
        raise TrackingError(
            f"tracking.uri must be a database or a server, but got {chosen}: MLflow no longer records into "
            "folders. Use one such as sqlite:///mlruns/mlflow.db or http://localhost:5000."
        )
    _check_address(chosen)
    if chosen.startswith(SQLITE):
        return f"{SQLITE}{Path(chosen.removeprefix(SQLITE)).expanduser().absolute()}"
    return chosen


def _check_address(uri: str) -> None:
    try:
        _ = urlsplit(uri).port
    except ValueError as error:
        raise TrackingError(
            f"tracking.uri={without_password(uri)} is not an address: {error}. "
            "Write it as in sqlite:///mlruns/mlflow.db or http://localhost:5000."
        ) from error
    in_memory = uri.startswith("sqlite:") and uri.removeprefix("sqlite:").strip("/") in ("", ":memory:")
    if in_memory:
        raise TrackingError(
            f"tracking.uri={uri} is a database in memory, which ends with the command. "
            "Name a file, as in sqlite:///mlruns/mlflow.db."
        )


def is_local(uri: str | None) -> bool:
    """Whether the database is a file, not a server that others may use."""
    return database_path(resolve_uri(uri)) is not None


def is_within_reach(uri: str | None) -> bool:
    """Whether this process can write there: a server, or a file that this machine has."""
    file = database_path(resolve_uri(uri))
    return file is None or file.exists()


def database_path(uri: str) -> Path | None:
    """Returns the file of a sqlite URI, None for any other."""
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None
