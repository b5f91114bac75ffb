"""What a trial may record, whether it writes to MLflow itself or asks its driver to."""

import json
import posixpath
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


class Recorder(ABC):
    """Takes the metrics, tags and artifacts of runs that are open."""

    @abstractmethod
    def log_epoch(self, run_id: str, epoch: int, metrics: Mapping[str, float]) -> None:
        """Log an epoch's metrics at its step. epoch: from 1."""

    @abstractmethod
    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Log what is measured once a run."""

    @abstractmethod
    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run, in place of older values of the same keys."""

    @abstractmethod
    def log_dataset(
        self, run_id: str, name: str, digest: str, source: str, profile: Mapping[str, Any]
    ) -> None:
        """Record which data a run was trained on.

        digest: of its content. source: its path, or once more its name where code makes it.
        profile: its sizes.
        """

    @abstractmethod
    def log_text(self, run_id: str, text: str, path: str) -> None:
        """Keep a text at that artifact path."""

    @abstractmethod
    def log_file(self, run_id: str, file: Path, folder: str) -> None:
        """Keep a file in that artifact folder."""

    @abstractmethod
    def log_model(self, run_id: str, model: Any, class_names: Sequence[str]) -> None:
        """Keep a keras.Model that reads raw pixels as the run's model, by MLflow's flavor `keras`."""

    def log_figure(self, run_id: str, draw: Callable[[], Any], path: str) -> None:
        """Keep the matplotlib figure that `draw` makes as a PNG at that artifact path.

        It may be drawn in another process: `draw` can be pickled.
        """
        folder, _, name = path.rpartition("/")
        with tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary) / name
            draw().savefig(file, dpi=110)
            self.log_file(run_id, file, folder)


class RelayedRecorder(Recorder):
    """Has the driver record, so that one process alone writes to MLflow, and in order.

    call: sends a method's name and arguments to the driver, which hands them to `relay`. outbox: a
    folder for files on their way. direct: opens MLflow here after all, for what only a process with
    Keras can record: a model. What is no number or text is refused here, in the trial whose fault it is.
    """

    def __init__(self, call: Callable[..., None], outbox: Path, direct: Callable[[], Recorder]) -> None:
        self._call = call
        self._outbox = outbox
        self._direct = direct

    def log_epoch(self, run_id: str, epoch: int, metrics: Mapping[str, float]) -> None:
        self._call("log_epoch", run_id, int(epoch), _numbers(metrics))

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        self._call("log_metrics", run_id, _numbers(metrics))

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        self._call("set_tags", run_id, {str(key): str(value) for key, value in tags.items()})

    def log_dataset(
        self, run_id: str, name: str, digest: str, source: str, profile: Mapping[str, Any]
    ) -> None:
        self._call("log_dataset", run_id, name, digest, source, json.loads(json.dumps(dict(profile))))

    def log_text(self, run_id: str, text: str, path: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"log_text needs a str, but got {type(text).__name__}")
        _check_path(path)
        self._call("log_text", run_id, text, path)

    def log_file(self, run_id: str, file: Path, folder: str) -> None:
        if folder:
            _check_path(folder)
        self._outbox.mkdir(parents=True, exist_ok=True)
        copied = Path(tempfile.mkdtemp(dir=self._outbox)) / Path(file).name
        shutil.copy(file, copied)
        self._call("log_file", run_id, copied, folder)

    def log_model(self, run_id: str, model: Any, class_names: Sequence[str]) -> None:
        self._direct().log_model(run_id, model, class_names)


def _check_path(path: str) -> None:
    """Raise ValueError for an artifact path that MLflow would refuse."""
    plain = posixpath.normpath(path)
    if plain != path or plain == "." or plain.startswith(("..", "/")):
        raise ValueError(
            f"an artifact's path is one below its run, as in figures/curve.png, but got {path!r}"
        )


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """As Python's own: the driver has neither NumPy arrays nor tensors to unpack."""
    return {str(name): float(value) for name, value in metrics.items()}


def relay(recorder: Recorder, name: str, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> None:
    """Do what a RelayedRecorder was asked to do."""
    assert name in Recorder.__abstractmethods__, name
    getattr(recorder, name)(*arguments, **options)
    if name == "log_file":
        shutil.rmtree(arguments[1].parent)
