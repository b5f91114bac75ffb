"""Carries the files of jobs from nodes without the project's folder to the driver's, with their events."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from kerasweep.results import Outcome
from kerasweep.tracking.entries import File
from kerasweep.workers.pool import Event
from kerasweep.workers.worker import Finished, Recorded


@dataclass(frozen=True)
class Carried:
    """An event that names a file, with the file's content."""

    event: Event
    path: str  # relative to the project's folder
    content: bytes


def carry(event: Event, folder: Path) -> Event | Carried:
    """Returns an event with the file that it names, an artifact or weights, and removes that file.

    A file outside of the folder is the user's: it stays where it is.

    Args:
        event: A worker's event.
        folder: This node's copy of the project's folder.
    """
    file = _file(event)
    if file is None or not file.exists() or not file.resolve().is_relative_to(folder.resolve()):
        return event
    path = file.resolve().relative_to(folder.resolve())
    content = file.read_bytes()
    file.unlink()
    return Carried(event, str(path), content)


def unpack(event: Event | Carried, folder: Path) -> Event:
    """Returns the event, after its file was written into the project's folder on this machine.

    Raises:
        OSError: The file cannot be written.
    """
    if not isinstance(event, Carried):
        return event
    file = folder / event.path
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"{file.name}.tmp")
    unfinished.write_bytes(event.content)
    os.replace(unfinished, file)
    return _with_file(event.event, file)


def _file(event: Event) -> Path | None:
    if isinstance(event, Recorded) and isinstance(event.entry, File):
        return event.entry.file
    if isinstance(event, Finished) and isinstance(event.result, Outcome) and event.result.weights:
        return Path(event.result.weights)
    return None


def _with_file(event: Event, file: Path) -> Event:
    if isinstance(event, Recorded):
        return replace(event, entry=replace(event.entry, file=file))
    assert isinstance(event, Finished)
    return replace(event, result=replace(event.result, weights=str(file)))
