"""Lets the artifacts of a local database follow it when its folder is moved, copied or mounted elsewhere.

MLflow stores absolute paths. A process rewrites them once, at its start, for MLflow's own pages. It does not
rely on them: another process may see the folder under another path at the same time, as in a container.
"""

import sqlite3
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from kerasweep.tracking.location import database_path

ARTIFACTS = "artifacts"
_followed: set[Path] = set()  # databases that this process has opened
# The columns in which MLflow keeps where artifacts lie.
COLUMNS = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}


def artifact_folder(database: Path) -> Path:
    """Returns the folder of the artifacts of a database that kerasweep made."""
    return database.parent / ARTIFACTS


@cache
def relocate_artifacts() -> None:
    """Makes MLflow, in this process, look for local artifacts beside the database that names them."""
    from mlflow.store.artifact import artifact_repository_registry
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    class BesideDatabase(LocalArtifactRepository):  # type: ignore[misc]
        """A folder of artifacts."""

        def __init__(self, artifact_uri: str, tracking_uri: str | None = None, *more: Any, **options: Any):
            database = database_path(tracking_uri or "")
            location = artifact_uri if database is None else _here(database, artifact_uri)
            super().__init__(location, tracking_uri, *more, **options)

    artifact_repository_registry._artifact_repository_registry.register("file", BesideDatabase)


def _here(database: Path, location: str) -> str:
    """Returns a location of artifacts as it is beside the database, wherever it is stored to be."""
    here = artifact_folder(database)
    stored = Path(unquote(urlsplit(location).path))
    root = next((parent for parent in stored.parents if parent.parts[-2:] == here.parts[-2:]), None)
    return location if root in (None, here) else (here / stored.relative_to(root)).as_uri()


def follow(database: Path, location: str) -> None:
    """Rewrites all places of artifacts below a location that the database has left, once per process.

    A location counts as left if it has the same last two names, such as `mlruns/artifacts`, but is another
    folder. A database that cannot be written stays as it is.

    Args:
        database: The file.
        location: The artifact location of an experiment, as MLflow stores it.
    """
    here = artifact_folder(database)
    parts = urlsplit(location)
    there = Path(unquote(parts.path))
    is_first = database not in _followed
    _followed.add(database)
    if not is_first or parts.scheme != "file" or there.parts[-2:] != here.parts[-2:] or _is_same(there, here):
        return
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(database)) as connection, connection:
        for table, columns in COLUMNS.items():
            for column in columns:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (here.as_uri(), len(location) + 1, location, len(location) + 1, f"{location}/"),
                )


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths are one folder, perhaps by a link."""
    return one == other or (one.exists() and other.exists() and one.samefile(other))
