"""Records metrics, tags and artifacts of a trial, in MLflow directly or through the driver."""

import json
import posixpath
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kerasweep.serving.pixels import Conversion
from kerasweep.tracking.entries import Dataset, Entry, File, Metrics, Model, Params, Tags, Text


class Recorder(ABC):
    """Records metrics, tags and artifacts of open runs.

    Each method makes an entry of plain Python values and passes it to `write`, which subclasses define. A
    value that is not a number or text is refused here, so that it fails the trial that sent it.
    """

    @abstractmethod
    def write(self, run_id: str, entry: Entry) -> None:
        """Records one entry of a run, or sends it to a process that does."""

    def log_epoch(self, run_id: str, epoch: int, metrics: Mapping[str, float]) -> None:
        """Logs the metrics of an epoch, from 1, at its step."""
        self.write(run_id, Metrics(_numbers(metrics), int(epoch)))

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Logs metrics that are measured once a run."""
        self.write(run_id, Metrics(_numbers(metrics)))

    def log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        """Logs the params of a run."""
        self.write(run_id, Params(_texts(params)))

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Sets tags of a run, in place of older values of the same keys."""
        self.write(run_id, Tags(_texts(tags)))

    def log_dataset(
        self, run_id: str, name: str, digest: str, source: str, profile: Mapping[str, Any]
    ) -> None:
        """Records the data set of a run.

        Args:
            run_id: The run.
            name: The data set's name.
            digest: The digest of its content.
            source: Its path, or its name again if code makes it.
            profile: Its sizes; JSON must be able to hold them.
        """
        self.write(run_id, Dataset(name, digest, source, json.dumps(dict(profile))))

    def log_text(self, run_id: str, text: str, path: str) -> None:
        """Saves a text at an artifact path."""
        if not isinstance(text, str):
            raise TypeError(f"log_text needs a str, but got {type(text).__name__}")
        _check_path(path)
        self.write(run_id, Text(text, path))

    def log_file(self, run_id: str, file: Path, folder: str) -> None:
        """Saves a copy of a file in an artifact folder; an empty name is the root."""
        if folder:
            _check_path(folder)
        self.write(run_id, File(Path(file), folder))

    def log_figure(self, run_id: str, draw: Callable[[], Any], path: str) -> None:
        """Saves the matplotlib figure that `draw` returns as a PNG at an artifact path."""
        folder, _, name = path.rpartition("/")
        with tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary) / name
            draw().savefig(file, dpi=110)
            self.log_file(run_id, file, folder)

    def log_model(
        self, run_id: str, model: Any, class_names: Sequence[str], conversion: Conversion | None = None
    ) -> None:
        """Saves a keras.Model that reads raw pixels as the run's model, with MLflow's flavor `keras`.

        Args:
            run_id: The run.
            model: The model.
            class_names: Of its outputs.
            conversion: How image files become its pixels; None for the default.
        """
        self.write(run_id, Model(model, list(class_names), conversion or Conversion()))


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Returns Python's own floats: the driver can unpickle neither NumPy arrays nor tensors."""
    return {str(name): float(value) for name, value in values.items()}


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in values.items()}


def _check_path(path: str) -> None:
    """Raises ValueError for an artifact path that MLflow would refuse."""
    plain = posixpath.normpath(path)
    if plain != path or plain == "." or plain.startswith(("..", "/")):
        raise ValueError(
            f"an artifact's path is one below its run, as in figures/curve.png, but got {path!r}"
        )


class RelayedRecorder(Recorder):
    """Sends entries to the driver, so that one process alone writes to MLflow, and in order.

    Args:
        send: Sends a run's entry to the driver, which hands it to `write_relayed`.
        outbox: Folder for files until the driver has logged them.
        direct: Opens MLflow in this process, for models: the driver has no Keras.
    """

    def __init__(
        self, send: Callable[[str, Entry], None], outbox: Path, direct: Callable[[], Recorder]
    ) -> None:
        self._send = send
        self._outbox = outbox
        self._direct = direct

    def write(self, run_id: str, entry: Entry) -> None:
        if isinstance(entry, Model):
            self._direct().write(run_id, entry)
            return
        if isinstance(entry, File):
            self._outbox.mkdir(parents=True, exist_ok=True)
            copy = Path(tempfile.mkdtemp(dir=self._outbox)) / entry.file.name
            shutil.copy(entry.file, copy)
            entry = File(copy, entry.folder)
        self._send(run_id, entry)


def write_relayed(recorder: Recorder, run_id: str, entry: Entry) -> None:
    """Records an entry that a RelayedRecorder sent, and removes its file from the outbox."""
    recorder.write(run_id, entry)
    if isinstance(entry, File):
        shutil.rmtree(entry.file.parent)
