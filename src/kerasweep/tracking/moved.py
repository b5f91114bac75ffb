"""Lets the artifacts of a local database follow it when its folder is moved or copied."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

ARTIFACTS = "artifacts"
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


def follow(database: Path, location: str) -> None:
    """Rewrites all places of artifacts below a location that the database has left.

    A location counts as left if it has the same last two names, such as `mlruns/artifacts`, but lies
    elsewhere: MLflow stores absolute paths. A database that cannot be written stays as it is.

    Args:
        database: The file.
        location: The artifact location of an experiment, as MLflow stores it.
    """
    here = artifact_folder(database)
    parts = urlsplit(location)
    there = Path(unquote(parts.path))
    if parts.scheme != "file" or there == here or there.parts[-2:] != here.parts[-2:]:
        return
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(database)) as connection, connection:
        for table, columns in COLUMNS.items():
            for column in columns:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (here.as_uri(), len(location) + 1, location, len(location) + 1, f"{location}/"),
                )
