"""Defines what can be recorded in a run: a small class for each kind of entry.

`Recorder` builds them, `Tracker.write` is the one place that knows how MLflow takes each.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from kerasweep.serving.pixels import Conversion


def now() -> int:
    """Returns the time in milliseconds since 1970, as MLflow counts."""
    return int(time.time() * 1000)


@dataclass(frozen=True)
class Metrics:
    """Metrics of one step."""

    values: Mapping[str, float]
    step: int = 0  # The epoch, from 1; 0 for what is measured once a run.
    timestamp: int = field(default_factory=now)  # In milliseconds since 1970.


@dataclass(frozen=True)
class Tags:
    """Tags, which replace older values of the same keys."""

    values: Mapping[str, str]


@dataclass(frozen=True)
class Params:
    """Params, which MLflow never changes."""

    values: Mapping[str, str]


@dataclass(frozen=True)
class Dataset:
    """The data that a run was trained on."""

    name: str
    digest: str  # Of its content.
    source: str  # Its path, or its name again if code makes it.
    profile: str  # Its sizes, as JSON.


@dataclass(frozen=True)
class Text:
    """A text artifact."""

    text: str
    path: str  # Below the run's artifacts.


@dataclass(frozen=True)
class File:
    """A file that becomes an artifact."""

    file: Path
    folder: str  # Below the run's artifacts; empty for their root.


@dataclass(frozen=True)
class Model:
    """The run's model, which only a process with Keras can write."""

    model: Any  # A keras.Model that reads raw pixels.
    class_names: Sequence[str]  # Of its outputs.
    conversion: Conversion = Conversion()  # How image files become its pixels.


Values = Metrics | Tags | Params
Entry = Values | Dataset | Text | File | Model


def single_values(entry: Values) -> Iterator[Values]:
    """Yields each value of an entry as a separate entry."""
    for name, value in entry.values.items():
        yield replace(entry, values={name: value})  # type: ignore[arg-type]


STORED = {kind.__name__: kind for kind in (Metrics, Tags, Params, Dataset, Text, File)}


def as_json(entry: Entry) -> dict[str, Any]:
    """Returns an entry as values that JSON can hold. A model has none: its process writes it itself."""
    fields = asdict(entry)
    if isinstance(entry, File):
        fields["file"] = str(entry.file)
    return {"kind": type(entry).__name__, **fields}


def of_json(stored: Mapping[str, Any]) -> Entry:
    """Returns the entry that `as_json` stored.

    Raises:
        KeyError: The kind is unknown.
        TypeError: A field is missing or unknown.
    """
    fields = {name: value for name, value in stored.items() if name != "kind"}
    if "file" in fields:
        fields["file"] = Path(fields["file"])
    entry: Entry = STORED[stored["kind"]](**fields)
    return entry
